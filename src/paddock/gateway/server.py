"""An HTTP/1.1 server for the relay: llhttp parses, uvloop moves the bytes, nothing stands between.

Why not a ready-made server is measured in docs/adr/0001-own-http-server.md. One request at a time is
handled on a connection; pipelined ones wait their turn. A connection that the client closes cancels
the task that answers it, which is what stops an engine from generating for nobody. While the body of a
receiving route's request is held back, a client that leaves is noticed with the next piece that is read.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections import deque
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from os import urandom

import httptools

from paddock.gateway.head import status_line, without_upgrade
from paddock.gateway.http import BadHttp, Request
from paddock.gateway.incoming import Incoming

MAX_HEADER_BYTES = 64 * 1024
MAX_PIPELINED = 16
"""Requests that may wait on one connection; what comes after them is left in the socket."""
SMALL_BODY = 64 * 1024
"""Bodies up to this length in bytes are received whole for every route: they are not worth a question."""
BACKLOG = 2048
LINGER_SECONDS = 2.0
IDLE_SECONDS = 75.0
RECEIVE_SECONDS = 60.0
"""How long a client may take between two pieces of one request."""
_NO_LINGER = struct.pack("ii", 1, 0)
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

Handler = Callable[[Request], Awaitable[None]]
Refusal = Callable[[int, str], bytes]
"""Renders the body of an error met before a request is whole: (status, message) -> JSON."""
Receives = Callable[[bytes, bytes], bool]
"""Whether the body of a request is read as it comes: (method, target) -> bool."""


def receives_none(method: bytes, target: bytes) -> bool:
    return False


class HttpServer:
    """Accepts connections and hands requests to `handler`, whole but for large ones that it `receives`.

    Args:
        handler: answers one request through its `connection`; must not raise.
        refuse: renders errors of the HTTP layer itself (400, 408, 413, 431).
        max_body: largest body in bytes of a request that the handler does not receive.
        receives: tells the requests that are handed over with their head; the handler reads their `pieces`
            and sets their limit.

    Attributes:
        leaving: what still runs for callers that have left.
    """

    def __init__(
        self, handler: Handler, refuse: Refusal, max_body: int, receives: Receives = receives_none
    ) -> None:
        self.handler = handler
        self.refuse = refuse
        self.max_body = max_body
        self.receives = receives
        self.small_body = min(SMALL_BODY, max_body)
        self.connections: set[Connection] = set()
        self.leaving: set[asyncio.Task[None]] = set()
        self.date = b""
        self.draining = False
        self._server: asyncio.Server | None = None
        self._clock: asyncio.TimerHandle | None = None

    async def listen(self, host: str, port: int) -> int:
        """Binds and listens. Returns the port, which differs from the one asked for if that was 0.

        Raises:
            OSError: the address cannot be bound.
        """
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Connection(self), host, port, backlog=BACKLOG)
        self._tick()
        return int(self._server.sockets[0].getsockname()[1])

    async def listen_on(self, listener: socket.socket) -> None:
        """Takes connections from a socket that listens already, perhaps beside other processes."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Connection(self), sock=listener, backlog=BACKLOG)
        self._tick()

    def drain(self) -> None:
        """Lets connections end with their next answer; idle ones are told to come back, not cut off."""
        self.draining = True

    async def close(self) -> None:
        """Stops listening and ends every connection; returns when what they had running has ended."""
        if self._clock is not None:
            self._clock.cancel()
        if self._server is not None:
            self._server.close()
        tasks = [connection.task for connection in self.connections if connection.task is not None]
        tasks += self.leaving
        for connection in list(self.connections):
            connection.abort()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _tick(self) -> None:
        """Once a second: the Date header, and one sweep instead of a timer for each connection."""
        self.date = b"date: " + formatdate(usegmt=True).encode() + b"\r\n"
        now = time.monotonic()
        for connection in list(self.connections):
            connection.check_time(now)
        self._clock = asyncio.get_running_loop().call_later(1.0, self._tick)


class Connection(asyncio.Protocol):
    """One client connection: parses requests, writes responses, keeps their order."""

    __slots__ = (
        "_body",
        "_chunked",
        "_closing",
        "_head_size",
        "_headers",
        "_in_head",
        "_incoming",
        "_parser",
        "_pending_refusal",
        "_queue",
        "_receiving",
        "_touched",
        "_transport",
        "_unfinished",
        "_url",
        "on_pause",
        "on_resume",
        "paused",
        "peer",
        "request",
        "server",
        "started_response",
        "task",
    )

    def __init__(self, server: HttpServer) -> None:
        self.server = server
        self.peer = ""
        self.request: Request | None = None
        self.task: asyncio.Task[None] | None = None
        self.started_response = False
        self.on_pause: Callable[[], None] | None = None
        self.on_resume: Callable[[], None] | None = None
        self.paused = False
        self._pending_refusal: tuple[int, str] | None = None
        self._queue: deque[Request] = deque()
        self._incoming: Incoming | None = None
        self._receiving = False
        self._closing = False
        self._chunked = False
        self._touched = time.monotonic()
        self._url = b""
        self._headers: dict[bytes, bytes] = {}
        self._in_head = True
        self._head_size = 0
        self._unfinished = -1
        self._body: bytes | bytearray = b""

    # ---- what answers a request calls these

    def respond(self, status: int, headers: bytes, body: bytes) -> None:
        """Sends a whole response. `headers` are lines that each end in CRLF."""
        request = self.request
        if request is None or self._closing:
            return
        self.started_response = True
        content = b"" if request.method == "HEAD" else body
        self._transport.write(
            b"%b%b%b%bcontent-length: %d\r\n\r\n%b"
            % (status_line(status), self.server.date, headers, self._connection_line(), len(body), content)
        )

    def start_stream(self, status: int, headers: bytes, length: int | None = None) -> None:
        """Starts a response that is written in pieces; to HEAD there must be none.

        Args:
            length: of all pieces together in bytes, if it is known.
        """
        if self._closing:
            return
        self.started_response = True
        request = self.request
        assert request is not None
        self._chunked = False
        if length is not None:
            framing = b"content-length: %d\r\n" % length
        elif request.http_1_1:
            self._chunked = request.method != "HEAD"
            framing = b"transfer-encoding: chunked\r\n"
        else:
            # HTTP/1.0 has no other mark for the end of it.
            request.keep_alive = False
            framing = b""
        self._transport.write(
            b"%b%b%b%b%b\r\n"
            % (status_line(status), self.server.date, headers, self._connection_line(), framing)
        )

    def write(self, data: bytes) -> None:
        """Sends one piece of a streamed response at once."""
        if data and not self._closing:
            self._transport.write(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)

    def end_stream(self) -> None:
        if self._chunked and not self._closing:
            self._transport.write(b"0\r\n\r\n")

    @property
    def idle(self) -> bool:
        return self.request is None and not self._receiving

    def check_time(self, now: float) -> None:
        if self.idle:
            if now - self._touched > IDLE_SECONDS:
                self.close()
        elif self._receiving and now - self._touched > RECEIVE_SECONDS:
            incoming = self._incoming
            # A body that is held back, or not asked for yet, is not the client's to hurry.
            since = incoming.wanted_since if incoming is not None else self._touched
            awaited = self.request is None or incoming is not None
            if awaited and now - since > RECEIVE_SECONDS:
                self._refuse(
                    408, f"the request was not received whole: nothing came for {RECEIVE_SECONDS:g} seconds"
                )

    def close(self) -> None:
        """Ends the connection once what was written has been sent."""
        self._closing = True
        self._transport.close()

    def abort(self) -> None:
        self._closing = True
        self._transport.abort()

    def reset(self) -> None:
        """Ends the connection by an error, where its plain end would be the end of the answer."""
        if not self._closing:
            peer = self._transport.get_extra_info("socket")
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
            self.abort()

    # ---- the body of a request that is read as it comes calls these

    def hold(self) -> None:
        self._transport.pause_reading()

    def read_on(self) -> None:
        held = len(self._queue) >= MAX_PIPELINED or (self._incoming is not None and self._incoming.full)
        if not held and not self._transport.is_closing():
            self._transport.resume_reading()

    def invite(self) -> None:
        if not self._closing:
            self._transport.write(_CONTINUE)

    # ---- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]  # uvloop's has no base class
        self._parser = httptools.HttpRequestParser(self)
        peer = transport.get_extra_info("peername")
        self.peer = peer[0] if isinstance(peer, tuple) else "unix"
        self.server.connections.add(self)

    def data_received(self, data: bytes) -> None:
        if self._closing or self._pending_refusal is not None:
            return
        self._touched = time.monotonic()
        try:
            self._parser.feed_data(data)
            if self._receiving and self._in_head:
                self._count_unfinished(len(data))
        except httptools.HttpParserUpgrade as upgrade:
            self._decline_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserCallbackError as error:
            # llhttp wraps what our own callbacks raise; only the refusals below do.
            if not isinstance(error.__context__, _Refused):
                raise
        except httptools.HttpParserError:
            self._refuse(400, "this is not HTTP/1.1: the request line, a header or a chunk is malformed")
        except _Refused:
            return

    def connection_lost(self, exc: Exception | None) -> None:
        self._closing = True
        self.server.connections.discard(self)
        self._queue.clear()
        if self.task is not None:
            # It may take a moment to count what was made for the caller.
            self.server.leaving.add(self.task)
            self.task.add_done_callback(self.server.leaving.discard)
            self.task.cancel()

    def pause_writing(self) -> None:
        self.paused = True
        if self.on_pause is not None:
            self.on_pause()

    def resume_writing(self) -> None:
        self.paused = False
        if self.on_resume is not None:
            self.on_resume()

    # ---- llhttp's callbacks

    def on_message_begin(self) -> None:
        self._receiving = True
        self._url = b""
        self._headers = {}
        self._in_head = True
        self._head_size = 0
        self._unfinished = -1
        self._body = b""

    def on_url(self, url: bytes) -> None:
        self._url += url
        self._count_head(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        # What follows a chunked body must not replace what came before it.
        if self._in_head:
            self._headers[name.lower()] = value
        self._count_head(len(name) + len(value))

    def on_headers_complete(self) -> None:
        self._in_head = False
        if self._parser.should_upgrade():
            return
        announced = self._headers.get(b"content-length")
        length = int(announced) if announced is not None and announced.isdigit() else 0
        large = length > self.server.small_body or (
            announced is None and b"transfer-encoding" in self._headers
        )
        if large and self.server.receives(self._parser.get_method(), self._url):
            self._receive(None if announced is None else length)
            return
        if length > self.server.max_body:
            self._refuse_body()
        if self._headers.get(b"expect", b"").lower() == b"100-continue" and self.request is None:
            self._transport.write(_CONTINUE)

    def on_body(self, body: bytes) -> None:
        if self._incoming is not None:
            self._incoming.feed(body)
            return
        if len(self._body) + len(body) > self.server.max_body:
            self._refuse_body()
        if not self._body:
            self._body = body
            return
        if isinstance(self._body, bytes):
            self._body = bytearray(self._body)
        self._body += body

    def on_message_complete(self) -> None:
        if self._parser.should_upgrade():
            return
        self._receiving = False
        if self._incoming is not None:
            self._incoming.finish()
            self._incoming = None
            return
        body, self._body = bytes(self._body), b""
        self._hand_over(body, None)

    # ---- private

    def _receive(self, length: int | None) -> None:
        """Hands a request over of which only the head has come."""
        asks = self._headers.get(b"expect", b"").lower() == b"100-continue"
        # RFC 9110 has an HTTP/1.0 client's expectation ignored.
        asks = asks and self._parser.get_http_version() == "1.1"
        self._incoming = Incoming(self, length, asks=asks)
        self._hand_over(b"", self._incoming)

    def _hand_over(self, body: bytes, incoming: Incoming | None) -> None:
        request = Request(
            self,
            self._parser.get_method().decode("ascii", "replace"),
            self._url,
            self._headers,
            body,
            self._parser.get_http_version() == "1.1",
            self._parser.should_keep_alive(),
            incoming,
        )
        if self.request is None:
            self._begin(request)
        else:
            self._queue.append(request)
            if len(self._queue) == MAX_PIPELINED:
                self._transport.pause_reading()

    def _begin(self, request: Request) -> None:
        self.request = request
        self.started_response = False
        self.task = asyncio.get_running_loop().create_task(self._answer(request))

    async def _answer(self, request: Request) -> None:
        try:
            await self.server.handler(request)
        except asyncio.CancelledError:
            # Only connection_lost and close() cancel: nobody is left to be told.
            self.abort()
        finally:
            self.task = None
            self.on_pause = self.on_resume = None
            self.request = None
            self._touched = time.monotonic()
        if request.incoming is not None and not self._closing and not self._settle(request.incoming):
            return
        if not request.keep_alive or self.server.draining:
            self.close()
        elif self._queue and not self._closing:
            following = self._queue.popleft()
            if len(self._queue) == MAX_PIPELINED - 1:
                self.read_on()
            self._begin(following)
        elif self._pending_refusal is not None:
            self._refuse(*self._pending_refusal)

    def _settle(self, incoming: Incoming) -> bool:
        """After the answer to a request that was read as it came: whether the connection may go on."""
        if not incoming.complete:
            self._linger()
            return False
        incoming.drop()
        return True

    def _connection_line(self) -> bytes:
        request = self.request
        assert request is not None
        if request.incoming is not None and not request.incoming.complete:
            # Answered before its body was received, the rest of which is not worth waiting for.
            request.keep_alive = False
        if request.keep_alive and not self.server.draining:
            return b"" if request.http_1_1 else b"connection: keep-alive\r\n"
        return b"connection: close\r\n"

    def _decline_upgrade(self, rest: bytes) -> None:
        """Reads the request as if no upgrade had been offered, as RFC 9110 has it.

        Java's HTTP client offers HTTP/2 with its first request, and llhttp then leaves the body unread.
        """
        method = self._parser.get_method()
        if method == b"CONNECT":
            self._refuse(405, "this server is no proxy: it does not take CONNECT")
            return
        head = without_upgrade(method, self._url, self._headers)
        self._parser = httptools.HttpRequestParser(self)
        self.data_received(head + rest)

    def _count_head(self, size: int) -> None:
        self._head_size += size
        if self._head_size > MAX_HEADER_BYTES:
            self._refuse_head()

    def _count_unfinished(self, size: int) -> None:
        """llhttp hands a header over when it is whole, and until then keeps it however long it gets.

        The read in which a head began may hold much else, so it does not count.
        """
        self._unfinished = 0 if self._unfinished < 0 else self._unfinished + size
        if self._unfinished > MAX_HEADER_BYTES:
            self._refuse_head()

    def _refuse_head(self) -> None:
        self._refuse(431, f"the request line and headers are longer than {MAX_HEADER_BYTES} bytes")
        raise _Refused

    def _refuse_body(self) -> None:
        limit = self.server.max_body
        self._refuse(413, f"the request body is larger than this server's limit of {limit} bytes")
        raise _Refused

    def _refuse(self, status: int, message: str) -> None:
        if self._closing:
            return
        if self._incoming is not None:
            # The fault is in a body that its route reads: the route's dialect tells the client.
            self._incoming.fail(BadHttp(status, message))
            return
        if self.request is not None:
            # Pipelined behind one that is being answered: its turn comes.
            self._pending_refusal = self._pending_refusal or (status, message)
            return
        body = self.server.refuse(status, message)
        self._transport.write(
            b"%b%bcontent-type: application/json\r\nx-request-id: %b\r\nconnection: close\r\n"
            b"content-length: %d\r\n\r\n%b"
            % (status_line(status), self.server.date, urandom(16).hex().encode(), len(body), body)
        )
        self._linger()

    def _linger(self) -> None:
        """Ends the connection after an answer that the client may be too busy sending to read.

        Closing at once would reset the connection before it does, so what it sends is read and dropped for
        a moment.
        """
        self._closing = True
        if self._transport.is_closing():
            return
        self._transport.resume_reading()
        if self._transport.can_write_eof():
            self._transport.write_eof()
        asyncio.get_running_loop().call_later(LINGER_SECONDS, self._transport.close)


class _Refused(Exception):
    """Unwinds llhttp's callbacks after an answer was sent."""
