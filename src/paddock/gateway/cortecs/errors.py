"""Errors in the dialect's shape and words."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

import orjson

from paddock.errors import InvalidRequest, NotFound, PaddockError

_FIELDS = {
    "model": "model_id",
    "hardware_type": "hardware_type_id",
    "min_workers": "num_workers",
    "max_workers": "num_workers",
}
# `model` is a word of the language too: it is the field's name at the beginning only.
_NAMES = re.compile(r"^model(?= ')|\b(hardware_type|min_workers|max_workers)\b")


def error_body(error: PaddockError) -> bytes:
    """`{"error": {message, type, code, param}}`: the published clients show it whole."""
    kind = "invalid_request_error" if error.status < 500 else "server_error"
    return orjson.dumps(
        {"error": {"message": error.message, "type": kind, "code": error.code, "param": error.param}}
    )


@contextlib.contextmanager
def own_fields() -> Iterator[None]:
    """What is raised inside names the fields as this dialect does."""
    try:
        yield
    except (InvalidRequest, NotFound) as error:
        error.message = _NAMES.sub(lambda match: _FIELDS[match[0]], error.message)
        if error.param:
            error.param = _FIELDS.get(error.param, error.param)
            if error.param not in error.message:
                error.message = f"{error.param}: {error.message}"
        raise
