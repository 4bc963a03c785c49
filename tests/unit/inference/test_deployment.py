from __future__ import annotations

import asyncio
import math
from contextvars import copy_context
from typing import Any

import pytest

from paddock.errors import RateLimited, Unavailable
from paddock.inference import deployment as module
from paddock.inference.deployment import Deployment, Replica, in_background
from paddock.inference.upstream import Upstream


def replica(**values: Any) -> Replica:
    return Replica(Upstream("http://127.0.0.1:1/v1", None, 1), **{"id": "r", **values})


def deployment(*replicas: Replica, **values: Any) -> Deployment:
    made: dict[str, Any] = {"id": "d", "wakes": True, "patience": 5.0, "most_waiting": 4, **values}
    return Deployment("foal", "llama.cpp", "foal", replicas=list(replicas), **made)


async def waiting(one: Deployment, **more: Any) -> asyncio.Task[Replica]:
    """A request that waits."""
    before = one.waiting
    task = asyncio.create_task(one.wait(**more))
    while one.waiting == before and not task.done():  # noqa: ASYNC110
        await asyncio.sleep(0)
    return task


class TestTake:
    def test_the_least_busy_is_taken_and_counted(self) -> None:
        a, b = replica(), replica()
        one = deployment(a, b)
        taken = [one.take(), one.take(), one.take()]
        assert sorted((a.in_flight, b.in_flight)) == [1, 2]
        assert (one.in_flight, one.peak, one.used) == (3, 3, True)
        for each in taken:
            assert each
            one.leave(each)
        assert (one.in_flight, a.in_flight, b.in_flight, one.peak) == (0, 0, 0, 3)

    def test_none_without_replicas(self) -> None:
        assert deployment().take() is None

    def test_what_failed_it_is_not_taken_again(self) -> None:
        a, b = replica(), replica()
        assert deployment(a, b).take(tried=[a]) is b
        assert deployment(a).take(tried=[a]) is None

    def test_beyond_the_limit_is_too_many(self) -> None:
        one = deployment(replica(limit=1), replica(limit=2))
        for _ in range(3):
            one.take()
        with pytest.raises(RateLimited, match="3 requests running or waiting") as caught:
            one.take()
        assert (caught.value.status, caught.value.retry_after) == (429, 1)
        assert one.in_flight == 3

    def test_a_full_one_is_not_replaced_by_one_that_failed(self) -> None:
        a, b = replica(limit=1), replica(limit=1)
        one = deployment(a, b)
        assert one.take(tried=[a]) is b
        with pytest.raises(RateLimited):
            one.take(tried=[a])

    def test_a_full_one_is_not_replaced_by_a_suspect(self) -> None:
        a, b = replica(limit=1), replica(limit=1)
        one = deployment(a, b)
        one.suspect(a)
        assert one.take() is b
        with pytest.raises(RateLimited):
            one.take()


class TestSuspect:
    def test_it_is_left_out_for_a_moment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        now = [100.0]
        monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
        a, b = replica(), replica()
        one = deployment(a, b)
        one.suspect(a)
        assert one.take() is b
        assert one.take() is b
        now[0] += module.SUSPECT_SECONDS
        assert one.take() is a

    def test_an_attached_server_is_never_suspected(self) -> None:
        a = replica()
        one = deployment(a, id="", wakes=False)
        one.suspect(a)
        assert one.take() is a
        assert not one.has_other([a])

    def test_whether_there_is_another(self) -> None:
        a, b = replica(), replica()
        assert deployment(a, b, wakes=False).has_other([a])
        assert not deployment(a, wakes=False).has_other([a])
        assert deployment(a, wakes=True).has_other([a])


class TestWait:
    async def test_until_there_is_a_replica(self) -> None:
        woken: list[int] = []
        one = deployment(on_wait=lambda: woken.append(1))
        tasks = [await waiting(one), await waiting(one)]
        assert (one.waiting, one.peak, one.used, woken) == (2, 2, True, [1, 1])
        one.ring()
        await asyncio.sleep(0)
        assert one.waiting == 2
        new = replica()
        one.set_replicas([new])
        assert [await task for task in tasks] == [new, new]
        assert (one.waiting, one.in_flight, new.in_flight) == (0, 2, 2)

    async def test_for_another_than_the_one_that_failed(self) -> None:
        a, b = replica(), replica()
        one = deployment(a)
        task = await waiting(one, tried=[a])
        one.set_replicas([a])
        await asyncio.sleep(0)
        assert not task.done()
        one.set_replicas([a, b])
        assert await task is b

    async def test_until_a_suspicion_is_over(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "SUSPECT_SECONDS", 0.02)
        a = replica()
        one = deployment(a)
        one.suspect(a)
        assert one.take() is None
        async with asyncio.timeout(2):
            assert await one.wait() is a

    async def test_not_for_ever(self) -> None:
        one = deployment(patience=0.02, problem="it is still starting")
        with pytest.raises(Unavailable, match="no engine ready: it is still starting") as caught:
            await one.wait()
        assert (caught.value.status, caught.value.retry_after, one.waiting) == (503, 1, 0)

    async def test_not_where_nothing_comes(self) -> None:
        one = deployment(wakes=False, stopped=True, problem="it was stopped")
        with pytest.raises(Unavailable, match="it was stopped"):
            await one.wait()
        assert (one.peak, one.used) == (0, False)

    async def test_no_longer_once_nothing_comes_any_more(self) -> None:
        one = deployment()
        task = await waiting(one)
        one.wakes, one.problem = False, "it could not start: no weights"
        one.set_replicas([])
        with pytest.raises(Unavailable, match="no weights"):
            await task
        assert one.waiting == 0

    async def test_only_so_many(self) -> None:
        one = deployment(most_waiting=2)
        tasks = [await waiting(one), await waiting(one)]
        with pytest.raises(RateLimited, match="queue is full"):
            await one.wait()
        assert one.waiting == 2
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert (one.waiting, one._changed) == (0, [])

    async def test_who_does_not_fit_into_the_new_replica_is_told(self) -> None:
        one = deployment()
        tasks = [await waiting(one) for _ in range(3)]
        one.set_replicas([replica(limit=2)])
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(each) for each in found] == [Replica, Replica, RateLimited]

    async def test_a_caller_who_leaves_as_it_gets_its_replica_leaves_nothing(self) -> None:
        one = deployment()
        task = await waiting(one)
        new = replica()
        one.set_replicas([new])
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert (one.waiting, one.in_flight, new.in_flight) == (0, 0, 0)


class TestServes:
    def test_as_wished(self) -> None:
        assert deployment(replica()).serves
        assert deployment(asleep=True).serves
        assert not deployment().serves


def of_a_batch(one: Deployment) -> asyncio.Task[Replica]:
    """A request that waits, for which nobody waits."""

    async def wait() -> Replica:
        in_background.set(True)
        return await one.wait()

    return asyncio.create_task(wait())


class TestBackground:
    def test_is_in_flight_but_no_demand(self) -> None:
        one = deployment(replica())
        batch = copy_context()
        batch.run(in_background.set, True)
        taken = batch.run(one.take)
        assert taken
        assert (one.in_flight, one.background, one.demand) == (1, 1, 0)
        assert (one.peak, one.used, one.asked_at) == (0, False, -math.inf)
        mine = one.take()
        assert mine
        assert (one.in_flight, one.demand, one.peak, one.used) == (2, 1, 1, True)
        assert one.asked_at > -math.inf
        batch.run(one.leave, taken)
        assert (one.in_flight, one.background, one.demand) == (1, 0, 1)
        one.leave(mine)
        assert (one.in_flight, one.background, one.demand) == (0, 0, 0)

    def test_fills_replicas_as_any_other(self) -> None:
        one = deployment(replica(limit=1))
        batch = copy_context()
        batch.run(in_background.set, True)
        assert batch.run(one.take)
        with pytest.raises(RateLimited):
            batch.run(one.take)
        assert (one.in_flight, one.background) == (1, 1)

    async def test_waits_without_being_demand(self) -> None:
        one = deployment()
        task = of_a_batch(one)
        mine = await waiting(one)
        while one.waiting < 2:  # noqa: ASYNC110
            await asyncio.sleep(0)
        assert (one.demand, one.background, one.peak) == (1, 1, 1)
        one.set_replicas([replica()])
        one.leave(await mine)
        await task
        assert (one.waiting, one.in_flight, one.background, one.demand) == (0, 1, 1, 0)

    async def test_leaves_nothing_when_it_is_given_up(self) -> None:
        one = deployment(patience=0.01)
        task = of_a_batch(one)
        with pytest.raises(Unavailable):
            await task
        assert (one.waiting, one.background, one.demand, one.used) == (0, 0, 0, False)
        task = of_a_batch(one)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert (one.waiting, one.background) == (0, 0)
