"""One keep-alive connection that asks and times one request after the other, on a blocking socket."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from bench.servers import HOST

CHUNKED = b"transfer-encoding: chunked"
END_OF_CHUNKS = b"\r\n0\r\n\r\n"


@dataclass(frozen=True)
class Answer:
    """Seconds until the body's first byte and until its end; status; body without framing; bytes received."""

    first: float
    total: float
    status: int
    body: bytes
    wire: int

    @property
    def events(self) -> list[bytes]:
        """The payloads of a streamed body's server-sent events."""
        return [line[5:].strip() for line in self.body.splitlines() if line.startswith(b"data:")]


class Probe:
    """A connection to a server on loopback. Made for timing: no redirects, no retries, no pools."""

    def __init__(self, port: int, timeout: float = 120.0) -> None:
        self._socket = socket.create_connection((HOST, port), timeout)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def close(self) -> None:
        self._socket.close()

    def ask(self, request: bytes) -> Answer:
        """Sends a whole request and reads the whole answer.

        Raises:
            ConnectionError: the server closed the connection before the answer's end.
        """
        began = time.perf_counter()
        self._socket.sendall(request)
        data = bytearray()
        while (start := data.find(b"\r\n\r\n") + 4) < 4 or len(data) == start:
            data += self._receive()
        first = time.perf_counter()
        while not is_whole(data):
            data += self._receive()
        ended = time.perf_counter()
        return parsed(bytes(data), first - began, ended - began)

    def _receive(self) -> bytes:
        data = self._socket.recv(65536)
        if not data:
            raise ConnectionError("the server closed the connection within its answer")
        return data


@contextlib.contextmanager
def connected(port: int) -> Iterator[Probe]:
    probe = Probe(port)
    try:
        yield probe
    finally:
        probe.close()


def post(path: str, body: bytes, headers: Mapping[str, str] | None = None) -> bytes:
    """The bytes of a POST request."""
    given = {"Host": HOST, "Authorization": "Bearer none", "Content-Type": "application/json"}
    lines = "".join(f"{name}: {value}\r\n" for name, value in (given | dict(headers or {})).items())
    return f"POST {path} HTTP/1.1\r\n{lines}Content-Length: {len(body)}\r\n\r\n".encode() + body


def is_whole(data: bytearray) -> bool:
    """Whether these bytes of an HTTP response reach to its end."""
    if data.endswith(END_OF_CHUNKS):
        return True
    start = data.find(b"\r\n\r\n") + 4
    head = bytes(data[: max(0, start)]).lower()
    return start >= 4 and CHUNKED not in head and len(data) >= start + _length(head)


def parsed(data: bytes, first: float = 0.0, total: float = 0.0) -> Answer:
    """A whole HTTP response as an Answer with the given times."""
    head, _, body = data.partition(b"\r\n\r\n")
    whole = _unchunk(body) if CHUNKED in head.lower() else body
    return Answer(first, total, int(head[9:12]), whole, len(data))


def check_plain(answer: Answer, text: str) -> None:
    """Raises RuntimeError unless the answer is a whole chat completion that says `text`."""
    if answer.status != 200 or json.loads(answer.body)["choices"][0]["message"]["content"] != text:
        raise RuntimeError(f"not the stub's answer: {answer.status} {answer.body[:500]!r}")


def check_stream(answer: Answer, text: str, chunks: int) -> None:
    """Raises RuntimeError unless the answer streams `text` in `chunks` pieces up to [DONE]."""
    events = answer.events
    if answer.status != 200 or not events or events[-1] != b"[DONE]":
        raise RuntimeError(f"not a whole stream: {answer.status} {answer.body[-500:]!r}")
    choices = [choice for event in events[:-1] for choice in json.loads(event)["choices"]]
    deltas = [choice["delta"].get("content") for choice in choices]
    pieces = [delta for delta in deltas if delta]
    if len(pieces) != chunks or "".join(pieces) != text:
        raise RuntimeError(f"not the stub's stream: {len(pieces)} pieces: {''.join(pieces)[:200]!r}")


def _length(head: bytes) -> int:
    found = head.partition(b"content-length:")[2]
    return int(found.partition(b"\r\n")[0] or 0)


def _unchunk(body: bytes) -> bytes:
    pieces: list[bytes] = []
    at = 0
    while True:
        line = body.index(b"\r\n", at)
        size = int(body[at:line], 16)
        if size == 0:
            return b"".join(pieces)
        pieces.append(body[line + 2 : line + 2 + size])
        at = line + 2 + size + 2
