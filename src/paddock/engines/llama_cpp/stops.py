"""Which stop string ended an answer: llama.cpp says so when it is asked, in a field of its own."""

from __future__ import annotations

from typing import Any

JSON = dict[str, Any]

ASKED: JSON = {"verbose": True, "response_fields": ["stopping_word"]}
"""What a request for it has more. Chunks before the last one bring llama.cpp's own shape along."""
_FIELD = "__verbose"


def pop_stop(chunk: JSON) -> str:
    """Takes llama.cpp's own field out of an answer or chunk.

    Returns:
        The stop string that ended it; empty if none did, or it is not the end.
    """
    said = chunk.pop(_FIELD, None)
    return str(said.get("stopping_word") or "") if isinstance(said, dict) else ""


def asks(body: JSON) -> bool:
    """Whether this request's answer must be read with `pop_stop`."""
    return ASKED.items() <= body.items()
