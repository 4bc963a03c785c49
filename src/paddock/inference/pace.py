"""How long an answer can take at the worst, told from the answers before it."""

from __future__ import annotations

import math

_FEWEST_TOKENS = 8
"""Of a shorter answer most of the time went into its prompt."""
_FADING = 0.9


class Pace:
    """The time that an engine needs for a token, by what its answers took.

    Args:
        slots: requests that one engine decodes at once; 0 if not known.
    """

    __slots__ = ("_work", "slots")

    def __init__(self, slots: int = 0) -> None:
        self.slots = slots
        self._work = math.inf

    def note(self, tokens: int, seconds: float, at_once: float) -> None:
        """An answer of so many tokens took so long while the engine worked on `at_once` requests in the mean.

        A slower answer counts at once, quicker ones bit by bit.
        """
        if tokens < _FEWEST_TOKENS:
            return
        # Those that only waited did not share the work.
        work = seconds / tokens / max(1.0, min(at_once, self.slots))
        faded = work if math.isinf(self._work) else _FADING * self._work + (1 - _FADING) * work
        self._work = max(work, faded)

    def longest(self, tokens: int) -> float:
        """Seconds for an answer of so many tokens if every slot were busy all the time; inf if not known.

        Decoding several at once takes less than one after the other, so it is an upper bound.
        """
        return tokens * self._work * self.slots if self.slots else math.inf
