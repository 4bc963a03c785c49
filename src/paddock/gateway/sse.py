"""Events of engines' and callers' streams, whatever the dialect."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson

from paddock.errors import EngineFailed, PaddockError
from paddock.gateway.engine_errors import engine_error
from paddock.gateway.tokens import number

JSON = dict[str, Any]
DONE = b"data: [DONE]\n\n"
HEADERS = b"content-type: text/event-stream\r\ncache-control: no-cache\r\n%b"


@dataclass(frozen=True, slots=True)
class Ending:
    """How a dialect's streams end.

    Attributes:
        done: what follows a whole answer.
        error: the event of an error after the start.
    """

    done: bytes
    error: Callable[[PaddockError], bytes]


def parse_event(event: bytes) -> JSON | None:
    """The JSON object of one event; None for `[DONE]`, comments and other fields.

    Raises:
        PaddockError: the event is an error.
        EngineFailed: it is not JSON.
    """
    data = b"".join(line[5:].lstrip() for line in event.split(b"\n") if line.startswith(b"data:"))
    if event.startswith(b"error:"):
        data = event[6:].strip()
    if not data or data == b"[DONE]":
        return None
    try:
        chunk = orjson.loads(data)
    except orjson.JSONDecodeError:
        raise EngineFailed("the engine sent an event that is not JSON") from None
    if not isinstance(chunk, dict):
        raise EngineFailed("the engine sent an event that is not an object")
    if event.startswith(b"error:") or chunk.get("error"):
        raise engine_error(502, data, None)
    return chunk


def prompt_progress(chunk: JSON) -> int | None:
    """The prompt's length from a chunk by which llama.cpp reports that it is still reading the prompt."""
    progress = chunk.get("prompt_progress")
    return number(progress.get("total")) if isinstance(progress, dict) else None


def dump_event(chunk: JSON) -> bytes:
    return b"data: %b\n\n" % orjson.dumps(chunk)


def cut_off() -> EngineFailed:
    return EngineFailed("the engine's stream ended before its answer did")
