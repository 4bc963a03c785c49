"""Errors in the dialect's shape and words."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import orjson

from paddock.errors import InvalidRequest, ModelNotFound, PaddockError
from paddock.gateway.sse import Ending, dump_event

JSON = dict[str, Any]


def error_body(error: PaddockError) -> bytes:
    """`{"detail": message}`: the published client reads nothing else."""
    return orjson.dumps({"detail": error.message})


def stream_error(error: PaddockError) -> JSON:
    """The reference's `StreamError`, for an error after the start of a stream."""
    return {
        "status_code": error.status,
        "content": {"error": error.message, "timestamp": datetime.now(UTC).isoformat()},
    }


ENDING = Ending(b"", lambda error: dump_event({"error": stream_error(error)}))
"""How streams in OpenAI's shapes end here: the client parses every event as JSON, so there is no `[DONE]`."""


@contextlib.contextmanager
def own_fields(names: Mapping[str, str]) -> Iterator[None]:
    """What is raised inside about a field of ours names the dialect's field.

    Args:
        names: this dialect's names by ours, empty for what is no field here. A word such as `model` or
            `stop`, unlike `context_length`, is taken for a field's name at the beginning of a message only.
    """
    try:
        yield
    except (InvalidRequest, ModelNotFound) as error:
        error.message = error.message.replace("hardware_type", "the hardware type")
        for ours, theirs in names.items():
            pattern = rf"\b{ours}\b" if "_" in ours else rf"^{ours}(?= must | ')"
            error.message = re.sub(pattern, theirs, error.message)
        if error.param is not None:
            first, dot, rest = error.param.partition(".")
            name = names.get(first, first)
            error.param = name + dot + rest if name else None
            if name not in error.message:
                error.message = f"{error.param}: {error.message}"
        raise
