"""How long to wait before a gateway process that died is started again."""

from __future__ import annotations

import time
from collections.abc import Callable

FIRST = 0.2
LONGEST = 30.0
WELL = 60.0
"""Seconds of running after which an end counts as the first again."""


class Backoff:
    """Doubles from 0.2 s to 30 s while ends follow each other closely."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last = float("-inf")
        self._seconds = FIRST

    def next(self) -> float:
        """Seconds to wait now."""
        now = self._clock()
        self._seconds = FIRST if now - self._last > WELL + self._seconds else min(LONGEST, self._seconds * 2)
        self._last = now
        return self._seconds
