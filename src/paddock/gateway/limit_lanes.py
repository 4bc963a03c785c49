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
"""Requests that a lane is for: those under way when it gives way are settled by the limits themselves."""
NEAR = 0.05
"""Seconds for which a lane is not worth it."""
LEAST = 4
"""For fewer it is not worth it."""
PARTS = 4
"""A lane takes at most one part of so many of what is in hand."""
UNLIMITED = 1 << 62


class Lane:
    """What so many requests need of which none needs more than `tokens` and `cost`: each of them has reserved
    as much, which one that needs less does not miss. Hence it is the hold of all of them: see
    `limit_holds.Hold`.

    Attributes:
        tokens, cost: of one request at most, the cost in billionths of the currency.
        requests: that may come by it now; when there are none, `reopen` may let others.
        until: how long it may be used, by the clock of the limits.
        seen: `came` when it was last looked whether anybody uses it.
        given_back: whether what requests did not need comes back to the limits themselves.
    """

    __slots__ = (
        "_count",
        "_ended",
        "_left_cost",
        "_left_tokens",
        "_lines",
        "_opened",
        "_others",
        "_places",
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
        self, limiter: Limiter, plan: Plan, count: int, places: int, tokens: int, cost: int, until: float
    ) -> None:
        """Takes what `count` requests of so many tokens and such a cost need, `places` of them at once."""
        self.limiter = limiter
        self.plan = plan
        self.tokens = tokens if plan.tokens else UNLIMITED
        self.cost = cost if plan.budgets else UNLIMITED
        self.until = until
        self.given_back = False
        self._count = count
        self._places = places
        # So many were let come until now, `requests` of which have not.
        self._opened = self.requests = places
        self.seen = self._ended = 0
        # Of what was taken, beyond what requests that are over did use.
        self._left_tokens = count * self.tokens
        self._left_cost = count * self.cost
        # What they cost that the budgets have been told of.
        self._told = 0
        self._ticks = tuple(rate.tick for rate in (*plan.requests, *plan.tokens))
        for rate in plan.requests:
            limiter.use(rate, count)
        for rate in plan.tokens:
            limiter.use(rate, self._left_tokens)
        for lease in plan.concurrent:
            limiter.use(lease, places)
        for budget in plan.budgets:
            limiter.use(budget, self._left_cost)
        # Whoever came by another lane of the same limits is not seen in what remains.
        self._template, self._others = limit_words.template(plan.requests, plan.tokens, limiter.resets)
        self._lines = b""

    @property
    def came(self) -> int:
        """Requests that came by it."""
        return self._opened - self.requests

    def reopen(self) -> bool:
        """Lets as many more come as there is a place for. Whether there is one."""
        more = min(self._count - self._opened, self._places - self.requests - self._under_way)
        self.requests += more
        self._opened += more
        return more > 0

    def room(self, each: int) -> int:
        """How large a request may be: the bytes of its body, and `BYTES_PER_TOKEN` for each token that its
        answers may have.

        Args:
            each: what a token costs at most.
        """
        tokens = min(self.tokens, self.cost // each) if each else self.tokens
        return limit_words.BYTES_PER_TOKEN * tokens

    def end(self, tokens: int, cost: int, answer: int = 0, count: int = 1) -> None:
        """See `Hold.end`."""
        plan = self.plan
        plan.learn(tokens, cost // count, answer)
        if self.given_back:
            for tick, rate in zip(self._ticks[len(plan.requests) :], plan.tokens, strict=True):
                rate.settle(tick, count * self.tokens, tokens)
            plan.end(count * self.cost, cost, count)
            self.limiter.freed(plan)
            return
        self._ended += count
        self._left_tokens -= tokens
        self._left_cost -= cost
        if self.limiter.waiting:
            plan.give_back()
            self.limiter.freed(plan)
        elif self._overdrawn:
            plan.give_back()

    def headers(self) -> bytes:
        """See `Hold.headers`. Answers that are sent in one turn of the event loop say the same."""
        if not self._lines:
            requests, tokens = self._others
            left = []
            if requests is not None:
                left.append(max(0, requests + self._count - self.came))
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
            rate.settle(next(ticks), self._count, self.came)
        taken = self._count * self.tokens
        for rate in plan.tokens:
            rate.settle(next(ticks), taken, taken - self._left_tokens + self._under_way * self.tokens)
        for lease in plan.concurrent:
            lease.move(self._under_way - self._places)
        for budget in plan.budgets:
            budget.move(self._under_way * self.cost - self._left_cost)
        self.tell_budgets()
        self._opened, self.requests = self.came, 0

    @property
    def _under_way(self) -> int:
        return self.came - self._ended

    @property
    def _overdrawn(self) -> bool:
        """Whether requests needed more than they had."""
        open_yet = self._count - self._ended
        return bool(
            (self.plan.tokens and self._left_tokens < open_yet * self.tokens)
            or (self.plan.budgets and self._left_cost < open_yet * self.cost)
        )

    def _forget_lines(self) -> None:
        self._lines = b""


def fill(limiter: Limiter, plan: Plan, tokens: int, cost: int, each: int, now: float) -> Lane | None:
    """A lane for requests like this one and the last ones, or None where there is not plenty of all that they
    need.

    Args:
        each: what a token costs at most.
    """
    for rate in (*plan.requests, *plan.tokens):
        if rate.until < now + NEAR:
            # A lane lasts as long as the oldest of it.
            rate.expire(now + NEAR)
    # The largest of before is remembered for some lanes, and what is a little larger than this one fits too.
    most = max(_round(tokens), plan.size[0] // 2)
    plan.size = most, max(_round(cost), plan.size[1] // 2, most * each)
    for size in (plan.size, (tokens, cost)):
        count, places, until = _room(plan, *size)
        if places >= LEAST and now < until:
            return Lane(limiter, plan, count, places, *size, until)
    return None


def _room(plan: Plan, tokens: int, cost: int) -> tuple[int, int, float]:
    """For how many such requests there is plenty, for how many at once, and until when."""
    count = MOST * PARTS
    for rate in plan.requests:
        count = min(count, rate.spare)
    for rate in plan.tokens:
        count = min(count, rate.spare // tokens)
    for budget in plan.budgets:
        count = min(count, budget.spare // cost)
    places = min(count, *(lease.spare for lease in plan.concurrent)) if plan.concurrent else count
    return count // PARTS, places // PARTS, min(one.until for one in plan.slices)


def _round(size: int) -> int:
    """The next power of two."""
    return 1 << (size - 1).bit_length()
