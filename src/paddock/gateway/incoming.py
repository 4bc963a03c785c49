"""The body of a request whose route reads it while it is received."""

from __future__ import annotations

import asyncio
import math
import time
from typing import Protocol

from paddock.errors import PaddockError

HIGH_WATER = 128 * 1024
"""Bytes that may wait for the reader; while there are more, the socket is left unread. What one read of the
socket brings comes on top: at most 256 KB."""


class Sender(Protocol):
    """The connection that a body comes by."""

    def hold(self) -> None:
        """Lets the client wait."""

    def read_on(self) -> None:
        """Ends `hold`, unless there is another reason for it."""

    def invite(self) -> None:
        """Tells a client that asked before it sends (`Expect: 100-continue`) to go on."""


class Incoming:
    """One body, filled by its connection and emptied by one reader, who holds the connection back.

    Attributes:
        length: in bytes, as the client announced it; None if it did not.
        complete: whether all of it was received, if not yet read.
        wanted_since: `time.monotonic()` when the reader began to wait for more; infinity if it does not wait.
    """

    __slots__ = ("_asks", "_error", "_sender", "_waiter", "_waiting", "complete", "length", "wanted_since")

    def __init__(self, sender: Sender, length: int | None, *, asks: bool) -> None:
        """
        Args:
            asks: the client sends nothing before it is invited.
        """
        self.length = length
        self.complete = False
        self.wanted_since = math.inf
        self._sender = sender
        self._asks = asks
        self._waiting: bytes | bytearray = b""
        self._error: PaddockError | None = None
        self._waiter: asyncio.Future[None] | None = None

    @property
    def full(self) -> bool:
        return len(self._waiting) >= HIGH_WATER

    # ---- the connection calls these

    def feed(self, data: bytes) -> None:
        if not self._waiting:
            self._waiting = data
        else:
            # Chunks may be of a few bytes each: as one they take the memory that they say they take.
            if isinstance(self._waiting, bytes):
                self._waiting = bytearray(self._waiting)
            self._waiting += data
        if self.full:
            self._sender.hold()
        self._wake()

    def finish(self) -> None:
        self.complete = True
        self._wake()

    def fail(self, error: PaddockError) -> None:
        """The rest will not come, or cannot be understood. The first reason is the one that is told."""
        self._error = self._error or error
        self._waiting = b""
        self._wake()

    def drop(self) -> None:
        """Nobody will read what waits."""
        self._waiting = b""
        self._sender.read_on()

    # ---- the reader calls this

    async def next_piece(self) -> bytes:
        """What has come since the last piece; nothing at the end of the body.

        Raises:
            PaddockError: as `fail` was told.
        """
        while not self._waiting:
            if self._error is not None:
                raise self._error
            if self.complete:
                return b""
            if self._asks:
                self._asks = False
                self._sender.invite()
            await self._more()
        piece, self._waiting = bytes(self._waiting), b""
        self._sender.read_on()
        return piece

    # ---- private

    async def _more(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        self.wanted_since = time.monotonic()
        try:
            await self._waiter
        finally:
            self._waiter = None
            self.wanted_since = math.inf

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
