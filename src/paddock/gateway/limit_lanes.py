"""A handful of what a plan's requests need, taken at once and handed out one by one.

Where limits are high nearly every request finds what it needs, and asking eight of them each time would cost
more than all else that is done for it. Where there is not plenty, there are no lanes.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from paddock.gateway import limit_words

if TYPE_CHECKING:
    from paddock.gateway.limit_plans import Plan
    from paddock.gateway.limits import Limiter

MOST = 2048
"""Requests that a lane is for: those under way when it gives way to the next one are settled one by one."""
NEAR = 0.05
"""Seconds for which a lane is not worth it."""
LEAST = 4
"""For fewer it is not worth it."""
PARTS = 4
"""A lane takes at most one part of so many of what is in hand."""
UNLIMITED = 1 << 62
_LEARNS = 31
"""Of what requests take one of 32 teaches enough."""


class Lane:
    """What so many requests need of which none needs more than `tokens` and `cost`: each of them has reserved
    as much, which one that needs less does not miss. Hence it is the hold of all of them: see
    `limit_holds.Hold`.

    Attributes:
        tokens, cost: of one request at most, the cost in billionths of the currency.
        requests: that may still come by it.
        until: how long it may be used, by the clock of the limits.
        seen: `requests` when it was last looked whether anybody uses it.
        given_back: whether what requests did not need comes back to the limits themselves.
    """

    __slots__ = (
        "_count",
        "_ended",
        "_left_cost",
        "_left_tokens",
        "_lines",
        "_others",
        "_template",
        "_ticks",
        "_told",
        "cost",
        "given_back",
        "limiter",
        "plan",
        "requests",
        "seen",
        "tokens",
        "until",
    )

    def __init__(
        self, limiter: Limiter, plan: Plan, count: int, tokens: int, cost: int, until: float
    ) -> None:
        """Takes what `count` requests of so many tokens and such a cost need."""
        self.limiter = limiter
        self.plan = plan
        self.tokens = tokens if plan.tokens else UNLIMITED
        self.cost = cost if plan.budgets else UNLIMITED
        self.until = until
        self.given_back = False
        self.requests = self.seen = self._count = count
        self._ended = 0
        # Of what was taken, beyond what requests that are over did use.
        self._left_tokens = count * self.tokens
        self._left_cost = count * self.cost
        # What they cost that the budgets have been told of.
        self._told = 0
        self._ticks = tuple(rate.tick for rate in (*plan.requests, *plan.tokens))
        for one in plan.ones:
            limiter.use(one, count)
        for rate in plan.tokens:
            limiter.use(rate, self._left_tokens)
        for budget in plan.budgets:
            limiter.use(budget, self._left_cost)
        # Whoever came by another lane of the same limits is not seen in what remains.
        self._template, self._others = limit_words.template(plan.requests, plan.tokens, limiter.resets)
        self._lines = b""

    def end(self, tokens: int, cost: int, answer: int = 0) -> None:
        """See `Hold.end`."""
        if self.given_back:
            self._end_late(tokens, cost, answer)
            return
        self._ended += 1
        self._left_tokens -= tokens
        self._left_cost -= cost
        if tokens > self.tokens or cost > self.cost or not self._ended & _LEARNS:
            self._look_back(tokens, cost, answer)
        if self.limiter.waiting:
            self.plan.give_back()
            self.limiter.freed(self.plan)

    def headers(self) -> bytes:
        """See `Hold.headers`. Answers that are sent in one turn of the event loop say the same."""
        if not self._lines:
            requests, tokens = self._others
            left = []
            if requests is not None:
                left.append(max(0, requests + self.requests))
            if tokens is not None:
                left.append(max(0, tokens + self._left_tokens - self._under_way * self.tokens))
            self._lines = self._template % tuple(left)
            asyncio.get_running_loop().call_soon(self._forget_lines)
        return self._lines

    def add(self, cost: int) -> None:
        """A request has so much more of the budgets, by the limits themselves."""
        if self.given_back:
            for budget in self.plan.budgets:
                budget.move(-cost)
        else:
            self._left_cost += cost
            self._told -= cost

    def tell_budgets(self) -> None:
        """What is spent and not in the ledger, they know from here on."""
        spent = self._count * self.cost - self._left_cost
        for budget in self.plan.budgets:
            budget.unwritten += spent - self._told
        self._told = spent

    def give_back(self) -> None:
        """All that is not in use. What is, comes back with each request that ends."""
        self.given_back = True
        plan, ticks = self.plan, iter(self._ticks)
        for rate in plan.requests:
            rate.settle(next(ticks), self._count, self._count - self.requests)
        taken = self._count * self.tokens
        for rate in plan.tokens:
            rate.settle(next(ticks), taken, taken - self._left_tokens + self._under_way * self.tokens)
        for lease in plan.concurrent:
            lease.move(self._under_way - self._count)
        for budget in plan.budgets:
            budget.move(self._under_way * self.cost - self._left_cost)
        self.tell_budgets()

    @property
    def _under_way(self) -> int:
        return self._count - self.requests - self._ended

    def _look_back(self, tokens: int, cost: int, answer: int) -> None:
        """What requests need is learned from this one, and whether they needed more than they had."""
        plan, open_yet = self.plan, self._count - self._ended
        plan.learn(tokens, cost, answer)
        if (plan.tokens and self._left_tokens < open_yet * self.tokens) or (
            plan.budgets and self._left_cost < open_yet * self.cost
        ):
            plan.give_back()

    def _end_late(self, tokens: int, cost: int, answer: int) -> None:
        plan = self.plan
        for tick, rate in zip(self._ticks[len(plan.requests) :], plan.tokens, strict=True):
            rate.settle(tick, self.tokens, tokens)
        plan.end(self.cost, cost)
        plan.learn(tokens, cost, answer)
        self.limiter.freed(plan)

    def _forget_lines(self) -> None:
        self._lines = b""


def fill(limiter: Limiter, plan: Plan, tokens: int, cost: int, now: float) -> Lane | None:
    """A lane for requests like this one and the last ones, or None where there is not plenty of all that they
    need.
    """
    for rate in (*plan.requests, *plan.tokens):
        if rate.until < now + NEAR:
            # A lane lasts as long as the oldest of it.
            rate.expire(now + NEAR)
    # The largest of before is remembered for some lanes, and what is a little larger than this one fits too.
    plan.size = max(_round(tokens), plan.size[0] // 2), max(_round(cost), plan.size[1] // 2)
    for size in (plan.size, (tokens, cost)):
        count, until = _room(plan, *size)
        if count >= LEAST and now < until:
            return Lane(limiter, plan, count, *size, until)
    return None


def _room(plan: Plan, tokens: int, cost: int) -> tuple[int, float]:
    """For how many such requests there is plenty, and until when."""
    count, until = MOST * PARTS, float("inf")
    for one in plan.ones:
        count, until = min(count, one.spare), min(until, one.until)
    for rate in plan.tokens:
        count, until = min(count, rate.spare // tokens), min(until, rate.until)
    for budget in plan.budgets:
        count, until = min(count, budget.spare // cost), min(until, budget.until)
    return count // PARTS, until


def _round(size: int) -> int:
    """The next power of two."""
    return 1 << (size - 1).bit_length()
