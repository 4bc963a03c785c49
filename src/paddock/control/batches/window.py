"""How many rows of batches an engine is given at once: what it digests best, and less beside people.

Pure: who asks tells the time.
"""

from __future__ import annotations

QUIET_SECONDS = 5.0
"""After the last request of somebody who waits, before batches have the engine to themselves again."""
FIRST = 4
"""Rows at once at an engine of which nothing is known."""
LONGEST_GAP = 30.0
"""Between two answers; after more the engine had nothing to do for a while."""
SHORTEST_EPOCH = 0.25
GROWING = 4
"""Answers for each row at once from which it is told whether more bring more: they differ in length."""
CLEARLY = 1.4
"""How much more work needs no more than half of them."""
SHORTEST_BESIDE = 2.0
"""Seconds of work whose rate is told: beside people it goes up and down."""
BETTER = 1.05
"""How much more work more rows at once must bring to be worth it."""
LEAST_SHARE, MOST_SHARE = 0.5, 0.65
"""Of its full rate a batch keeps between these beside people: what is more of it slows them for little."""
MOST_BESIDE = 6
"""Beside people an engine has at most a sixth of the rows that it digests best: on a CPU twice as many slow
people by as much again, and bring the batch next to nothing.
"""
REFUSED_SECONDS = 2.0
"""Refusals within so long are one."""
RECOVERED_SECONDS = 10.0
"""After a refusal, before more is tried again."""


class Window:
    """
    Args:
        slots: rows that the engine decodes at once; 0 if it does not tell.
        most: rows at once that are too many in any case.
    """

    def __init__(self, slots: int, most: int) -> None:
        self._most = max(1, most)
        # One that ends is followed at once by one that waits in the engine.
        self._full = min(self._most, slots + max(1, slots // 4) if slots else FIRST)
        self._usual = self._full
        self._grows = not slots
        self._misses = 0
        self._warming = 0
        self._beside = max(1, self._full // 8)
        self._rate = 0.0
        self._best = 0.0
        self._since = 0.0
        self._last = 0.0
        self._work = 0.0
        self._answers = 0
        self._was_quiet = True
        self._refused_at = float("-inf")

    def limit(self, now: float, demand: int, asked_at: float) -> int:
        """Rows that may be at the engine now.

        Args:
            demand: requests there whose callers wait.
            asked_at: when somebody last asked who waits.
        """
        if not demand and now - asked_at > QUIET_SECONDS:
            return self._full
        # Whoever came is to have as much of the engine as can be without stopping the batch.
        return max(1, self._beside // 2) if demand else self._beside

    def answered(self, now: float, work: float, is_quiet: bool) -> None:
        """A row was answered, which was so much work. What is right for the engine is told from that."""
        if is_quiet != self._was_quiet or now - self._last > LONGEST_GAP:
            self._begin(now, is_quiet)
        self._last = now
        if is_quiet and self._warming:
            # These were asked together with more, or fewer, than there are now.
            self._warming -= 1
            self._begin(now, is_quiet)
            return
        self._work += work
        self._answers += 1
        seconds = now - self._since
        enough = 2 * (self._full if is_quiet else self._beside)
        if seconds < (SHORTEST_EPOCH if is_quiet else SHORTEST_BESIDE) or self._answers < enough:
            return
        rate = self._work / seconds
        if is_quiet and self._grows and rate < self._best * CLEARLY and self._answers < GROWING * self._full:
            return
        if is_quiet:
            self._learn_full(now, rate)
        else:
            self._learn_beside(rate)
        self._begin(now, is_quiet)

    def refused(self, now: float) -> None:
        """The engine has too much to do already."""
        if now - self._refused_at > REFUSED_SECONDS:
            self._set_full(self._full // 2)
        self._refused_at = now
        self._grows = False

    def _begin(self, now: float, is_quiet: bool) -> None:
        self._since, self._work, self._answers, self._was_quiet = now, 0.0, 0, is_quiet

    def _learn_full(self, now: float, rate: float) -> None:
        self._rate = rate if not self._rate else 0.7 * self._rate + 0.3 * rate
        if self._grows:
            self._grow(rate)
        elif self._full < self._usual and now - self._refused_at > RECOVERED_SECONDS:
            self._set_full(min(self._usual, self._full * 2))

    def _grow(self, rate: float) -> None:
        """Doubles while that brings more, and goes back to the best when it has not twice."""
        if rate >= self._best * BETTER:
            self._best, self._usual, self._misses = rate, self._full, 0
            self._grows = self._full < self._most
            if self._grows:
                self._set_full(self._full * 2)
        elif self._misses:
            self._grows = False
            self._set_full(self._usual)
        else:
            self._misses += 1

    def _set_full(self, full: int) -> None:
        full = max(1, min(self._most, full))
        self._warming = max(self._full, full)
        self._full, self._beside = full, max(1, full // 8)

    def _learn_beside(self, rate: float) -> None:
        if not self._rate:
            return
        if rate > MOST_SHARE * self._rate:
            self._beside = max(1, self._beside - 1)
        elif rate < LEAST_SHARE * self._rate:
            self._beside = min(max(1, self._full // MOST_BESIDE), self._beside + 1)
