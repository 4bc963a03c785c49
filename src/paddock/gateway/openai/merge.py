"""Several streams of an engine as one: for a list of prompts, or `n` choices of one prompt."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from paddock.errors import PaddockError
from paddock.gateway.sse import Ending, dump_event
from paddock.inference.relay import Downstream

JSON = dict[str, Any]


class Merged:
    """One caller's stream that several parts write into.

    Attributes:
        preface: chunks that are sent before the first of any part.
        started: whether anything was sent.
        first: `time.perf_counter()` at the first bytes; 0.0 before.
    """

    def __init__(self, downstream: Downstream, headers: bytes, ending: Ending) -> None:
        self.preface: list[JSON] = []
        self.started = False
        self.first = 0.0
        self.paused = downstream.paused
        self._downstream = downstream
        self._headers = headers
        self._ending = ending
        self._parts: list[_Part] = []
        downstream.on_pause = lambda: self._each(lambda part: part.on_pause)
        downstream.on_resume = lambda: self._each(lambda part: part.on_resume)

    def part(self) -> Downstream:
        part = _Part(self)
        self._parts.append(part)
        return part

    def start(self) -> None:
        if self.started:
            return
        self.started = True
        self.first = time.perf_counter()
        self._downstream.start_stream(200, self._headers)
        for chunk in self.preface:
            self._downstream.write(dump_event(chunk))

    def write(self, data: bytes) -> None:
        self._downstream.write(data)

    def close(self, error: PaddockError | None, last: JSON | None) -> None:
        """Ends the stream with the error, or with the usage chunk if there is one."""
        self.start()
        if error is not None:
            self._downstream.write(self._ending.error(error))
        else:
            self._downstream.write((dump_event(last) if last else b"") + self._ending.done)
        self._downstream.end_stream()

    def _each(self, callback: Callable[[_Part], Callable[[], None] | None]) -> None:
        for part in self._parts:
            call = callback(part)
            if call is not None:
                call()


class _Part:
    def __init__(self, merged: Merged) -> None:
        self.paused = merged.paused
        self.on_pause: Callable[[], None] | None = None
        self.on_resume: Callable[[], None] | None = None
        self._merged = merged

    def start_stream(self, status: int, headers: bytes) -> None:
        self._merged.start()

    def write(self, data: bytes) -> None:
        self._merged.write(data)

    def end_stream(self) -> None:
        """The whole ends when every part has."""
