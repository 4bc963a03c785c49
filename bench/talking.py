"""Connections that ask one request after the other and may leave within an answer, many in one process."""

from __future__ import annotations

import asyncio
from typing import cast

from bench import probe
from bench.servers import HOST

CONNECT_SECONDS = 30.0
PATIENCE = 60.0


class Connection(asyncio.Protocol):
    """One request at a time.

    Attributes:
        lost: it can be used no more.
    """

    def __init__(self) -> None:
        self.lost = False
        self._received = bytearray()
        self._pieces = 0
        self._pause = 0.0
        self._done: asyncio.Future[None] | None = None

    async def ask(self, request: bytes, pieces: int = 0, pause: float = 0.0) -> bytearray:
        """What came until the answer's end, or until the connection's.

        Args:
            pieces: leave it at so many events.
            pause: seconds for which nothing is read after the first bytes.
        """
        self._received, self._pieces, self._pause = bytearray(), pieces, pause
        self._done = asyncio.get_running_loop().create_future()
        if not self.lost:
            self.transport.write(request)
            async with asyncio.timeout(PATIENCE):
                await self._done
        return self._received

    def leave(self, at_once: bool) -> None:
        """
        Args:
            at_once: without a word, as a program does that ends.
        """
        self.lost = True
        if at_once:
            self.transport.abort()
        else:
            self.transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self._pause:
            self.transport.pause_reading()
            asyncio.get_running_loop().call_later(self._pause, self._go_on)
            self._pause = 0.0
        enough = self._pieces and self._received.count(b"data: ") >= self._pieces
        if enough or probe.is_whole(self._received):
            self._finish()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        self._finish()

    def _go_on(self) -> None:
        if not self.transport.is_closing():
            self.transport.resume_reading()

    def _finish(self) -> None:
        if self._done is not None and not self._done.done():
            self._done.set_result(None)


async def connect(port: int) -> Connection:
    """To a server that may be gone for a while.

    Raises:
        OSError: it is gone for longer.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + CONNECT_SECONDS
    while True:
        try:
            return (await loop.create_connection(Connection, HOST, port))[1]
        except OSError:
            if loop.time() > deadline:
                raise
            await asyncio.sleep(0.02)


def head(got: bytearray) -> tuple[str, int]:
    """The answer's id and status, as far as its head came."""
    start = bytes(got.partition(b"\r\n\r\n")[0])
    if len(start) == len(got):
        return "", 0
    return start.partition(b"x-request-id: ")[2][:32].decode(), int(start[9:12])
