"""A request as a route sees it, and what a route may answer."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from os import urandom
from typing import Protocol
from urllib.parse import parse_qsl, unquote

from paddock.errors import InvalidRequest
from paddock.inference.relay import Downstream


class Caller(Downstream, Protocol):
    """The connection that a request came by, as far as an answer needs it.

    Attributes:
        peer: the caller's address.
        started_response: whether anything of an answer was sent.
    """

    peer: str
    started_response: bool

    def respond(self, status: int, headers: bytes, body: bytes) -> None: ...

    def close(self) -> None: ...


class Request:
    """One HTTP request, received whole.

    Attributes:
        id: 128 random bits in hex, made here; the trace id and the `x-request-id` of the answer.
        path: percent-decoded, without the query.
        query: as it came, for `query_values`.
        headers: names in lower case.
        params: what the matched route's pattern captured.
        started: `time.perf_counter()` when the request was whole.
    """

    __slots__ = (
        "body",
        "connection",
        "headers",
        "http_1_1",
        "id",
        "keep_alive",
        "method",
        "params",
        "path",
        "query",
        "record",
        "started",
    )

    def __init__(
        self,
        connection: Caller,
        method: str,
        url: bytes,
        headers: dict[bytes, bytes],
        body: bytes,
        http_1_1: bool,
        keep_alive: bool,
    ) -> None:
        target, _, query = url.partition(b"?")
        if not target.startswith(b"/") and b"://" in target:
            # The form in which a proxy is asked; RFC 9112 wants servers to take it too.
            target = b"/" + target.split(b"://", 1)[1].partition(b"/")[2]
        path = target.decode("utf-8", "replace")
        self.connection = connection
        self.method = method
        self.path = unquote(path) if "%" in path else path
        self.query = query
        self.headers = headers
        self.body = body
        self.http_1_1 = http_1_1
        self.keep_alive = keep_alive
        self.id = urandom(16).hex()
        self.params: dict[str, str] = {}
        self.started = time.perf_counter()
        self.record = Record()


def query_values(request: Request, known: Iterable[str]) -> dict[str, str]:
    """The query's values by name; empty ones count as not given.

    Raises:
        InvalidRequest: it has a name that the route does not know, or one twice.
    """
    values: dict[str, str] = {}
    for name, value in parse_qsl(request.query.decode("utf-8", "replace")):
        if name not in known:
            names = ", ".join(known) or "none"
            raise InvalidRequest(
                f"query parameter {name[:40]!r} is not known here; known are: {names}", param=name[:40]
            )
        if name in values:
            raise InvalidRequest(f"query parameter {name!r} is given twice", param=name)
        values[name] = value
    return values


@dataclass(slots=True)
class Record:
    """What the access log and the metrics say of a request.

    Times are in seconds since the request was whole. Token counts are the engine's own, except that of an
    aborted stream, which counts the pieces that came.
    """

    route: str = ""
    logged: bool = True
    status: int = 0
    model: str = ""
    streamed: bool = False
    outcome: str = ""
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    first_token: float = 0.0


@dataclass(slots=True)
class Response:
    """A whole answer. `headers` are lines that each end in CRLF."""

    body: bytes
    status: int = 200
    content_type: bytes = b"application/json"
    headers: bytes = b""
