"""A request as a route sees it, and what a route may answer."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from os import urandom
from typing import TYPE_CHECKING, Protocol
from urllib.parse import parse_qsl, unquote

from paddock.errors import BodyTooLarge, InvalidRequest, PaddockError
from paddock.gateway.incoming import Incoming
from paddock.inference.deployment import Deployment
from paddock.inference.relay import Downstream
from paddock.services.keys import ANYBODY, Key

if TYPE_CHECKING:
    from paddock.gateway.accounts import Accounts, Bill
    from paddock.gateway.limit_holds import Hold, LaneHold
    from paddock.gateway.limit_lanes import Lane


class Caller(Downstream, Protocol):
    """The connection that a request came by, as far as an answer needs it.

    Attributes:
        peer: the caller's address.
        started_response: whether anything of an answer was sent.
    """

    peer: str
    started_response: bool

    def respond(self, status: int, headers: bytes, body: bytes) -> None: ...

    def start_stream(self, status: int, headers: bytes, length: int | None = None) -> None: ...

    def close(self) -> None: ...

    def reset(self) -> None: ...


class BadHttp(PaddockError):
    """What is wrong with a request below its route: its framing, its size, its pace."""

    code = "bad_http"

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Request:
    """One HTTP request, received whole unless its route reads the body as it comes.

    Attributes:
        id: 128 random bits in hex, made here; the trace id and the `x-request-id` of the answer.
        path: percent-decoded, without the query.
        query: as it came, for `query_values`.
        headers: names in lower case.
        params: what the matched route's pattern captured.
        key: whom it comes from.
        accounts: who counts what it uses; None if nobody does.
        bill: what the ledger is to say of it, once that is known.
        hold: what it may use of its key's and its project's limits; None if they have none.
        job: the batch that asks; empty if somebody waits for the answer.
        body: the whole body; empty if `incoming` is set.
        incoming: the body of a receiving route's request, for `pieces`.
        started: `time.perf_counter()` when the request was whole, or its head if the body is `incoming`.
    """

    __slots__ = (
        "accounts",
        "bill",
        "body",
        "connection",
        "headers",
        "hold",
        "http_1_1",
        "id",
        "incoming",
        "job",
        "keep_alive",
        "key",
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
        incoming: Incoming | None = None,
    ) -> None:
        target, _, query = url.partition(b"?")
        self.connection = connection
        self.method = method
        self.path = decoded_path(target)
        self.query = query
        self.headers = headers
        self.body = body
        self.incoming = incoming
        self.http_1_1 = http_1_1
        self.keep_alive = keep_alive
        self.id = urandom(16).hex()
        self.params: dict[str, str] = {}
        self.key: Key = ANYBODY
        self.accounts: Accounts | None = None
        self.bill: Bill | None = None
        self.hold: Hold | Lane | LaneHold | None = None
        self.job = ""
        self.started = time.perf_counter()
        self.record = Record()

    @property
    def project(self) -> str:
        """The project of its key: all that it finds, makes and changes is there."""
        return self.key.project

    def key_works(self) -> bool:
        """Whether its key still does, which may have ended since it came."""
        if not self.key.id or self.accounts is None:
            return True
        return self.accounts.key(self.project, self.key.id).works(time.time())

    @property
    def answer_headers(self) -> bytes:
        """Lines that every answer to it has."""
        limits = b"" if self.hold is None else self.hold.headers()
        return b"x-request-id: %b\r\n%b" % (self.id.encode(), limits)

    async def pieces(self, limit: int) -> AsyncIterator[bytes]:
        """The body in pieces of up to about 400 KB, as it comes if the route is a receiving one.

        The client is held back while its reader is busy, so a body of any length takes the memory of two
        pieces. To be read by one reader, once.

        Args:
            limit: in bytes.

        Raises:
            BodyTooLarge: the body is longer; found out before any of it is read if its length was announced.
            BadHttp: the framing is broken (400), or nothing came for too long (408).
        """
        incoming = self.incoming
        if (len(self.body) if incoming is None else incoming.length or 0) > limit:
            raise _too_large(limit)
        if incoming is None:
            if self.body:
                yield self.body
            return
        received = 0
        while piece := await incoming.next_piece():
            received += len(piece)
            if received > limit:
                raise _too_large(limit)
            yield piece


def decoded_path(target: bytes) -> str:
    """The path of a request line's target that has no query any more."""
    if not target.startswith(b"/") and b"://" in target:
        # The form in which a proxy is asked; RFC 9112 wants servers to take it too.
        target = b"/" + target.split(b"://", 1)[1].partition(b"/")[2]
    path = target.decode("utf-8", "replace")
    return unquote(path) if "%" in path else path


def query_values(request: Request, known: Iterable[str]) -> dict[str, str]:
    """The query's values by name; empty ones count as not given.

    Raises:
        InvalidRequest: it has a name that the route does not know, or one twice, or a value with a NUL.
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
        if "\0" in value:
            raise InvalidRequest(f"{name} must not have a NUL character (%00)", param=name)
        values[name] = value
    return values


@dataclass(slots=True)
class Record:
    """What the access log, the metrics and the ledger say of a request.

    `model` is what its caller calls the `deployment` that answers. Times are in seconds since
    `Request.started`, `cost` is in billionths of the currency. Token counts are the engine's own, except that
    of an aborted stream, which counts the tokens that came, and of a prompt of which an attached server says
    nothing, which is estimated.
    """

    route: str = ""
    logged: bool = True
    status: int = 0
    model: str = ""
    deployment: Deployment | None = None
    streamed: bool = False
    outcome: str = ""
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    first_token: float = 0.0
    cost: int = 0


@dataclass(slots=True)
class Response:
    """A whole answer. `headers` are lines that each end in CRLF."""

    body: bytes
    status: int = 200
    content_type: bytes = b"application/json"
    headers: bytes = b""


def _too_large(limit: int) -> BodyTooLarge:
    return BodyTooLarge(f"the request body is larger than the limit of {limit} bytes")
