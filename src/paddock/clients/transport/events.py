"""Server-sent events from the bytes of a response, as https://html.spec.whatwg.org/#event-stream has them."""

from __future__ import annotations

DONE = b"[DONE]"


class EventParser:
    """Takes bytes as they come and gives the data of each event that they complete.

    A lone carriage return as line end, which the standard allows, is not recognised: no server of
    language models sends one.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[bytes] = []

    def feed(self, chunk: bytes) -> list[bytes]:
        """The data of each event that ends in `chunk`."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        events = []
        for line in lines:
            line = line.removesuffix(b"\r")
            if not line:
                if self._data:
                    events.append(b"\n".join(self._data))
                    self._data = []
            else:
                self._field(line)
        return events

    def finish(self) -> list[bytes]:
        """The data of a last event whose empty line is missing, which many servers leave out."""
        return self.feed(b"\n\n")

    def _field(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        # llama.cpp names the field of an error `error`, which no other parser sees.
        if name in (b"data", b"error"):
            self._data.append(value.removeprefix(b" "))
