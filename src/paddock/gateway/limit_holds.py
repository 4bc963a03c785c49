"""What a request that was let through has of its limits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from paddock.gateway import limit_words
from paddock.gateway.limit_lanes import Lane
from paddock.gateway.limit_plans import Plan
from paddock.gateway.slices import RateSlice

if TYPE_CHECKING:
    from paddock.gateway.limits import Limiter


class Hold:
    """What a request that was let through has of its limits, until `end`.

    Attributes:
        metered: whether it may cost more than is reserved for it, so that it is to be charged as it goes.
        reserved: what it may cost before more must be had of its budgets, in billionths of the currency.
    """

    __slots__ = ("_limiter", "_plan", "_tokens", "metered", "reserved")

    def __init__(
        self, limiter: Limiter, plan: Plan, tokens: tuple[tuple[RateSlice, int, int], ...], reserved: int
    ) -> None:
        self._limiter = limiter
        self._plan = plan
        # Each limit, the tick under which they were taken, and how many.
        self._tokens = tokens
        self.reserved = reserved
        self.metered = bool(plan.budgets)

    def charge(self, cost: int) -> None:
        """Tells what the request cost so far. Tokens are settled at its end.

        Args:
            cost: in billionths of the currency.

        Raises:
            BudgetSpent: it may go on no further.
        """
        if cost <= self.reserved:
            return
        more, self.reserved = cost - self.reserved, cost
        self._limiter.spend(self._plan, more)

    def reserve(self, cost: int) -> None:
        """Lets the request cost so much, if that is in hand."""
        more = cost - self.reserved
        if more > 0 and self._limiter.has(self._plan, more):
            self.reserved = cost
            self._limiter.spend(self._plan, more)

    def end(self, tokens: int, cost: int, answer: int = 0, count: int = 1) -> None:
        """Settles it: is called once, however the request ended.

        Args:
            tokens: of prompt and answer.
            cost: as it will be in the ledger; `Limiter.written` is told of the same.
            answer: tokens of the answer, from which is learned what is usual; 0 teaches nothing.
            count: requests that are over, to which tokens and cost belong together; of a lane's many may be.
                `answer` is that of one of them.
        """
        for rate, tick, taken in self._tokens:
            rate.settle(tick, taken, tokens)
        self._plan.end(self.reserved, cost)
        self._plan.learn(tokens, cost, answer)
        self._limiter.freed(self._plan)

    def headers(self) -> bytes:
        """`x-ratelimit-*` as lines that end in CRLF; none if only other things are limited."""
        return limit_words.headers(self._plan.requests, self._plan.tokens, self._limiter.resets)


class LaneHold:
    """What a request that came by a lane has, if it may cost more than the lane reserved for it.

    Attributes:
        metered, reserved: see `Hold`.
    """

    __slots__ = ("_lane", "reserved")

    metered = True

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self.reserved = lane.cost

    def charge(self, cost: int) -> None:
        """See `Hold.charge`.

        Raises:
            BudgetSpent: it may go on no further.
        """
        if cost > self.reserved:
            more, self.reserved = cost - self.reserved, cost
            self._lane.limiter.spend(self._lane.plan, more)

    def reserve(self, cost: int) -> None:
        """See `Hold.reserve`."""
        more, lane = cost - self.reserved, self._lane
        if more > 0 and lane.limiter.has(lane.plan, more):
            self.reserved = cost
            lane.limiter.spend(lane.plan, more)

    def end(self, tokens: int, cost: int, answer: int = 0, count: int = 1) -> None:
        """See `Hold.end`."""
        if self.reserved > self._lane.cost:
            self._lane.add(self.reserved - self._lane.cost)
        self._lane.end(tokens, cost, answer, count)

    def headers(self) -> bytes:
        """See `Hold.headers`."""
        return self._lane.headers()
