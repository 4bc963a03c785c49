"""Several pieces of an answer in one system call: the kernel waits for more before it wakes us.

To relay a token costs a read, a write and the waking of two processes, whatever its size. An engine that
makes thousands of tokens a second for several callers spends more on that than on the tokens. So where it
sends fast, the socket becomes readable only when about as much is there as comes in a given time, when that
time is over, or when the engine has closed it.
"""

from __future__ import annotations

import socket
import sys
from typing import NamedTuple, Protocol

AVAILABLE = sys.platform == "linux"
"""Elsewhere a lower mark need not wake who waits for what lies there already."""
LOOK_SECONDS = 0.008
"""Between two looks for pieces that have gathered for long enough; in less time no rate can be told."""
LEAST = 512
"""Bytes; less is a token or two, for which waking up is right."""
MOST = 4 * 1024


class Gather(NamedTuple):
    """How pieces of an answer may gather.

    Attributes:
        seconds: how long a piece may lie in the kernel; it is seen to `LOOK_SECONDS` later at the most.
        from_requests: requests in flight to the engine from which it pays; with fewer each piece is read as
            it comes.
    """

    seconds: float
    from_requests: int


class Socket(Protocol):
    """What asyncio and uvloop let one have of a transport's socket."""

    def setsockopt(self, level: int, option: int, value: int, /) -> None: ...


class LowWater:
    """The number of bytes from which a socket is readable (SO_RCVLOWAT)."""

    __slots__ = ("_mark", "_socket")

    def __init__(self, socket: Socket) -> None:
        self._socket = socket
        self._mark = 1

    def follow(self, wanted: float) -> bool:
        """Keeps the mark near `wanted` bytes. Whether it is above one byte now."""
        mark = 1 if wanted < LEAST else min(int(wanted), MOST)
        if not self._mark // 2 < mark < 2 * self._mark:
            # Nearer is not worth a system call.
            self.set(mark)
        return self._mark > 1

    def set(self, mark: int) -> None:
        if mark == self._mark:
            return
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, mark)
        except OSError:
            return  # closed, or a system without it: every piece is read as it comes
        self._mark = mark
