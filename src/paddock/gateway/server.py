"""An HTTP/1.1 server for the relay: llhttp parses, uvloop moves the bytes, nothing stands between.

Why not a ready-made server is measured in docs/adr/0001-own-http-server.md. One request at a time is
handled on a connection; pipelined ones wait their turn. A connection that the client closes cancels
the task that answers it, which is what stops an engine from generating for nobody.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections import deque
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from os import urandom

import httptools

from paddock.gateway.head import status_line, without_upgrade
from paddock.gateway.http import Request

MAX_HEADER_BYTES = 64 * 1024
MAX_PIPELINED = 16
"""Requests that may wait on one connection; what comes after them is left in the socket."""
BACKLOG = 2048
LINGER_SECONDS = 2.0
IDLE_SECONDS = 75.0
RECEIVE_SECONDS = 60.0
"""How long a client may take between two pieces of one request."""

Handler = Callable[[Request], Awaitable[None]]
Refusal = Callable[[int, str], bytes]
"""Renders the body of an error met before a request is whole: (status, message) -> JSON."""


class HttpServer:
    """Accepts connections and hands whole requests to `handler`.

    Args:
        handler: answers one request through its `connection`; must not raise.
        refuse: renders errors of the HTTP layer itself (400, 408, 413, 431).
        max_body: largest request body in bytes.
    """

    def __init__(self, handler: Handler, refuse: Refusal, max_body: int) -> None:
        self.handler = handler
        self.refuse = refuse
        self.max_body = max_body
        self.connections: set[Connection] = set()
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
        """Stops listening and ends every connection."""
        if self._clock is not None:
            self._clock.cancel()
        if self._server is not None:
            self._server.close()
        tasks = [connection.task for connection in self.connections if connection.task is not None]
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

    def start_stream(self, status: int, headers: bytes) -> None:
        """Starts a response whose length is not known yet."""
        if self._closing:
            return
        self.started_response = True
        assert self.request is not None
        self._chunked = self.request.http_1_1
        if not self._chunked:
            # HTTP/1.0 has no other mark for the end of it.
            self.request.keep_alive = False
        framing = b"transfer-encoding: chunked\r\n" if self._chunked else b""
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
        elif self._receiving and self.request is None and now - self._touched > RECEIVE_SECONDS:
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
        length = self._headers.get(b"content-length", b"0")
        if length.isdigit() and int(length) > self.server.max_body:
            self._refuse_body()
        if self._headers.get(b"expect", b"").lower() == b"100-continue" and self.request is None:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
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
        body, self._body = bytes(self._body), b""
        request = Request(
            self,
            self._parser.get_method().decode("ascii", "replace"),
            self._url,
            self._headers,
            body,
            self._parser.get_http_version() == "1.1",
            self._parser.should_keep_alive(),
        )
        if self.request is None:
            self._begin(request)
        else:
            self._queue.append(request)
            if len(self._queue) == MAX_PIPELINED:
                self._transport.pause_reading()

    # ---- private

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
        if not request.keep_alive or self.server.draining:
            self.close()
        elif self._queue and not self._closing:
            if len(self._queue) == MAX_PIPELINED:
                self._transport.resume_reading()
            self._begin(self._queue.popleft())
        elif self._pending_refusal is not None:
            self._refuse(*self._pending_refusal)

    def _connection_line(self) -> bytes:
        assert self.request is not None
        if self.request.keep_alive and not self.server.draining:
            return b"" if self.request.http_1_1 else b"connection: keep-alive\r\n"
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
        # The client may still be sending: closing at once would reset the connection before it reads the
        # answer, so what it sends is read and dropped for a moment.
        self._closing = True
        if self._transport.can_write_eof():
            self._transport.write_eof()
        asyncio.get_running_loop().call_later(LINGER_SECONDS, self._transport.close)


class _Refused(Exception):
    """Unwinds llhttp's callbacks after an answer was sent."""
