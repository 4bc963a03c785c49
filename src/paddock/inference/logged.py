"""What log lines may say of the request that is being answered."""

from __future__ import annotations

import traceback
from contextvars import ContextVar

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""Of the request whose task, or a task that it started, writes the line; empty outside of all."""


def outline(error: BaseException) -> str:
    """Where an error came from, and its kind, without its words: they may quote a prompt."""
    lines = []
    seen: BaseException | None = error
    while seen is not None:
        lines.append(f"{type(seen).__name__} at\n{''.join(traceback.format_tb(seen.__traceback__))}")
        seen = seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)
    return "".join(lines).rstrip()
