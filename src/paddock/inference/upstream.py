"""Connections to one engine: kept open, one request at a time on each, answers pushed as they arrive.

The answer's bytes go from the engine's socket to `Sink.on_data` in the same turn of the event loop, so
relaying a token costs no task switch and no new connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from urllib.parse import urlsplit

from paddock.errors import BudgetSpent, EngineLost, EngineTimeout, ReaderStalled
from paddock.inference import timeline
from paddock.inference.connection import ClosedUnused, Connection, Flow, Pool, Sink
from paddock.inference.gather import AVAILABLE, Gather

CONNECT_SECONDS = 10.0
SWEEP_SECONDS = 1.0


class Upstream:
    """One engine's HTTP address with its pool of connections.

    Args:
        base_url: `http://127.0.0.1:4711/v1`; its path is the `prefix` of the engine's OpenAI routes.
        api_key: sent as a Bearer token.
        timeout: seconds without a byte from the engine after which a request fails.
        limit: most connections at once, more requests wait their turn; None for no limit. An engine with a
            thread for each connection would leave those beyond its threads waiting behind idle ones.
        closes: whether the engine closes a connection after a stream anyway. It is asked to then, and the
            pieces of streams may gather.
    """

    def __init__(
        self,
        base_url: str,
        api_key: str | None,
        timeout: float,
        limit: int | None = None,
        *,
        closes: bool = False,
    ) -> None:
        parts = urlsplit(base_url)
        self.base_url = base_url
        self.timeout = timeout
        self.limit = limit
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
        self._closes = closes and self._tls is None and AVAILABLE
        self._pool = Pool()
        self._sweeper: asyncio.TimerHandle | None = None
        self._room = asyncio.Semaphore(limit) if limit else contextlib.nullcontext()

    @property
    def in_flight(self) -> int:
        """Requests that the engine is answering."""
        return len(self._pool.in_flight)

    async def send(
        self,
        method: bytes,
        path: bytes,
        body: bytes,
        sink: Sink,
        flow: Flow | None = None,
        gather: Gather | None = None,
    ) -> None:
        """Sends one request and pushes the answer into `sink` until it is whole.

        Args:
            gather: how the pieces of a stream may gather, if the engine is one of those that allow it.

        Cancelling the call tells the engine that nobody waits, and so does a sink that has nothing left to
        pay with; what the engine has sent until then goes into `sink`, for which the call may last a second
        longer. A second cancellation ends it at once.

        Raises:
            EngineFailed: no connection, or it broke before the answer was whole.
            EngineTimeout: nothing came for `timeout` seconds.
        ReaderStalled: nothing was read for as long, because `flow` held it back.
        """
        if not self._closes:
            gather = None
        data = b"%b %b HTTP/1.1\r\n%b%bcontent-length: %d\r\n\r\n%b" % (
            method,
            path,
            self._headers,
            b"connection: close\r\n" if gather else b"",
            len(body),
            body,
        )
        waits = isinstance(self._room, asyncio.Semaphore) and self._room.locked()
        began = time.perf_counter() if waits else 0.0
        async with self._room:
            if waits:
                timeline.queued(began)
            await self._send(data, sink, flow, gather)

    def close(self) -> None:
        """Ends idle connections at once, and those in use with an error to their callers."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        self._pool.close()

    async def _send(self, data: bytes, sink: Sink, flow: Flow | None, gather: Gather | None) -> None:
        idle = self._pool.idle
        while True:
            reused = bool(idle)
            connection = idle.pop() if reused else await self._connect()
            if flow is not None:
                flow.attach(connection)
            try:
                await self._exchange(connection, data, sink, gather)
            except ClosedUnused:
                # An engine may close an idle connection just as it is used again: it has seen nothing of
                # this request, so a fresh connection may try once more.
                if reused:
                    continue
                raise EngineLost("the engine closed the connection without an answer") from None
            return

    async def _exchange(self, connection: Connection, data: bytes, sink: Sink, gather: Gather | None) -> None:
        self._pool.in_flight.add(connection)
        if self._sweeper is None:
            self._sweep()
        try:
            await connection.exchange(data, sink, gather)
        except (asyncio.CancelledError, BudgetSpent):
            try:
                await connection.give_up()
            finally:
                connection.transport.abort()
            raise
        except (EngineTimeout, ReaderStalled):
            connection.take_rest()
            connection.transport.abort()
            raise
        except BaseException:
            connection.transport.abort()
            raise
        finally:
            self._pool.in_flight.discard(connection)
            connection.release()
        if connection.reusable:
            self._pool.idle.append(connection)
        else:
            connection.transport.close()

    async def _connect(self) -> Connection:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                _, connection = await loop.create_connection(
                    lambda: Connection(self._pool), self._host, self._port, ssl=self._tls
                )
        except TimeoutError:
            raise EngineTimeout(
                f"no connection to the engine at {self.base_url} in {CONNECT_SECONDS:g} s"
            ) from None
        except OSError as error:
            raise EngineLost(
                f"no connection to the engine at {self.base_url}: {error.strerror or error}"
            ) from error
        return connection

    def _sweep(self) -> None:
        """One timer for all requests: silence is measured to the second, not to the millisecond."""
        limit = time.monotonic() - self.timeout
        for connection in list(self._pool.in_flight):
            if connection.touched >= limit:
                continue
            if connection.held_back:
                # It would hold a place in the engine for as long as it likes.
                connection.fail(
                    ReaderStalled(f"the caller took nothing of the answer for {self.timeout:g} seconds")
                )
            else:
                connection.fail(EngineTimeout(f"the engine sent nothing for {self.timeout:g} seconds"))
        self._sweeper = (
            asyncio.get_running_loop().call_later(SWEEP_SECONDS, self._sweep) if self.in_flight else None
        )
