"""Limits across two gateway processes: two limiters, one ledger, a clock that the test moves."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Callable
from typing import TypeVar

import pytest

from paddock.errors import BudgetSpent, StoreFailed, Unavailable
from paddock.gateway.limit_holds import Hold
from paddock.schemas.limits import NANO, Limits
from paddock.services.keys import Key
from paddock.store.database import WriteSession
from paddock.store.ledger import Ledger
from tests.store.two_gateways import START, HeldLedger, Pair, pair, quiet

Result = TypeVar("Result")


class _Counting(Ledger):
    looks = 0

    async def write(self, work: Callable[[WriteSession], Result]) -> Result:
        self.looks += 1
        return await super().write(work)


class _Gone(Ledger):
    gone = False

    async def write(self, work: Callable[[WriteSession], Result]) -> Result:
        if self.gone:
            raise StoreFailed("the ledger failed: database or disk is full")
        return await super().write(work)


class TestRequests:
    async def test_nobody_without_a_limit_waits_or_is_held(self, ledger: Ledger) -> None:
        async with pair(ledger) as one:
            assert await one.both[0].admit(one.plan(0), 10) is None

    async def test_three_a_minute_are_three_in_any_minute_wherever_they_come(self, ledger: Ledger) -> None:
        async with pair(ledger, Limits(requests_per_minute=3)) as one:
            for step in range(50):
                for at in (step % 2, 1 - step % 2):
                    if hold := await one.ask(at):
                        hold.end(1, 0)
                await one.pass_time(2.5)
        times = one.let_through
        assert all(sum(begin <= at < begin + 60 for at in times) <= 3 for begin in times)
        # And none is withheld: those of the first moment, and again as soon as they have left the window.
        assert [at - START for at in times] == [0, 0, 2.5, 62.5, 62.5, 65]

    async def test_all_of_a_larger_limit_are_let_through_and_not_one_more(self, ledger: Ledger) -> None:
        async with pair(ledger, Limits(requests_per_minute=100)) as one:
            for _ in range(10):
                found = await asyncio.gather(*(one.ask(at) for at in (0, 1) for _ in range(8)))
                for hold in found:
                    if hold is not None:
                        hold.end(1, 0)
                await one.pass_time(1.0)
            assert len(one.let_through) == 100
            await one.pass_time(45)
            assert await one.ask(0) is None
            await one.pass_time(8)
            assert await one.ask(0) is not None

    async def test_of_key_and_project_the_tighter_counts(self, ledger: Ledger) -> None:
        limits = Limits(requests_per_minute=5), Limits(requests_per_minute=2)
        async with pair(ledger, *limits) as one:
            hold = await one.ask(0)
            assert hold is not None
            assert b"x-ratelimit-limit-requests: 2\r\n" in hold.headers()
            assert b"x-ratelimit-remaining-requests: 1\r\n" in hold.headers()
            assert await one.ask(1) is not None
            error = await one.refusal(1)
            assert error.message == (
                "the limit of 2 requests per minute of project 'team' is reached; try again in 61 s"
            )
            assert error.code == "rate_limit_exceeded"
            assert error.retry_after == 61
            assert b"x-ratelimit-remaining-requests: 0\r\n" in error.headers

    async def test_a_refused_request_takes_nothing_of_the_other_limits(self, ledger: Ledger) -> None:
        limits = Limits(requests_per_minute=3), Limits(tokens_per_minute=10)
        async with pair(ledger, *limits) as one:
            assert await one.ask(0, tokens=8) is not None
            for _ in range(4):
                assert await one.ask(0, tokens=8) is None
                await one.pass_time(0.25)
            assert await one.ask(1, tokens=1) is not None
            assert await one.ask(1, tokens=1) is not None
            assert await one.ask(1, tokens=1) is None

    async def test_a_changed_limit_is_in_force_at_once(self, ledger: Ledger) -> None:
        async with pair(ledger, Limits(requests_per_minute=1)) as one:
            assert await one.ask(0) is not None
            assert await one.ask(0) is None
            one.key = Key("key-1", "team", "ci", limits=Limits(requests_per_minute=2))
            assert await one.ask(0) is not None
            assert await one.ask(0) is None

    async def test_what_an_ended_process_had_in_hand_goes_back(self, ledger: Ledger) -> None:
        async with pair(ledger, Limits(requests_per_minute=100)) as one:
            for _ in range(8):
                await asyncio.gather(*(one.ask(0) for _ in range(10)))
                one.clock.now += 0.05
            await one.both[0].close()
            await asyncio.gather(*(one.ask(1) for _ in range(30)))
            assert len(one.let_through) == 100

    async def test_most_requests_ask_nobody(self, url: str) -> None:
        ledger = _Counting(url)
        async with pair(ledger, Limits(requests_per_minute=100_000, concurrent_requests=1000)) as one:
            for _ in range(100):
                for _ in range(20):
                    hold = await one.ask(0)
                    assert hold is not None
                    hold.end(1, 0)
                one.clock.now += 0.01
                await asyncio.sleep(0.001)
            assert len(one.let_through) == 2000
            assert ledger.looks < 200
        ledger.close()


class TestTokens:
    async def test_what_was_not_used_comes_back_to_everybody(self, ledger: Ledger) -> None:
        async with pair(ledger, Limits(tokens_per_minute=1000)) as one:
            first = await one.ask(0, tokens=900)
            assert first is not None
            assert await one.ask(1, tokens=900) is None
            first.end(100, 0)
            await one.pass_time(0.25)
            second = await one.ask(1, tokens=900)
            assert second is not None
            assert await one.ask(0, tokens=1) is None

    async def test_what_was_used_beyond_the_estimate_counts_too(self, ledger: Ledger) -> None:
        async with pair(ledger, Limits(tokens_per_minute=1000)) as one:
            first = await one.ask(0, tokens=100)
            assert first is not None
            first.end(950, 0)
            await one.pass_time(0.25)
            error = await one.refusal(1, tokens=60)
            assert "this request may take 60" in error.message
            assert b"x-ratelimit-remaining-tokens: 50\r\n" in error.headers
            assert await one.ask(1, tokens=50) is not None

    async def test_nobody_is_refused_because_another_key_was_quicker(self, url: str) -> None:
        ledger = HeldLedger(url)
        project = Limits(tokens_per_minute=1_000_000)
        async with pair(ledger, Limits(requests_per_minute=1_000), project) as two:
            limiter, quick = two.both[0], Key("key-2", "team", "quick")
            for _ in range(50):
                two.clock.now += 0.02
                await limiter.admit(limiter.plan(quick, project), 10)
            await quiet(limiter)
            in_hand = limiter._plans.accounts["project:team"].tokens.spare
            assert in_hand > 20
            ledger.asked.clear()
            ledger.go.clear()
            # Of tokens there is enough in hand, so that only a request is asked for.
            waiting = asyncio.create_task(two.ask(0, tokens=20))
            await ledger.asked.wait()
            await limiter.admit(limiter.plan(quick, project), in_hand)
            ledger.go.set()
            assert await waiting is not None
        ledger.close()

    async def test_a_request_larger_than_the_limit_gets_a_minute_for_itself(self, ledger: Ledger) -> None:
        async with pair(ledger, Limits(tokens_per_minute=1000)) as one:
            assert await one.ask(0, tokens=5000) is not None
            assert await one.ask(1, tokens=1) is None
            await one.pass_time(61)
            assert await one.ask(1, tokens=5000) is not None


class TestConcurrency:
    async def test_no_more_at_once_than_may_be(self, ledger: Ledger) -> None:
        async with pair(ledger, Limits(concurrent_requests=3)) as one:
            holds = [await one.ask(at) for at in (0, 1, 0)]
            error = await one.refusal(1)
            assert "limit of concurrent requests" in error.message
            assert "key 'ci' has 3 requests" in error.message
            # Who was refused only now is refused at once.
            await asyncio.sleep(0.3)
            await one.pass_time(0.25)
            assert holds[0] is not None
            holds[0].end(1, 0)
            # The other process gives it back a moment later, for which a request waits.
            asked = asyncio.create_task(one.ask(1))
            await asyncio.sleep(0.02)
            await one.pass_time(0.25)
            assert await asked is not None

    async def test_one_that_waits_gets_the_place_of_one_that_ends(self, ledger: Ledger) -> None:
        async with pair(ledger, Limits(concurrent_requests=1)) as one:
            first = await one.ask(0)
            waiting = asyncio.create_task(one.ask(0))
            await asyncio.sleep(0.02)
            assert first is not None
            first.end(1, 0)
            assert await waiting is not None

    async def test_the_places_of_a_dead_process_are_free_in_a_few_seconds(self, ledger: Ledger) -> None:
        async with pair(ledger, Limits(concurrent_requests=2)) as one:
            assert await one.ask(0) is not None
            assert await one.ask(0) is not None
            assert await one.ask(1) is None
            # Nobody renews what the first one has.
            one.clock.now += 5
            assert await one.ask(1) is not None

    async def test_those_of_a_living_one_are_not(self, ledger: Ledger) -> None:
        async with pair(ledger, Limits(concurrent_requests=1)) as one:
            assert await one.ask(0) is not None
            await one.pass_time(20)
            assert await one.ask(1) is None

    async def test_who_leaves_while_waiting_takes_no_place(self, ledger: Ledger) -> None:
        async with pair(ledger, Limits(concurrent_requests=1)) as one:
            leaving = asyncio.create_task(one.ask(0))
            await asyncio.sleep(0)
            leaving.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await leaving
            await quiet(one.both[0])
            await one.pass_time(0.5)
            assert await one.ask(1) is not None


class TestBudget:
    async def test_a_stream_ends_when_it_is_gone(self, ledger: Ledger) -> None:
        async with pair(ledger, Limits(budget=1000, budget_period="total")) as one:
            hold = await one.ask(0, cost=100)
            assert isinstance(hold, Hold)
            spent = 0

            async def stream() -> None:
                nonlocal spent
                for _ in range(500):
                    spent += 50 if spent < 1000 else 1
                    hold.charge(spent)
                    await asyncio.sleep(0.005)

            with pytest.raises(BudgetSpent) as caught:
                await stream()
            assert "the budget of 0.000001 EUR of key 'ci'" in caught.value.message
            hold.end(20, spent)
            assert spent < 1100
            # Until it is in the ledger another process only knows that it is reserved.
            assert (await one.refusal(1)).retry_after == 1
            await one.write(0, spent)
            await one.pass_time(1)
            assert isinstance(await one.refusal(1), BudgetSpent)

    async def test_reservations_of_both_processes_stay_within_it(self, ledger: Ledger) -> None:
        async with pair(ledger, Limits(budget=1000)) as one:
            holds = [await one.ask(at, cost=400) for at in (0, 1, 0)]
            error = await one.refusal(1, cost=400)
            assert "reserved by requests" in error.message
            for hold in holds:
                assert hold is not None
                hold.end(1, 300)
            await one.pass_time(0.25)
            last = await one.ask(1, cost=400)
            assert last is not None
            last.end(1, 100)
            for at, cost in ((0, 600), (1, 400)):
                await one.write(at, cost)
            await one.pass_time(0.25)
            error = await one.refusal(0, cost=400)
            assert "is spent; it begins anew on 2027-02-01 00:00 UTC" in error.message

    async def test_what_is_written_is_not_held_as_well(self, ledger: Ledger) -> None:
        async with pair(ledger, Limits(budget=100)) as one:
            for number in range(10):
                hold = await one.ask(number % 2, cost=10)
                assert hold is not None
                hold.end(1, 10)
                await one.write(number % 2, 10)
                await one.pass_time(0.25)
            assert await one.ask(0, cost=1) is None

    async def test_of_a_batch_nothing_else_counts(self, ledger: Ledger) -> None:
        limits = Limits(requests_per_minute=2, budget=100)
        async with pair(ledger, limits) as one:
            for _ in range(5):
                row = await one.both[0].admit(one.plan(0, only_budget=True), 1, 10)
                assert row is not None
                row.end(1, 10)
            for _ in range(2):
                hold = await one.ask(0, cost=20)
                assert hold is not None
                hold.end(1, 20)
            assert (await one.refusal(0, cost=20)).code == "rate_limit_exceeded"
            last = await one.both[0].admit(one.plan(0, only_budget=True), 1, 10)
            assert last is not None
            last.end(1, 10)
            with pytest.raises(BudgetSpent):
                await one.both[0].admit(one.plan(0, only_budget=True), 1, 10)

    async def test_each_period_has_its_own(self, ledger: Ledger) -> None:
        async with pair(ledger, Limits(budget=NANO, budget_period="day")) as one:
            hold = await one.ask(0, cost=NANO)
            assert hold is not None
            hold.end(1, NANO)
            await one.write(0, NANO)
            await one.pass_time(0.25)
            error = await one.refusal(0)
            assert "the budget of 1 EUR a day of key 'ci' is spent" in error.message
            assert error.retry_after == math.ceil(86_400 - one.clock.now % 86_400)
            one.clock.now += 86_400
            assert await one.ask(0) is not None


class TestWithoutDatabase:
    async def test_what_is_in_hand_is_served_and_then_nothing(self, url: str) -> None:
        ledger = _Gone(url)
        async with pair(ledger, Limits(requests_per_minute=10_000, concurrent_requests=1000)) as one:
            for _ in range(20):
                for hold in await asyncio.gather(*(one.ask(0) for _ in range(10))):
                    assert hold is not None
                    hold.end(1, 0)
                one.clock.now += 0.05
            await quiet(one.both[0])
            ledger.gone = True
            served = len(one.let_through)
            with pytest.raises(Unavailable) as caught:
                await self._ask_on(one)
            served = len(one.let_through) - served
            assert 0 < served < 1000
            assert caught.value.retry_after == 1
            assert caught.value.message == "the limits of key 'ci' cannot be looked up now; try again"
            ledger.gone = False
            await asyncio.sleep(0.55)
            assert await one.ask(0) is not None
        ledger.close()

    async def _ask_on(self, one: Pair) -> None:
        for _ in range(1000):
            hold = await one.ask(0)
            assert hold is not None
            hold.end(1, 0)
