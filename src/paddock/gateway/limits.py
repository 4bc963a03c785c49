"""Lets requests through as far as the limits of their keys and projects go.

What there is of a limit is shared between gateway processes by slices (`services.limits`): most requests are
let through by what this process has in hand, without a look at the database. Looks happen one at a time, each
for all who wait and for all that is to be given back.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from paddock.errors import PaddockError, RateLimited, Unavailable
from paddock.gateway import limit_words
from paddock.gateway.limit_holds import Hold, LaneHold
from paddock.gateway.limit_lanes import Lane, fill
from paddock.gateway.limit_looks import Looks
from paddock.gateway.limit_plans import Plan, Plans, needed
from paddock.gateway.slices import AGO_SECONDS, LeaseSlice, RateSlice, Slice
from paddock.schemas.limits import Limits
from paddock.services.keys import Key
from paddock.services.limits import BUDGET, Window
from paddock.services.usage.record import Costs
from paddock.store.ledger import Ledger

log = logging.getLogger(__name__)

TURN_SECONDS = 0.25
POLL_SECONDS = 0.05
GRACE_SECONDS = 0.25
"""For which those wait who find nothing left of a lease: what others have in hand comes back within."""
REFUSED_SECONDS = 0.1
"""For which a refusal holds without a new look."""
PATIENCE_SECONDS = 2.0
"""For which a request waits for the database."""
CLEAR_SECONDS = 30.0


class _Waiting:
    """A request that what is in hand does not suffice for.

    Attributes:
        asked: whether a look for it was made.
    """

    __slots__ = ("asked", "cost", "future", "plan", "tokens")

    def __init__(self, plan: Plan, tokens: int, cost: int) -> None:
        self.plan = plan
        self.tokens = tokens
        self.cost = cost
        self.asked = False
        self.future: asyncio.Future[Hold] = asyncio.get_running_loop().create_future()


class Limiter:
    """
    Args:
        holder: this process, by a name that no other one has or had.
        clock: seconds since 1970, about the same in all processes.
        window: what a minute is; the same in all processes.
        currency: for messages.

    Attributes:
        resets: how long it takes until all requests and all tokens are to be had again.
        waiting: the requests that what is in hand does not suffice for.
    """

    def __init__(
        self,
        ledger: Ledger,
        holder: str,
        *,
        clock: Callable[[], float] = time.time,
        window: Window | None = None,
        currency: str = "EUR",
    ) -> None:
        self._clock = clock
        self._window = window or Window()
        self._currency = currency
        whole = limit_words.duration(self._window.seconds).encode()
        self.resets = (whole, whole)
        self._plans = Plans()
        self._looks = Looks(ledger, holder, clock, self._window)
        self.waiting: dict[_Waiting, None] = {}
        self._looking: asyncio.Task[None] | None = None
        self._look_began = 0.0
        self._soon: asyncio.TimerHandle | None = None
        self._failed_until = 0.0
        self._failing = False
        self._closed = False

    def plan(self, key: Key, project_limits: Limits, *, only_budget: bool = False) -> Plan:
        """What a request of the key needs.

        Args:
            only_budget: the other limits of the key and its project do not count for it.
        """
        return self._plans.of(key, key.project, project_limits, only_budget)

    def at_once(
        self, plan: Plan, tokens: int, cost: int | None = None, each: int = 0
    ) -> Lane | LaneHold | None:
        """Lets a request through if there is plenty of all that it needs; None leaves it to `admit`, whose
        arguments these are.

        Args:
            each: what a token costs at most.
        """
        tokens, most = plan.wanted(tokens, cost)
        lane = plan.lane
        if (
            lane is None
            or tokens > lane.tokens
            or most > lane.cost
            or not (lane.requests or lane.reopen())
            or self._clock() >= lane.until
        ):
            plan.give_back()
            if plan.forgotten or not plan.slices:
                return None
            lane = plan.lane = fill(self, plan, tokens, most, each, self._note_use(plan))
            if lane is None:
                return None
        lane.requests -= 1
        return LaneHold(lane) if cost is None and plan.budgets else lane

    async def admit(self, plan: Plan, tokens: int, cost: int | None = None) -> Hold | None:
        """Lets a request through, limit by limit, or says why not. None if neither its key nor its project
        has one.

        Args:
            tokens: what it takes at most, or probably: prompt and answer together.
            cost: the same in billionths of the currency; what is usual for the key if None.

        Raises:
            RateLimited: a limit is reached; its `headers` say how far.
            BudgetSpent: nothing is left of the budget.
            Unavailable: the database does not answer, and what is in hand does not suffice.
        """
        if not plan.slices:
            return None
        now = self._note_use(plan)
        tokens, most = plan.wanted(tokens, cost)
        hold = self._grab(plan, tokens, most, now) or await self._wait(plan, tokens, most, now)
        if cost is not None and hold.reserved >= cost:
            hold.metered = False
        return hold

    def written(self, costs: Costs) -> None:
        """So much is in the ledger now: it is not held beside it any more."""
        budgets = self._plans.budgets()
        if not budgets:
            return
        for (key, project), cost in costs.items():
            for subject in (f"key:{key}", f"project:{project}"):
                if (budget := budgets.get(subject)) is not None:
                    budget.written(cost)
        if self.waiting or any(budget.room <= 0 for budget in budgets.values()):
            # Somebody may have the use of it; else the next turn is soon enough.
            self.look()

    async def run(self) -> None:
        """Renews what is held and gives back what nobody uses, until it is cancelled."""
        cleared = self._clock()
        while True:
            await asyncio.sleep(TURN_SECONDS)
            now = self._clock()
            self.turn()
            if now - cleared >= CLEAR_SECONDS:
                cleared = now
                await self._looks.clear(now)

    def turn(self) -> None:
        """What is done again and again: lets go of what nobody uses, and looks."""
        now = self._clock()
        self._plans.give_back(now)
        self._plans.forget(now)
        if self._plans.active:
            self.look()

    async def close(self) -> None:
        """Gives everything back. What requests cost must be written before."""
        self._closed = True
        if self._soon is not None:
            self._soon.cancel()
        if self._looking is not None:
            await asyncio.wait({self._looking})
        for plan in self._plans.active:
            plan.give_back()
        await self._looks.leave(self._plans.accounts.values())

    # ---- what holds call

    def look(self) -> None:
        """Asks the database for what is wanted, unless that is under way."""
        if self._looking is None and not self._closed:
            self._look_began = time.monotonic()
            self._looking = asyncio.get_running_loop().create_task(self._look())

    def freed(self, plan: Plan) -> None:
        """A request is over."""
        if not plan.forgotten:
            self._plans.active[plan] = None
        if self.waiting:
            self._settle(looked=False)
        for one in plan.concurrent:
            if one.spare > 0 and not one.low:
                self._look_soon()

    def has(self, plan: Plan, cost: int) -> bool:
        """Whether so much is in hand of the plan's budgets."""
        now = self._clock()
        return all(one.in_hand(now) >= cost for one in plan.budgets)

    def spend(self, plan: Plan, cost: int) -> None:
        """Takes so much more of the plan's budgets.

        Raises:
            BudgetSpent: one of them is spent.
        """
        for one in plan.budgets:
            self.use(one, cost)
        for one in plan.budgets:
            if one.spare < 0:
                self.overdrawn(one)

    def use(self, one: Slice, count: int) -> None:
        """Takes so much of what is in hand, or more than that."""
        one.use(count)
        if one.spare < one.low:
            one.wanting = True
            self.look()

    def overdrawn(self, budget: LeaseSlice) -> None:
        """More is used than is held.

        Raises:
            BudgetSpent: and there is no more.
        """
        now = self._clock()
        if budget.room <= 0 and now - budget.looked < AGO_SECONDS:
            raise limit_words.spent(budget, now, self._currency)
        self.look()

    # ---- letting through

    def _note_use(self, plan: Plan) -> float:
        """Somebody comes, at the time that it is."""
        plan.used_at = self._clock()
        self._plans.active[plan] = None
        return plan.used_at

    def _grab(self, plan: Plan, tokens: int, cost: int, now: float, fresh: bool = False) -> Hold | None:
        """
        Args:
            fresh: what is in hand came this moment; of a small limit it may be used only now.
        """
        for one in plan.ones:
            if one.limit is not None and (one.spare < 1 or not (fresh or now < one.until)):
                return None
        for rate in plan.tokens:
            if rate.limit is not None and (
                rate.spare < needed(rate, tokens, cost) or not (fresh or now < rate.until)
            ):
                return None
        reserved = cost if plan.budgets else 0
        for budget in plan.budgets:
            if budget.limit is None:
                continue
            if fresh:
                # The last part of a budget lets a request through that may need more, and is cut off then.
                reserved = min(reserved, budget.spare)
                if reserved < 1:
                    return None
            elif budget.spare < cost or now >= budget.until:
                return None
        held: tuple[tuple[RateSlice, int, int], ...] = ()
        for rate in plan.tokens:
            count = needed(rate, tokens, cost)
            held = (*held, (rate, rate.tick, count))
            self.use(rate, count)
        for one in plan.ones:
            self.use(one, 1)
        for budget in plan.budgets:
            self.use(budget, reserved)
        return Hold(self, plan, held, reserved)

    async def _wait(self, plan: Plan, tokens: int, cost: int, now: float) -> Hold:
        moment = time.monotonic()
        for one in plan.slices:
            count = needed(one, tokens, cost)
            if now < one.refused_until and count >= one.refused and one.in_hand(now) < count:
                raise self._refusal(plan, one, count, now)
        if moment < self._failed_until or (
            self._looking is not None and moment - self._look_began > PATIENCE_SECONDS
        ):
            raise _unavailable(plan)
        waiting = _Waiting(plan, tokens, cost)
        self.waiting[waiting] = None
        self.look()
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                return await waiting.future
        except TimeoutError:
            _end_unseen(waiting)
            raise _unavailable(plan) from None
        except asyncio.CancelledError:
            _end_unseen(waiting)
            raise
        finally:
            self.waiting.pop(waiting, None)

    def _settle(self, *, looked: bool) -> None:
        """Lets those through for whom there is enough now.

        Args:
            looked: an answer just came. Those who were asked for and are short are refused.
        """
        now = self._clock()
        for waiting in list(self.waiting):
            if waiting.future.done():
                continue
            answered = looked and waiting.asked
            hold = self._grab(waiting.plan, waiting.tokens, waiting.cost, now, fresh=answered)
            if hold is not None:
                waiting.future.set_result(hold)
            elif answered and (error := self._short(waiting, now)) is not None:
                waiting.future.set_exception(error)
            else:
                continue
            del self.waiting[waiting]

    def _short(self, waiting: _Waiting, now: float) -> RateLimited | None:
        """Why a request is refused; None while what it is short of may come back in a moment."""
        for one in waiting.plan.slices:
            count = needed(one, waiting.tokens, waiting.cost)
            if one.limit is None:
                # It was taken away while the request waited.
                continue
            if isinstance(one, RateSlice):
                if one.spare >= count:
                    continue
                if one.spare + one.room >= count:
                    # What it was to have ran out or was used by others meanwhile, and there is more.
                    waiting.asked = False
                    return None
                frees = limit_words.free_at(one, count, self._window)
                one.refused, one.refused_until = count, min(frees, now + REFUSED_SECONDS)
            else:
                assert isinstance(one, LeaseSlice)
                if one.spare >= 1:
                    continue
                spent = one.kind == BUDGET and one.spent >= (one.limit or 0)
                if not spent and one.short_for(time.monotonic()) < GRACE_SECONDS:
                    return None
                one.refused, one.refused_until = 1, now + (REFUSED_SECONDS if spent else POLL_SECONDS)
            return self._refusal(waiting.plan, one, count, now)
        return None

    def _refusal(self, plan: Plan, one: Slice, count: int, now: float) -> RateLimited:
        resets = {"requests": self.resets[0], "tokens": self.resets[1]}
        if isinstance(one, RateSlice):
            error = limit_words.rate_limited(one, count, now, self._window)
            resets[one.kind] = limit_words.reset(one, now, self._window)
        else:
            assert isinstance(one, LeaseSlice)
            error = limit_words.short(one, now, self._currency)
        error.headers = limit_words.headers(plan.requests, plan.tokens, tuple(resets.values()))
        return error

    # ---- looking

    def _look_soon(self) -> None:
        if self._soon is None and not self._closed:
            self._soon = asyncio.get_running_loop().call_later(POLL_SECONDS, self._look_now)

    def _look_now(self) -> None:
        self._soon = None
        self.look()

    async def _look(self) -> None:
        try:
            while (found := await self._look_once()) or self.waiting:
                self._settle(looked=True)
                if self.waiting and (not found or all(waiting.asked for waiting in self.waiting)):
                    # They are short of what others may give back.
                    self._look_soon()
                    break
                self._failing = self._failing and not found
        except PaddockError as error:
            self._fail(error)
        except Exception:
            log.exception("looking up limits failed; it is tried again")
            self._fail(None)
        finally:
            self._looking = None

    async def _look_once(self) -> bool:
        """Whether there was anything to ask for."""
        self._look_began = time.monotonic()
        needs: dict[Slice, int] = {one: 0 for plan in self._plans.active for one in plan.slices}
        for waiting in self.waiting:
            waiting.asked = True
            for one in waiting.plan.slices:
                needs[one] = needs.get(one, 0) + needed(one, waiting.tokens, waiting.cost)
        return await self._looks.look(needs)

    def _fail(self, error: PaddockError | None) -> None:
        """Nobody waits for a database that does not answer. What is in hand is used up meanwhile."""
        if error is not None and not self._failing:
            log.error("limits cannot be looked up, what is in hand is used up: %s", error.message)
        self._failing = True
        self._failed_until = time.monotonic() + 2 * TURN_SECONDS
        for waiting in list(self.waiting):
            if not waiting.future.done():
                waiting.future.set_exception(_unavailable(waiting.plan))
        self.waiting.clear()


def _unavailable(plan: Plan) -> Unavailable:
    whose = limit_words.limits_of(plan.slices)
    return Unavailable(f"the limits of {whose} cannot be looked up now; try again", retry_after=1)


def _end_unseen(waiting: _Waiting) -> None:
    """Nobody takes the hold that was given in the same moment."""
    future = waiting.future
    if future.done() and not future.cancelled() and future.exception() is None:
        future.result().end(0, 0)
