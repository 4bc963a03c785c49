"""Two gateway processes as far as limits go: two limiters, one ledger, a clock that the test moves."""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from typing import TypeVar

import pytest
from sqlalchemy import select

from paddock.errors import RateLimited
from paddock.gateway.limit_holds import Hold, LaneHold
from paddock.gateway.limit_lanes import Lane
from paddock.gateway.limit_plans import Plan
from paddock.gateway.limits import Limiter
from paddock.schemas.limits import Limits
from paddock.schemas.usage import Entries, Entry, Series
from paddock.services.keys import Key
from paddock.services.usage.record import Batch, record
from paddock.store.database import ReadSession, WriteSession
from paddock.store.ledger import Ledger
from paddock.store.ledger_tables import LimitLeaseRow, LimitWindowRow

Result = TypeVar("Result")
NONE = Limits()
START = 1_800_000_000.0
"""In January 2027."""


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now


class Pair:
    """Two gateway processes as far as limits go.

    Attributes:
        key, project_limits: of the requests.
    """

    def __init__(self, ledger: Ledger, key_limits: Limits = NONE, project_limits: Limits = NONE) -> None:
        self.clock = Clock()
        self.ledger = ledger
        self.key = Key("key-1", "team", "ci", limits=key_limits)
        self.project_limits = project_limits
        self.both = [Limiter(ledger, f"gateway-{number}", clock=self.clock) for number in range(2)]
        self.let_through: list[float] = []
        self.batches = 0

    def plan(self, at: int, *, only_budget: bool = False) -> Plan:
        return self.both[at].plan(self.key, self.project_limits, only_budget=only_budget)

    async def ask(self, at: int, tokens: int = 1, cost: int | None = None) -> Hold | Lane | LaneHold | None:
        """A request to one of them; None if it is refused."""
        try:
            limiter, plan = self.both[at], self.plan(at)
            hold = limiter.at_once(plan, tokens, cost) or await limiter.admit(plan, tokens, cost)
        except RateLimited:
            return None
        assert hold is not None
        self.let_through.append(self.clock.now)
        return hold

    async def refusal(self, at: int, tokens: int = 1, cost: int | None = None) -> RateLimited:
        with pytest.raises(RateLimited) as caught:
            await self.both[at].admit(self.plan(at), tokens, cost)
        return caught.value

    async def pass_time(self, seconds: float) -> None:
        """What `run` does four times a second."""
        end = self.clock.now + seconds
        while self.clock.now < end:
            self.clock.now = min(end, self.clock.now + 0.25)
            for one in self.both:
                one.turn()
                await quiet(one)

    async def write(self, at: int, cost: int) -> None:
        """A request that cost so much is in the ledger, and its process knows."""
        series = Series("team", self.key.id, "m", "", "d", "", "ok", 200, streamed=False)
        entry = Entry(series, "id", self.clock.now, 1, 0, 1, 0.1, 0.0, cost)
        self.batches += 1
        batch = Batch("writer", self.batches)
        self.both[at].written(
            await self.ledger.write(lambda session: record(session, batch, Entries([entry])))
        )


class HeldLedger(Ledger):
    """Tells that it is `asked`, and answers once it is let `go`."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.asked, self.go = asyncio.Event(), asyncio.Event()
        self.go.set()

    async def write(self, work: Callable[[WriteSession], Result]) -> Result:
        self.asked.set()
        await self.go.wait()
        return await super().write(work)


async def held(ledger: Ledger) -> dict[tuple[str, str], int]:
    """What the database says is taken or held, by subject and kind; none of what is nothing."""

    def read(session: ReadSession) -> dict[tuple[str, str], int]:
        found: defaultdict[tuple[str, str], int] = defaultdict(int)
        for taken in session.scalars(select(LimitWindowRow)):
            found[taken.subject, taken.kind] += taken.taken
        for lease in session.scalars(select(LimitLeaseRow)):
            found[lease.subject, lease.kind] += lease.held
        return {of: count for of, count in found.items() if count}

    return await ledger.read(read)


async def quiet(limiter: Limiter) -> None:
    """No look is under way."""
    while (looking := limiter._looking) is not None:
        await asyncio.wait({looking})


@contextlib.asynccontextmanager
async def pair(
    ledger: Ledger, key_limits: Limits = NONE, project_limits: Limits = NONE
) -> AsyncIterator[Pair]:
    made = Pair(ledger, key_limits, project_limits)
    yield made
    for one in made.both:
        await one.close()
