"""Requests that came by no connection: what a batch asks takes the same way as what a caller asks."""

from __future__ import annotations

from collections.abc import Callable

from paddock.gateway.http import Request


def unsent(path: str) -> Request:
    """A request to answer for its own sake: it has an id and a record, and nobody to send anything to."""
    return Request(_NOBODY, "POST", path.encode(), {}, b"", http_1_1=True, keep_alive=False)


class _Nobody:
    """Takes nothing: a row of a batch has one whole answer."""

    peer = ""
    started_response = False
    paused = False
    on_pause: Callable[[], None] | None = None
    on_resume: Callable[[], None] | None = None

    def respond(self, status: int, headers: bytes, body: bytes) -> None:
        raise AssertionError("nobody is there to be answered")

    def start_stream(self, status: int, headers: bytes, length: int | None = None) -> None:
        raise AssertionError("nobody is there to read a stream")

    def write(self, data: bytes) -> None:
        raise AssertionError("nobody is there to read a stream")

    def end_stream(self) -> None:
        raise AssertionError("nobody is there to read a stream")

    def close(self) -> None:
        return

    def reset(self) -> None:
        return


_NOBODY = _Nobody()
