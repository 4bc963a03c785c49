"""What models are asked and what they answer, in the log: only if the operator has switched it on."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from paddock.gateway.http import Caller, Request

log = logging.getLogger("paddock.prompts")

LONGEST = 10_000
"""Characters of a prompt, and of an answer."""


class PromptLog:
    """Listens to requests, and writes down those that were asked of a model."""

    def listen(self, request: Request) -> None:
        request.connection = _Overheard(request.connection)

    def write(self, request: Request) -> None:
        heard = request.connection
        if request.record.model and isinstance(heard, _Overheard):
            fields = {
                "model": request.record.model,
                "prompt": _text(request.body),
                "answer": _text(b"".join(heard.said)),
            }
            log.info("asked and answered", extra={"fields": fields})


class _Overheard:
    """A connection that keeps the beginning of what is sent by it."""

    def __init__(self, connection: Caller) -> None:
        self.said: list[bytes] = []
        self._connection = connection
        self._length = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    @property
    def on_pause(self) -> Callable[[], None] | None:
        return self._connection.on_pause

    @on_pause.setter
    def on_pause(self, value: Callable[[], None] | None) -> None:
        self._connection.on_pause = value

    @property
    def on_resume(self) -> Callable[[], None] | None:
        return self._connection.on_resume

    @on_resume.setter
    def on_resume(self, value: Callable[[], None] | None) -> None:
        self._connection.on_resume = value

    def respond(self, status: int, headers: bytes, body: bytes) -> None:
        self._hear(body)
        self._connection.respond(status, headers, body)

    def write(self, data: bytes) -> None:
        self._hear(data)
        self._connection.write(data)

    def _hear(self, data: bytes) -> None:
        # A character has four bytes at most.
        if self._length < 4 * LONGEST:
            self._length += len(data)
            self.said.append(data)


def _text(data: bytes) -> str:
    return data[: 4 * LONGEST].decode("utf-8", "replace")[:LONGEST]
