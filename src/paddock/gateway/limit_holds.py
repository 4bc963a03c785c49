"""What a request that was let through has of its limits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from paddock.gateway import limit_words
from paddock.gateway.limit_lanes import Lane
from paddock.gateway.limit_plans import Plan
from paddock.gateway.slices import RateSlice

if TYPE_CHECKING:
    from paddock.gateway.limits import Limiter

_LEARNS = 7
"""Of what requests take one of eight teaches enough."""


class Hold:
    """What a request that was let through has of its limits, until `end`.

    Attributes:
        reserved: what it may cost before more must be had of its budgets, in billionths of the currency.
    """

    __slots__ = ("_ended", "_limiter", "_plan", "_tokens", "reserved")

    def __init__(
        self, limiter: Limiter, plan: Plan, tokens: tuple[tuple[RateSlice, int, int], ...], reserved: int
    ) -> None:
        self._limiter = limiter
        self._plan = plan
        # Each limit, the tick under which they were taken, and how many.
        self._tokens = tokens
        self.reserved = reserved
        self._ended = False

    @property
    def has_budget(self) -> bool:
        """Whether what it costs is limited."""
        return bool(self._plan.budgets)

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

    def end(self, tokens: int, cost: int, answer: int = 0) -> None:
        """Settles it: to be called once, however the request ended.

        Args:
            tokens: of prompt and answer.
            cost: as it will be in the ledger; `Limiter.written` is told of the same.
            answer: tokens of the answer, from which is learned what is usual; 0 teaches nothing.
        """
        if self._ended:
            return
        self._ended = True
        for rate, tick, taken in self._tokens:
            rate.settle(tick, taken, tokens)
        self._plan.end(self.reserved, cost)
        self._plan.learn(tokens, cost, answer)
        self._limiter.freed(self._plan)

    def headers(self) -> bytes:
        """`x-ratelimit-*` as lines that end in CRLF; none if only other things are limited."""
        return limit_words.headers(self._plan.requests, self._plan.tokens, self._limiter.resets)


class LaneHold:
    """`Hold` of a request that came by a lane.

    Attributes:
        reserved: see `Hold`.
    """

    __slots__ = ("_ended", "_lane", "_tokens", "reserved")

    def __init__(self, lane: Lane, tokens: int, cost: int) -> None:
        self._lane = lane
        self._tokens = tokens
        self.reserved = cost
        self._ended = False

    @property
    def has_budget(self) -> bool:
        return bool(self._lane.plan.budgets)

    def charge(self, cost: int) -> None:
        """See `Hold.charge`.

        Raises:
            BudgetSpent: it may go on no further.
        """
        more = cost - self.reserved
        if more <= 0:
            return
        self.reserved = cost
        plan = self._lane.plan
        if plan.lane is not None and plan.lane.cost >= more:
            plan.lane.cost -= more
        else:
            self._lane.limiter.spend(plan, more)

    def reserve(self, cost: int) -> None:
        """See `Hold.reserve`."""
        more, plan = cost - self.reserved, self._lane.plan
        if more <= 0:
            return
        if plan.lane is not None and plan.lane.cost >= more:
            plan.lane.cost -= more
        elif self._lane.limiter.has(plan, more):
            self._lane.limiter.spend(plan, more)
        else:
            return
        self.reserved = cost

    def end(self, tokens: int, cost: int, answer: int = 0) -> None:
        """See `Hold.end`."""
        if self._ended:
            return
        self._ended = True
        lane = self._lane
        if not lane.given_back:
            lane.tokens += self._tokens - tokens
        else:
            lane.settle(self._tokens, tokens)
            plan = lane.plan
            if plan.lane is None:
                plan.end(self.reserved, cost)
                plan.learn(tokens, cost, answer)
                lane.limiter.freed(plan)
                return
            # All but tokens is the same by the next lane.
            lane = plan.lane
        lane.places += 1
        lane.cost += self.reserved - cost
        lane.unwritten += cost
        if not lane.requests & _LEARNS:
            lane.plan.learn(tokens, cost, answer)
        if lane.limiter.waiting:
            lane.plan.give_back()
            lane.limiter.freed(lane.plan)

    def headers(self) -> bytes:
        """See `Hold.headers`."""
        lane = self._lane
        if not lane.given_back:
            return lane.headers()
        plan = lane.plan
        if plan.lane is not None:
            return plan.lane.headers()
        return limit_words.headers(plan.requests, plan.tokens, lane.limiter.resets)
