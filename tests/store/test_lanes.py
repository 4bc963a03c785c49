"""Where limits are high, requests come by lanes: what these hand out adds up, and nothing stays in them."""

from __future__ import annotations

import asyncio
import random
from collections import Counter

from paddock.gateway.limit_holds import Hold, LaneHold
from paddock.gateway.limit_lanes import Lane
from paddock.schemas.limits import Limits
from paddock.services.keys import Key
from paddock.store.ledger import Ledger
from tests.store.two_gateways import NONE, HeldLedger, Pair, held, pair


async def lane(one: Pair, tokens: int = 1) -> Lane:
    """That a request to the first of them comes by; the first request of all comes by none, and is over."""
    for _ in range(2):
        hold = await one.ask(0, tokens=tokens, cost=0)
        if isinstance(hold, Lane):
            return hold
        assert hold is not None
        hold.end(0, 0)
    raise AssertionError("there is no lane")


class TestLanes:
    async def test_what_they_hand_out_adds_up(self, ledger: Ledger) -> None:
        limits = Limits(100_000, 50_000_000, 5_000, 10**9)
        chance = random.Random(5)
        tokens = cost = 0
        came_by: Counter[type] = Counter()
        under_way: list[Hold | Lane | LaneHold] = []
        async with pair(ledger, limits, limits) as one:

            def end() -> None:
                nonlocal tokens, cost
                used, paid = chance.randint(0, 300), chance.randint(0, 3000)
                hold = under_way.pop(chance.randrange(len(under_way)))
                if not isinstance(hold, Lane) and chance.random() < 0.3:
                    hold.charge(paid)
                hold.end(used, paid, used)
                tokens, cost = tokens + used, cost + paid

            for number in range(3000):
                one.clock.now += 0.0005
                said = chance.random() < 0.5
                hold = await one.ask(number % 2, tokens=chance.randint(1, 200), cost=1000 if said else None)
                assert hold is not None
                came_by[type(hold)] += 1
                under_way.append(hold)
                if len(under_way) > 40:
                    end()
            assert min(came_by[Lane], came_by[LaneHold]) > 300
            while under_way:
                end()
            await one.pass_time(10)
            assert await held(ledger) == {
                **dict.fromkeys((("key:key-1", "requests"), ("project:team", "requests")), 3000),
                **dict.fromkeys((("key:key-1", "tokens"), ("project:team", "tokens")), tokens),
                **dict.fromkeys((("key:key-1", "budget"), ("project:team", "budget")), cost),
            }

    async def test_they_fit_the_larger_ones(self, ledger: Ledger) -> None:
        async with pair(ledger, Limits(tokens_per_minute=100_000_000)) as one:
            small = await lane(one, tokens=10)
            large = await lane(one, tokens=1000)
            assert large is not small
            assert await lane(one, tokens=10) is large
            for hold in (small, large, large):
                hold.end(10, 0)
            await one.pass_time(10)
            assert (await held(ledger))["key:key-1", "tokens"] == 30

    async def test_who_used_more_than_he_had_ends_his(self, ledger: Ledger) -> None:
        async with pair(ledger, Limits(tokens_per_minute=100_000_000)) as one:
            hold = await lane(one, tokens=10)
            hold.end(10, 0)
            assert not hold.given_back
            other = await lane(one, tokens=10)
            assert other is hold
            other.end(5_000_000, 0)
            assert hold.given_back
            await one.pass_time(10)
            assert (await held(ledger))["key:key-1", "tokens"] == 5_000_010

    async def test_as_many_at_once_as_there_are_places_for(self, ledger: Ledger) -> None:
        limits = Limits(requests_per_minute=1_000_000, concurrent_requests=2000)
        async with pair(ledger, limits) as one:
            by_lanes, under_way = 0, []
            for number in range(5000):
                one.clock.now += 0.0002
                hold = await one.ask(0)
                assert hold is not None
                by_lanes += isinstance(hold, Lane)
                under_way.append(hold)
                if len(under_way) > number % 40:
                    under_way.pop(0).end(1, 0)
            assert by_lanes > 2500
            while len(under_way) < 2000:
                hold = await one.ask(len(under_way) % 2)
                assert hold is not None
                under_way.append(hold)
            assert await one.ask(0) is None
            assert await one.ask(1) is None
            for hold in under_way:
                hold.end(1, 0)
            await one.pass_time(10)
            assert (await held(ledger))["key:key-1", "requests"] == len(one.let_through)
            assert [await one.ask(1) is not None for _ in range(2001)] == [True] * 2000 + [False]

    async def test_several_that_end_together_are_as_many_that_end(self, ledger: Ledger) -> None:
        async with pair(ledger, Limits(tokens_per_minute=100_000_000, budget=10**12)) as one:
            first = await lane(one, tokens=100)
            for _ in range(6):
                assert await lane(one, tokens=100) is first
            first.end(30, 60, answer=5, count=3)
            first.limiter.plan(one.key, NONE).give_back()
            assert first.given_back
            first.end(30, 60, answer=5, count=3)
            first.end(10, 20)
            await one.pass_time(10)
            assert (await held(ledger))["key:key-1", "tokens"] == 70
            assert (await held(ledger))["key:key-1", "budget"] == 140

    async def test_what_remains_is_said_anew_in_each_turn_of_the_loop(self, ledger: Ledger) -> None:
        async with pair(ledger, Limits(requests_per_minute=1_000_000)) as one:
            said = []
            for _ in range(3):
                hold = await lane(one)
                said.append(int(hold.headers().partition(b"remaining-requests: ")[2].split(b"\r")[0]))
                hold.end(1, 0)
                await asyncio.sleep(0)
            assert said == [said[0], said[0] - 1, said[0] - 2]

    async def test_of_what_nobody_uses_others_have_the_use(self, ledger: Ledger) -> None:
        async with pair(ledger, Limits(requests_per_minute=100_000, concurrent_requests=1_000)) as one:
            for _ in range(2000):
                one.clock.now += 0.0005
                hold = await one.ask(0)
                assert hold is not None
                hold.end(1, 0)
            await one.pass_time(10)
            for _ in range(1_000):
                assert await one.ask(1) is not None

    async def test_who_waits_while_a_limit_is_taken_away_is_let_through(self, url: str) -> None:
        ledger = HeldLedger(url)
        async with pair(ledger, Limits(requests_per_minute=10)) as one:
            ledger.go.clear()
            first = asyncio.create_task(one.ask(0))
            await ledger.asked.wait()
            second = asyncio.create_task(one.ask(0))
            await asyncio.sleep(0)
            one.both[0].plan(Key("key-1", "team", "ci"), NONE)
            ledger.go.set()
            async with asyncio.timeout(5):
                assert await first is not None
                assert await second is not None
        ledger.close()

    async def test_who_comes_back_after_long_counts_once(self, ledger: Ledger) -> None:
        async with pair(ledger, Limits(budget=1000, requests_per_minute=100)) as one:
            before = one.plan(0)
            hold = await one.ask(0, cost=10)
            assert hold is not None
            hold.end(1, 0)
            one.clock.now += 700
            await one.pass_time(0.5)
            assert before.forgotten
            for _ in range(5):
                hold = await one.ask(0, cost=100)
                assert hold is not None
                hold.end(1, 100)
                await one.write(0, 100)
                await one.pass_time(1)
            assert await one.ask(0, cost=500) is not None

    async def test_new_limits_hold_for_the_next_request(self, ledger: Ledger) -> None:
        async with pair(ledger, Limits(requests_per_minute=100_000)) as one:
            for _ in range(1000):
                one.clock.now += 0.0005
                assert await one.ask(0) is not None
            one.key = Key("key-1", "team", "ci", limits=Limits(requests_per_minute=500))
            assert await one.ask(0) is None
