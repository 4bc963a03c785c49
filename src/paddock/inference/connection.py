"""One connection to an engine: a request at a time, the answer pushed on as it arrives."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import httptools

from paddock.errors import EngineFailed, EngineLost
from paddock.inference.gather import LOOK_SECONDS, Gather, LowWater

_READS = 256
"""Most reads of what lies in a socket, of 64 KiB each: more than the kernel keeps, less than an engine that
goes on and on could send.
"""
REST_SECONDS = 1.0
"""How long an engine that was told that nobody waits may take to close the connection."""


class Sink(Protocol):
    """Takes an answer as it arrives. What it raises ends the exchange and reaches the caller."""

    def on_head(self, status: int, headers: Mapping[bytes, bytes]) -> None: ...

    def on_data(self, data: bytes) -> None: ...


class Body:
    """A sink that keeps the whole answer."""

    __slots__ = ("_parts", "headers", "status")

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Another engine begins anew: what came so far is void."""
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


class Flow:
    """Lets a slow reader hold the engine's answer back."""

    __slots__ = ("_connection", "_paused")

    def __init__(self, paused: bool = False) -> None:
        self._connection: Connection | None = None
        self._paused = paused

    def attach(self, connection: Connection) -> None:
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


class ClosedUnused(Exception):
    """The connection ended before a byte of an answer came."""


@dataclass(slots=True)
class Pool:
    """The connections to one engine, by what they do."""

    idle: list[Connection] = field(default_factory=list)
    in_flight: set[Connection] = field(default_factory=set)
    gathering: set[Connection] = field(default_factory=set)
    _look: asyncio.TimerHandle | None = None

    def gather(self, connection: Connection) -> None:
        """Its pieces gather from now on, and are looked for from time to time: one timer for all."""
        self.gathering.add(connection)
        if self._look is None:
            self._look = asyncio.get_running_loop().call_later(LOOK_SECONDS, self._release_late)

    def close(self) -> None:
        """Ends idle connections at once, and those in use with an error to their callers."""
        for connection in self.in_flight:
            connection.take_rest()
        for connection in [*self.idle, *self.in_flight]:
            connection.transport.abort()
        self.idle.clear()

    def _release_late(self) -> None:
        self._look = None
        now = time.monotonic()
        for connection in list(self.gathering):
            connection.release_late(now)
        if self.gathering:
            self._look = asyncio.get_running_loop().call_later(LOOK_SECONDS, self._release_late)


class Connection(asyncio.Protocol):
    """One connection, kept open from one exchange to the next.

    Attributes:
        reusable: whether the exchange that ended leaves it fit for another.
        touched: `time.monotonic()` at the last sign of life of the engine.
    """

    __slots__ = (
        "_answered",
        "_complete",
        "_counted",
        "_counted_from",
        "_done",
        "_gather",
        "_given_up",
        "_headers",
        "_low_water",
        "_parser",
        "_parts",
        "_paused",
        "_pool",
        "_sink",
        "_until_close",
        "reusable",
        "touched",
        "transport",
    )

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._gather: Gather | None = None
        self._counted = 0
        self._counted_from = 0.0
        self._done: asyncio.Future[None] | None = None
        self._sink: Sink | None = None
        self._headers: dict[bytes, bytes] = {}
        self._parts: list[bytes] = []
        self._answered = False
        self._complete = False
        self._until_close = False
        self._paused = False
        self._given_up = False
        self.reusable = False
        self.touched = 0.0

    @property
    def held_back(self) -> bool:
        """Whether its reader has stopped, and it is not read for that."""
        return self._paused

    async def exchange(self, data: bytes, sink: Sink, gather: Gather | None) -> None:
        """One request and its answer.

        Args:
            gather: how its pieces may gather; the request must have asked the engine to close the connection
                at the end of the answer, since nothing else shows that the last pieces are the last.
        """
        self._sink = sink
        self._gather = gather
        self._counted_from = 0.0
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
        self._release_pieces()

    def release_late(self, now: float) -> None:
        """Makes the socket readable if pieces have lain in the kernel for as long as they may."""
        if self._gather is None or self.touched < now - self._gather.seconds:
            self._release_pieces()

    async def give_up(self) -> None:
        """Tells the engine that nobody waits any more, and takes what it has sent until it knows.

        Only our side of the connection is closed: what the engine has sent is neither lost on the way nor in
        a socket that nobody reads, so what was counted is what it sent. Over TLS, which knows no half-closed
        connection, only what has been read counts.
        """
        transport = self.transport
        if self._complete or transport.is_closing() or not transport.can_write_eof():
            return
        self._given_up = True
        self._gather = None
        self._release_pieces()
        self.resume()
        self._done = asyncio.get_running_loop().create_future()
        transport.write_eof()
        # However it ends, and whatever the sink says of it: nobody is left to be told.
        with contextlib.suppress(Exception):
            async with asyncio.timeout(REST_SECONDS):
                await self._done

    def take_rest(self) -> None:
        """Reads what lies in the socket, for the count of an answer whose connection is ended at once."""
        transport = self.transport
        if transport.is_closing() or not transport.can_write_eof():
            return
        descriptor = transport.get_extra_info("socket").fileno()
        try:
            for _ in range(_READS):
                if not (data := os.read(descriptor, 65536)):
                    return
                self.data_received(data)
        except OSError:
            return  # nothing is left, or the engine has gone

    def pause(self) -> None:
        if not self._paused and not self._given_up and not self.transport.is_closing():
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
        self._low_water = LowWater(transport.get_extra_info("socket"))

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
        flushed = self._flush()
        if flushed and self._gather is not None and not self._complete:
            self._adapt(len(data))
        if self._complete and self._done is not None and not self._done.done():
            self._done.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if self in self._pool.idle:
            self._pool.idle.remove(self)
        if self._done is None or self._done.done():
            return
        if not self._answered:
            self.fail(ClosedUnused())
        elif self._until_close and exc is None:
            self._done.set_result(None)
        else:
            self.fail(EngineLost("the engine closed the connection in the middle of its answer"))

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
        if self._parser.should_keep_alive():
            self._gather = None
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

    def _adapt(self, size: int) -> None:
        """Lets as much gather as this engine sends in the time that pieces may lie."""
        gather = self._gather
        if gather is None or len(self._pool.in_flight) < gather.from_requests:
            self._counted_from = 0.0
            self._release_pieces()
            return
        if not self._counted_from:
            # The first piece says nothing: it came when the prompt was read.
            self._counted, self._counted_from = 0, self.touched
            return
        self._counted += size
        seconds = self.touched - self._counted_from
        if seconds < LOOK_SECONDS:
            return
        if self._low_water.follow(self._counted / seconds * gather.seconds):
            self._pool.gather(self)
        else:
            self._pool.gathering.discard(self)
        self._counted, self._counted_from = 0, self.touched

    def _release_pieces(self) -> None:
        """Pieces do not gather any more; what has gathered makes the socket readable."""
        if self in self._pool.gathering:
            self._pool.gathering.discard(self)
            if not self.transport.is_closing():
                self._low_water.set(1)

    def _flush(self) -> bool:
        """All pieces of one read go on as one: an engine may send many tokens in a packet.

        Returns: whether there were any.
        """
        if not self._parts or self._sink is None:
            return False
        data = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts.clear()
        try:
            self._sink.on_data(data)
        except Exception as error:
            self.fail(error)
        return True


def _not_http() -> EngineFailed:
    return EngineFailed("the engine's answer is not HTTP")
