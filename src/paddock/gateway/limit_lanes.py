"""A handful of what a plan's requests need, taken at once and handed out one by one.

Where limits are high nearly every request finds what it needs, and asking eight of them each time would cost
more than all else that is done for it. Where there is not plenty, there are no lanes.
"""

from __future__ import annotations

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


class Lane:
    """What is left of it: each request takes from here, and what it did not use comes back.

    Attributes:
        given_back: whether nothing comes back to it any more.
        requests, places, tokens, cost: not in use; of tokens and cost requests may have used more than they
            had reserved.
        unwritten: what requests cost that are over, and the budgets have not been told of.
        until: how long it may be used, by the clock of the limits.
        seen: `requests` when it was last looked whether anybody uses it.
    """

    __slots__ = (
        "_count",
        "_head",
        "_left",
        "_ticks",
        "_tokens",
        "cost",
        "given_back",
        "limiter",
        "places",
        "plan",
        "requests",
        "seen",
        "tokens",
        "until",
        "unwritten",
    )

    def __init__(
        self, limiter: Limiter, plan: Plan, count: int, tokens: int, cost: int, until: float
    ) -> None:
        """Takes what `count` requests of so many tokens and such a cost need."""
        self.limiter = limiter
        self.plan = plan
        self.given_back = False
        self._count = count
        self._ticks = tuple(rate.tick for rate in (*plan.requests, *plan.tokens))
        self._tokens = count * tokens if plan.tokens else UNLIMITED
        for one in plan.ones:
            limiter.use(one, count)
        for rate in plan.tokens:
            limiter.use(rate, self._tokens)
        self.requests = self.places = self.seen = count
        self.tokens = self._tokens
        self.cost = count * cost if plan.budgets else UNLIMITED
        for budget in plan.budgets:
            limiter.use(budget, self.cost)
        self.unwritten = 0
        self.until = until
        self._head, self._left = limit_words.template(plan.requests, plan.tokens, limiter.resets)

    def headers(self) -> bytes:
        """See `limit_words.headers`."""
        # Whoever came by another lane of the same limits is not seen here.
        requests, tokens = self._left
        if requests is not None and tokens is not None:
            requests, tokens = requests + self.requests, tokens + self.tokens
            return self._head % (requests if requests > 0 else 0, tokens if tokens > 0 else 0)
        if requests is not None:
            return self._head % max(0, requests + self.requests)
        return self._head if tokens is None else self._head % max(0, tokens + self.tokens)

    def tell_budgets(self) -> None:
        """What is spent and not in the ledger, they know from here on."""
        for budget in self.plan.budgets:
            budget.unwritten += self.unwritten
        self.unwritten = 0

    def give_back(self) -> None:
        """All that is not in use; those who have something of it settle it by themselves."""
        self.given_back = True
        plan = self.plan
        ticks = iter(self._ticks)
        for rate in plan.requests:
            rate.settle(next(ticks), self._count, self._count - self.requests)
        for rate in plan.tokens:
            rate.settle(next(ticks), self._tokens, self._tokens - self.tokens)
        for lease in plan.concurrent:
            lease.move(-self.places)
        for budget in plan.budgets:
            budget.move(-self.cost)
        self.tell_budgets()

    def settle(self, reserved: int, tokens: int) -> None:
        """So many tokens were used by a request that had reserved others, after the lane was given back."""
        for tick, rate in zip(self._ticks[len(self.plan.requests) :], self.plan.tokens, strict=True):
            rate.settle(tick, reserved, tokens)


def fill(limiter: Limiter, plan: Plan, tokens: int, cost: int, now: float) -> Lane | None:
    """A lane for requests like this one, or None where there is not plenty of all that they need."""
    count, until = MOST * PARTS, float("inf")
    for rate in (*plan.requests, *plan.tokens):
        if rate.until < now + NEAR:
            # A lane lasts as long as the oldest of it.
            rate.expire(now + NEAR)
    for one in plan.ones:
        count, until = min(count, one.spare), min(until, one.until)
    for rate in plan.tokens:
        count, until = min(count, rate.spare // tokens), min(until, rate.until)
    for budget in plan.budgets:
        count, until = min(count, budget.spare // cost), min(until, budget.until)
    count //= PARTS
    return Lane(limiter, plan, count, tokens, cost, until) if count >= LEAST and now < until else None
