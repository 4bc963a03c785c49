"""Which limits a request of a key meets, and what is usual for that key."""

from __future__ import annotations

from paddock.gateway.limit_lanes import Lane
from paddock.gateway.slices import Account, LeaseSlice, Slice
from paddock.schemas.limits import Limits
from paddock.services.keys import Key
from paddock.services.limits import BUDGET, TOKENS

FORGET_SECONDS = 600.0
FIRST_ANSWER = 256
"""Tokens that the first answer of a key is taken to have."""


def needed(one: Slice, tokens: int, cost: int) -> int:
    """What a request needs of it."""
    if one.kind == TOKENS:
        # What takes more than a whole minute's is let through when nobody has taken anything.
        return min(tokens, one.limit or 0) or 1
    return cost if one.kind == BUDGET else 1


class Usual:
    """What requests of a key hardly ever exceed, by the last ones: their mean and twice their deviation."""

    __slots__ = ("_deviation", "_mean")

    def __init__(self, first: int) -> None:
        self._mean = float(first)
        self._deviation = 0.0

    @property
    def most(self) -> int:
        return int(self._mean + 2 * self._deviation) + 1

    def learn(self, value: int) -> None:
        off = value - self._mean
        self._mean += off / 8
        self._deviation += (abs(off) - self._deviation) / 4


class Plan:
    """What a request of a key in a project needs.

    Attributes:
        answer, cost: the tokens of an answer for that key, and what a request of this plan costs.
        forgotten: whether another one is made for the next request; what still has this one settles it by
            itself.
        lane: by which requests get what they need while there is plenty.
        size: tokens and cost of the larger ones of the last requests, for the next lane.
    """

    __slots__ = (
        "accounts",
        "answer",
        "budgets",
        "concurrent",
        "cost",
        "forgotten",
        "key_limits",
        "lane",
        "ones",
        "project_limits",
        "requests",
        "size",
        "slices",
        "tokens",
        "used_at",
    )

    def __init__(self, key: Account, project: Account, answer: Usual, only_budget: bool) -> None:
        both = (key, project)
        self.accounts = both
        self.key_limits = key.limits or Limits()
        self.project_limits = project.limits or Limits()
        self.answer = answer
        self.cost = Usual(0)
        self.used_at = 0.0
        self.forgotten = False
        self.lane: Lane | None = None
        self.size = (1, 1)
        seen = () if only_budget else both
        self.requests = tuple(one.requests for one in seen if one.requests.limit is not None)
        self.tokens = tuple(one.tokens for one in seen if one.tokens.limit is not None)
        self.concurrent = tuple(one.concurrent for one in seen if one.concurrent.limit is not None)
        self.budgets = tuple(one.budget for one in both if one.budget.limit is not None)
        # Of these every request takes one.
        self.ones: tuple[Slice, ...] = (*self.requests, *self.concurrent)
        self.slices: tuple[Slice, ...] = (*self.requests, *self.tokens, *self.concurrent, *self.budgets)

    def wanted(self, tokens: int, cost: int | None) -> tuple[int, int]:
        """What a request needs that says so, at least one of each; a cost of None is the usual one."""
        return tokens or 1, (self.cost.most if cost is None else cost) or 1

    def end(self, reserved: int, cost: int, count: int = 1) -> None:
        """So many requests are over that together had reserved one cost, and have another."""
        for lease in self.concurrent:
            lease.move(-count)
        for budget in self.budgets:
            budget.move(cost - reserved)
            budget.unwritten += cost

    def learn(self, tokens: int, cost: int, answer: int) -> None:
        """From a request that is over: its tokens, those of the answer among them, and its cost."""
        if answer:
            self.answer.learn(answer)
        if tokens:
            self.cost.learn(cost)

    def give_back(self) -> None:
        """What the lane has and nobody uses."""
        if self.lane is not None:
            self.lane.give_back()
            self.lane = None


class Plans:
    """Those of all who came lately.

    Attributes:
        active: those of which something is in hand or in use.
    """

    def __init__(self) -> None:
        self.active: dict[Plan, None] = {}
        self.accounts: dict[str, Account] = {}
        self._plans: dict[tuple[str, str, bool], Plan] = {}
        self._answers: dict[str, Usual] = {}

    def of(self, key: Key, project: str, project_limits: Limits, only_budget: bool = False) -> Plan:
        plan = self._plans.get((key.id, project, only_budget))
        if plan is not None and plan.key_limits is key.limits and plan.project_limits is project_limits:
            return plan
        if plan is None or plan.key_limits != key.limits or plan.project_limits != project_limits:
            if plan is not None:
                plan.give_back()
            name = key.name or key.id
            accounts = (
                self._account(f"key:{key.id}", f"key {name!r}", key.limits),
                self._account(f"project:{project}", f"project {project!r}", project_limits),
            )
            plan = Plan(*accounts, self._answers.setdefault(key.id, Usual(FIRST_ANSWER)), only_budget)
            self._plans[key.id, project, only_budget] = plan
        # These very objects are recognized the next time.
        plan.key_limits, plan.project_limits = key.limits, project_limits
        return plan

    def budgets(self) -> dict[str, LeaseSlice]:
        """Those of which something was spent that is not in the ledger yet, by subject."""
        for plan in self.active:
            if plan.lane is not None:
                plan.lane.tell_budgets()
        return {subject: one.budget for subject, one in self.accounts.items() if one.budget.unwritten}

    def give_back(self, now: float) -> None:
        """What lies in lanes that nobody uses, or not any more."""
        for plan in self.active:
            lane = plan.lane
            if lane is not None:
                if now >= lane.until or lane.came == lane.seen:
                    plan.give_back()
                lane.seen = lane.came

    def forget(self, now: float) -> None:
        """Who has not come for long is not remembered."""
        for plan in [one for one in self.active if all(account.idle for account in one.accounts)]:
            del self.active[plan]
        old = [who for who, plan in self._plans.items() if plan.used_at < now - FORGET_SECONDS]
        old = [who for who in old if all(account.idle for account in self._plans[who].accounts)]
        if not old:
            return
        for who in old:
            self._plans.pop(who).forgotten = True
        ids = {who[0] for who in self._plans}
        self._answers = {key: one for key, one in self._answers.items() if key in ids}
        kept = {account.subject for plan in self._plans.values() for account in plan.accounts}
        self.accounts = {subject: one for subject, one in self.accounts.items() if subject in kept}

    def _account(self, subject: str, who: str, limits: Limits) -> Account:
        account = self.accounts.get(subject)
        if account is None:
            account = self.accounts[subject] = Account(subject, who)
        account.follow(limits)
        return account
