"""Connections to one engine: kept open, one request at a time on each, answers pushed as they arrive.

The answer's bytes go from the engine's socket to `Sink.on_data` in the same turn of the event loop, so
relaying a token costs no task switch and no new connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import Mapping
from typing import Protocol
from urllib.parse import urlsplit

import httptools

from paddock.errors import EngineFailed, EngineTimeout

CONNECT_SECONDS = 10.0
SWEEP_SECONDS = 1.0


class Sink(Protocol):
    """Takes an answer as it arrives. What it raises ends the exchange and reaches the caller."""

    def on_head(self, status: int, headers: Mapping[bytes, bytes]) -> None: ...

    def on_data(self, data: bytes) -> None: ...


class Body:
    """A sink that keeps the whole answer."""

    __slots__ = ("_parts", "headers", "status")

    def __init__(self) -> None:
        self.status = 0
        self.headers: Mapping[bytes, bytes] = {}
        self._parts: list[bytes] = []

    def on_head(self, status: int, headers: Mapping[bytes, bytes]) -> None:
        self.status = status
        self.headers = headers

    def on_data(self, data: bytes) -> None:
        self._parts.append(data)

    @property
    def data(self) -> bytes:
        return self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)


class Upstream:
    """One engine's HTTP address with its pool of connections.

    Args:
        base_url: `http://127.0.0.1:4711/v1`; its path is the `prefix` of the engine's OpenAI routes.
        api_key: sent as a Bearer token.
        timeout: seconds without a byte from the engine after which a request fails.
        limit: most connections at once, more requests wait their turn; None for no limit. An engine with a
            thread for each connection would leave those beyond its threads waiting behind idle ones.
    """

    def __init__(self, base_url: str, api_key: str | None, timeout: float, limit: int | None = None) -> None:
        parts = urlsplit(base_url)
        self.base_url = base_url
        self.timeout = timeout
        self.in_flight: set[_Connection] = set()
        self._host = parts.hostname or ""
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._port = parts.port or (443 if self._tls else 80)
        self.prefix = parts.path.rstrip("/").encode()
        key = b"authorization: Bearer %b\r\n" % api_key.encode() if api_key else b""
        # Some hosted APIs turn away who does not say what he is.
        self._headers = b"host: %b\r\n%buser-agent: paddock\r\ncontent-type: application/json\r\n" % (
            parts.netloc.rpartition("@")[2].encode(),
            key,
        )
        self._idle: list[_Connection] = []
        self._sweeper: asyncio.TimerHandle | None = None
        self._room = asyncio.Semaphore(limit) if limit else contextlib.nullcontext()

    async def send(
        self, method: bytes, path: bytes, body: bytes, sink: Sink, flow: Flow | None = None
    ) -> None:
        """Sends one request and pushes the answer into `sink` until it is whole.

        Cancelling the call closes the connection, by which the engine learns that nobody waits.

        Raises:
            EngineFailed: no connection, or it broke before the answer was whole.
            EngineTimeout: nothing came for `timeout` seconds.
        """
        data = b"%b %b HTTP/1.1\r\n%bcontent-length: %d\r\n\r\n%b" % (
            method,
            path,
            self._headers,
            len(body),
            body,
        )
        async with self._room:
            await self._send(data, sink, flow)

    def close(self) -> None:
        """Ends idle connections at once, and those in use with an error to their callers."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        for connection in [*self._idle, *self.in_flight]:
            connection.transport.abort()
        self._idle.clear()

    async def _send(self, data: bytes, sink: Sink, flow: Flow | None) -> None:
        while True:
            reused = bool(self._idle)
            connection = self._idle.pop() if reused else await self._connect()
            if flow is not None:
                flow.attach(connection)
            try:
                await self._exchange(connection, data, sink)
            except _ClosedUnused:
                # An engine may close an idle connection just as it is used again: it has seen nothing of
                # this request, so a fresh connection may try once more.
                if reused:
                    continue
                raise EngineFailed("the engine closed the connection without an answer") from None
            return

    async def _exchange(self, connection: _Connection, data: bytes, sink: Sink) -> None:
        self.in_flight.add(connection)
        if self._sweeper is None:
            self._sweep()
        try:
            await connection.exchange(data, sink)
        except BaseException:
            connection.transport.abort()
            raise
        finally:
            self.in_flight.discard(connection)
            connection.release()
        if connection.reusable:
            self._idle.append(connection)
        else:
            connection.transport.close()

    async def _connect(self) -> _Connection:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                _, connection = await loop.create_connection(
                    lambda: _Connection(self._idle), self._host, self._port, ssl=self._tls
                )
        except TimeoutError:
            raise EngineTimeout(
                f"no connection to the engine at {self.base_url} in {CONNECT_SECONDS:g} s"
            ) from None
        except OSError as error:
            raise EngineFailed(
                f"no connection to the engine at {self.base_url}: {error.strerror or error}"
            ) from error
        return connection

    def _sweep(self) -> None:
        """One timer for all requests: silence is measured to the second, not to the millisecond."""
        limit = time.monotonic() - self.timeout
        for connection in list(self.in_flight):
            if connection.touched < limit:
                connection.fail(EngineTimeout(f"the engine sent nothing for {self.timeout:g} seconds"))
        self._sweeper = (
            asyncio.get_running_loop().call_later(SWEEP_SECONDS, self._sweep) if self.in_flight else None
        )


class Flow:
    """Lets a slow reader hold the engine's answer back."""

    __slots__ = ("_connection", "_paused")

    def __init__(self, paused: bool = False) -> None:
        self._connection: _Connection | None = None
        self._paused = paused

    def attach(self, connection: _Connection) -> None:
        """From now on it is this connection that is held back."""
        self._connection = connection
        if self._paused:
            connection.pause()

    def pause(self) -> None:
        self._paused = True
        if self._connection is not None:
            self._connection.pause()

    def resume(self) -> None:
        self._paused = False
        if self._connection is not None:
            self._connection.resume()


class _ClosedUnused(Exception):
    """The connection ended before a byte of an answer came."""


class _Connection(asyncio.Protocol):
    __slots__ = (
        "_answered",
        "_complete",
        "_done",
        "_headers",
        "_idle",
        "_parser",
        "_parts",
        "_paused",
        "_sink",
        "_until_close",
        "reusable",
        "touched",
        "transport",
    )

    def __init__(self, idle: list[_Connection]) -> None:
        self._idle = idle
        self._done: asyncio.Future[None] | None = None
        self._sink: Sink | None = None
        self._headers: dict[bytes, bytes] = {}
        self._parts: list[bytes] = []
        self._answered = False
        self._complete = False
        self._until_close = False
        self._paused = False
        self.reusable = False
        self.touched = 0.0

    async def exchange(self, data: bytes, sink: Sink) -> None:
        self._sink = sink
        self._answered = False
        self._complete = False
        self._until_close = False
        self.reusable = False
        self.touched = time.monotonic()
        self._done = asyncio.get_running_loop().create_future()
        self.transport.write(data)
        await self._done

    def release(self) -> None:
        """The exchange is over: the next one must find the connection reading, and no old sink."""
        self._sink = None
        self.resume()

    def pause(self) -> None:
        if not self._paused and not self.transport.is_closing():
            self._paused = True
            self.transport.pause_reading()

    def resume(self) -> None:
        if self._paused and not self.transport.is_closing():
            self._paused = False
            self.touched = time.monotonic()
            self.transport.resume_reading()

    def fail(self, error: Exception) -> None:
        if self._done is not None and not self._done.done():
            self._done.set_exception(error)

    # ---- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]  # uvloop's has no base class
        self._parser = httptools.HttpResponseParser(self)

    def data_received(self, data: bytes) -> None:
        if self._sink is None:
            # Nobody asked; it must not be taken for the answer to the next request.
            self.transport.abort()
            return
        self.touched = time.monotonic()
        self._answered = True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self.reusable = False
            # What follows a whole answer is nobody's; the connection is not used again.
            if not self._complete:
                self.fail(error.__context__ if isinstance(error.__context__, EngineFailed) else _not_http())
                return
        self._flush()
        if self._complete and self._done is not None and not self._done.done():
            self._done.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if self in self._idle:
            self._idle.remove(self)
        if self._done is None or self._done.done():
            return
        if not self._answered:
            self.fail(_ClosedUnused())
        elif self._until_close and exc is None:
            self._done.set_result(None)
        else:
            self.fail(EngineFailed("the engine closed the connection in the middle of its answer"))

    # ---- llhttp's callbacks

    def on_message_begin(self) -> None:
        self._headers = {}
        self.reusable = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < 200 or self._complete:
            return
        self._until_close = (
            b"content-length" not in self._headers and b"transfer-encoding" not in self._headers
        )
        if self._sink is not None:
            self._sink.on_head(status, self._headers)

    def on_body(self, body: bytes) -> None:
        if not self._complete:
            self._parts.append(body)

    def on_message_complete(self) -> None:
        if self._parser.get_status_code() < 200 or self._complete:
            return
        self._complete = True
        self.reusable = self._parser.should_keep_alive() and not self._until_close

    def _flush(self) -> None:
        """All pieces of one read go on as one: an engine may send many tokens in a packet."""
        if not self._parts or self._sink is None:
            return
        data = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts.clear()
        try:
            self._sink.on_data(data)
        except Exception as error:
            self.fail(error)


def _not_http() -> EngineFailed:
    return EngineFailed("the engine's answer is not HTTP")
