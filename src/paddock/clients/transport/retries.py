"""When a failed request is sent again, as pure functions of what happened and the time."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

RETRIED_STATUSES = frozenset({429, 503})


@dataclass(frozen=True, slots=True)
class Retry:
    """How often and how late, times in seconds.

    Attributes:
        tries: requests sent at most for one call, the first included.
        first: upper end of the first wait; it doubles with each further one.
        longest: upper end of every wait for which the server named no time.
    """

    tries: int = 3
    first: float = 0.5
    longest: float = 8.0

    def wait(
        self,
        tried: int,
        retry_after: float | None,
        time_left: float,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> float | None:
        """Seconds to wait before the next try, or None to give up.

        The wait is drawn from the whole range ("full jitter"), so that clients that failed together do
        not come back together. With Retry-After the range begins where the server said.

        Args:
            tried: requests sent so far.
            retry_after: seconds that the server asked for.
            time_left: seconds that the call may still take; a wait that does not fit is not begun.
        """
        if tried >= self.tries:
            return None
        span = min(self.longest, self.first * 2.0 ** (tried - 1))
        wait = uniform(0.0, span) if retry_after is None else retry_after + uniform(0.0, min(span, 0.5))
        return wait if wait < time_left else None
