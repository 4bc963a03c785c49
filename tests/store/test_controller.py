from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from paddock.control import apply
from paddock.control.decide import ATTEMPTS
from paddock.control.life import LEASE
from paddock.errors import Conflict, StartupError, StoreFailed
from paddock.schemas.own import Deployment
from paddock.services import deployments, events, replicas, snapshots
from paddock.services.deployments import LOCAL
from paddock.services.serving import changed_since
from paddock.store import leases
from paddock.store.sessions import Store
from paddock.store.tables import LeaseRow
from tests.store.fakes import Yard, platform_of, yard

NO_SUCH = StartupError("the weights are truncated", log=["reading", "unexpected end"])


@pytest.fixture
async def here(store: Store, tmp_path: Path) -> AsyncIterator[Yard]:
    async with yard(platform_of(store, tmp_path), tmp_path, "one") as here:
        yield here


@pytest.fixture
async def narrow(store: Store, tmp_path: Path) -> AsyncIterator[Yard]:
    """Where only one replica fits."""
    async with yard(platform_of(store, tmp_path, 1, queue_timeout=1.0), tmp_path, "one") as here:
        yield here


async def kinds(here: Yard, deployment: Deployment) -> list[str]:
    found = await here.platform.store.read(
        lambda session: events.latest(session, LOCAL, deployment_id=deployment.id)
    )
    return [one.kind for one in found]


async def held(here: Yard) -> int:
    """How many hardware leases there are."""
    return len(await here.platform.store.read(snapshots.leases))


class TestStart:
    async def test_from_a_wish_to_a_ready_replica(self, here: Yard) -> None:
        here.runner.ready.clear()
        made = await here.make()
        loading = await here.until("starting", states=["loading"])
        assert (loading.replicas[0].step, loading.serving) == (4, False)
        here.runner.ready.set()
        ready = await here.until("ready", 1)
        assert (ready.replicas[0].step, ready.replicas[0].node, ready.serving) == (5, "node", True)
        assert ready.started_at is not None
        assert await kinds(here, made) == ["created", "starting", "replica_ready", "ready"]

    async def test_gateways_learn_its_address_and_key(self, here: Yard) -> None:
        await here.make()
        await here.until("ready", 1)
        _, (served,) = await here.platform.store.read(lambda session: changed_since(session, -1))
        (replica,) = served.replicas
        assert replica.address == here.runner.running[0].address
        assert len(replica.key) > 20

    async def test_its_log_is_kept(self, here: Yard) -> None:
        made = await here.make()
        await here.until("ready", 1)
        lines: list[str] = []
        async with asyncio.timeout(10):
            while not lines:
                lines = await here.platform.store.read(
                    lambda session: [line[3] for line in events.lines_after(session, made.id, 0)]
                )
        assert lines == [f"line of {here.runner.running[0].name}"]

    async def test_many_deployments_at_once(self, here: Yard) -> None:
        await asyncio.gather(*(here.make(f"foal-{number}") for number in range(8)))
        for number in range(8):
            await here.until("ready", 1, f"foal-{number}")
        assert len(here.runner.running) == 8


class TestScale:
    async def test_up_with_the_requests_and_down_after_them(self, here: Yard) -> None:
        made = await here.make(max_workers=3)
        await here.until("ready", 1)
        await here.gateway.tell(demand={made.id: 5})
        await here.until("ready", 3)
        await here.gateway.tell(demand={made.id: 1})
        await here.until("ready", 1, states=["ready"])
        assert len(here.runner.running) == 1

    async def test_asleep_and_woken(self, here: Yard) -> None:
        made = await here.make(min_workers=0, idle_timeout=0.3)
        await here.until("asleep", 0)
        assert here.runner.starts == 0
        await here.gateway.tell(demand={made.id: 1})
        await here.until("ready", 1)
        await here.gateway.tell(demand={})
        await here.until("asleep", 0, states=[])
        assert here.runner.running == []
        await here.gateway.tell(demand={made.id: 1})
        await here.until("ready", 1)

    async def test_requests_between_two_looks_keep_it_awake(self, here: Yard) -> None:
        made = await here.make(min_workers=0, idle_timeout=1.0)
        await here.gateway.tell(demand={made.id: 1})
        await here.until("ready", 1)
        for _ in range(6):
            await here.gateway.tell(demand={made.id: 1})
            await here.gateway.tell(demand={})
            await asyncio.sleep(0.3)
        assert here.runner.starts == 1
        assert (await here.get()).status == "ready"

    async def test_a_start_goes_on_though_who_asked_went_away(self, here: Yard) -> None:
        here.runner.ready.clear()
        made = await here.make(min_workers=0, idle_timeout=30.0)
        await here.gateway.tell(demand={made.id: 1})
        await here.until("starting", states=["loading"])
        await here.gateway.tell(demand={})
        await asyncio.sleep(0.3)
        here.runner.ready.set()
        await here.until("ready", 1)

    async def test_to_nothing_is_a_stop(self, here: Yard) -> None:
        await here.make()
        await here.until("ready", 1)
        stopped = await here.update(min_workers=0, max_workers=0)
        assert (stopped.status, stopped.max_workers) == ("stopped", 1)
        await here.until("stopped", states=[])
        await here.update(min_workers=1, max_workers=2)
        await here.until("ready", 1)


class TestRoll:
    async def test_an_old_replica_goes_when_every_gateway_has_let_go_of_it(self, here: Yard) -> None:
        await here.make()
        old = (await here.until("ready", 1)).replicas[0]
        here.gateway.follows = False
        await here.gateway.tell(in_flight={old.id: 1})
        await here.update(context_length=128)
        rolled = await here.until("ready", 1, states=["ready", "draining"])
        assert {one.generation: one.state for one in rolled.replicas} == {1: "draining", 2: "ready"}
        # It has seen nothing yet, so that it has none in flight means nothing.
        await here.gateway.tell(in_flight={})
        await asyncio.sleep(0.3)
        assert len(here.runner.running) == 2
        # It knows, and still has a request there.
        await here.gateway.tell(in_flight={old.id: 1})
        here.gateway.follows = True
        await asyncio.sleep(0.3)
        assert len(here.runner.running) == 2
        await here.gateway.tell(in_flight={})
        await here.until("ready", 1, states=["ready"])
        assert len(here.runner.running) == 1

    async def test_the_deadline_cuts_what_never_ends(
        self, here: Yard, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(apply, "DRAIN_SECONDS", 0.2)
        await here.make()
        old = (await here.until("ready", 1)).replicas[0]
        await here.gateway.tell(in_flight={old.id: 1})
        await here.update(context_length=128)
        await here.until("ready", 1, states=["ready"])
        assert (await here.get()).generation == 2

    async def test_without_room_the_old_one_makes_way(self, narrow: Yard) -> None:
        await narrow.make()
        first = (await narrow.until("ready", 1)).replicas[0]
        await narrow.update(context_length=128)
        second = (await narrow.until("ready", 1, states=["ready"])).replicas[0]
        assert (second.generation, second.id != first.id) == (2, True)

    async def test_an_old_one_serves_on_while_the_new_one_cannot_start(self, here: Yard) -> None:
        await here.make()
        await here.until("ready", 1)
        here.runner.refuse = NO_SUCH
        await here.update(context_length=128)
        failed = await here.until("failed", 1)
        assert (failed.serving, failed.reason) == (True, "the weights are truncated")
        here.runner.refuse = None
        await here.update(context_length=256)
        await here.until("ready", 1, states=["ready"])

    async def test_what_is_only_scaled_needs_no_new_engine(self, here: Yard) -> None:
        await here.make()
        await here.until("ready", 1)
        assert (await here.update(min_workers=2, max_workers=2)).generation == 1
        await here.until("ready", 2)
        assert here.runner.starts == 2


class TestHardware:
    async def test_what_does_not_fit_waits_with_a_reason_and_fails_in_time(self, narrow: Yard) -> None:
        await narrow.make("first")
        await narrow.until("ready", 1, "first")
        await narrow.make("second")
        waiting = await narrow.until("starting", 0, "second")
        assert waiting.replicas[0].state == "queued"
        failed = await narrow.until("failed", 0, "second", states=[])
        assert "Waiting for hardware" in failed.reason
        assert narrow.runner.starts == 1

    async def test_what_waits_goes_on_when_there_is_room(self, narrow: Yard) -> None:
        await narrow.make("first")
        await narrow.until("ready", 1, "first")
        await narrow.make("second")
        await narrow.until("starting", 0, "second", states=["queued"])
        await deployments.delete(narrow.platform, LOCAL, "first")
        await narrow.until("ready", 1, "second")
        assert await held(narrow) == 1

    async def test_room_is_held_until_the_process_is_gone(self, narrow: Yard) -> None:
        await narrow.make("first")
        await narrow.until("ready", 1, "first")
        narrow.runner.running[0].may_stop.clear()
        await deployments.stop(narrow.platform, LOCAL, "first")
        await narrow.until("stopped", 0, "first", states=["ending"])
        await narrow.make("second")
        await narrow.until("starting", 0, "second", states=["queued"])
        await asyncio.sleep(0.2)
        assert narrow.runner.starts == 1
        narrow.runner.running[0].may_stop.set()
        await narrow.until("ready", 1, "second")


class TestFail:
    async def test_a_few_attempts_and_then_the_reason(self, here: Yard) -> None:
        here.runner.refuse = NO_SUCH
        began = time.monotonic()
        made = await here.make()
        failed = await here.until("failed", 0, states=[])
        assert time.monotonic() - began > 0.2 + 0.4
        assert (failed.reason, failed.log) == ("the weights are truncated", ["reading", "unexpected end"])
        assert here.runner.starts == ATTEMPTS
        await asyncio.sleep(1.0)
        assert here.runner.starts == ATTEMPTS
        assert (await kinds(here, made)).count("replica_failed") == ATTEMPTS
        here.runner.refuse = None
        await deployments.start(here.platform, LOCAL, "foal")
        ready = await here.until("ready", 1)
        assert (ready.reason, ready.log) == ("", [])

    async def test_what_cannot_be_prepared_is_not_tried_again(self, here: Yard) -> None:
        here.runner.refuse = StartupError("there is no such file")
        await here.make()
        failed = await here.until("failed", 0, states=[])
        assert (failed.reason, here.runner.starts) == ("there is no such file", 1)

    async def test_it_takes_nothing_else_down(self, here: Yard) -> None:
        await here.make("first")
        await here.until("ready", 1, "first")
        here.runner.refuse = NO_SUCH
        await here.make("second")
        await here.until("failed", 0, "second")
        assert (await here.get("first")).status == "ready"

    async def test_a_replica_that_dies_is_replaced(self, here: Yard) -> None:
        made = await here.make()
        first = (await here.until("ready", 1)).replicas[0]
        here.runner.running[0].die()
        await here.until_so(lambda: here.runner.starts == 2)
        second = (await here.until("ready", 1, states=["ready"])).replicas[0]
        assert second.id != first.id
        ended = await here.platform.store.read(
            lambda session: [(row.id, row.state, row.reason) for row in replicas.of(session, [made.id])]
        )
        assert (first.id, "failed", "its engine was killed (SIGKILL)") in ended
        assert "replica_failed" in await kinds(here, made)
        assert await held(here) == 1

    async def test_a_sleeper_that_cannot_wake_may_be_woken_later(self, here: Yard) -> None:
        made = await here.make(min_workers=0, idle_timeout=0.1)
        await here.gateway.tell(demand={made.id: 1})
        await here.until("ready", 1)
        await here.gateway.tell(demand={})
        await here.until("asleep", 0, states=[])
        here.runner.refuse = NO_SUCH
        await here.gateway.tell(demand={made.id: 1})
        await here.until("failed", 0, states=[])
        await here.gateway.tell(demand={})
        await here.until("asleep", 0, states=[])
        here.runner.refuse = None
        await here.gateway.tell(demand={made.id: 1})
        await here.until("ready", 1)

    async def test_one_that_dies_while_it_is_ended_is_not_forgotten(self, here: Yard) -> None:
        await here.make()
        await here.until("ready", 1)
        engine = here.runner.running[0]
        engine.may_stop.clear()
        engine.die()
        await here.until_so(lambda: engine.stopped)
        await deployments.delete(here.platform, LOCAL, "foal")
        await asyncio.sleep(0.1)
        engine.may_stop.set()
        await here.until_gone()
        assert await held(here) == 0


class TestEnd:
    async def test_stop_during_a_start(self, here: Yard) -> None:
        here.runner.ready.clear()
        await here.make()
        await here.until("starting", states=["loading"])
        await deployments.stop(here.platform, LOCAL, "foal")
        stopped = await here.until("stopped", states=[])
        assert (here.runner.loading, here.runner.started) == (0, [])
        assert "on purpose" in stopped.reason
        with pytest.raises(Conflict, match="stopped already"):
            await deployments.stop(here.platform, LOCAL, "foal")

    async def test_delete_during_a_start_frees_the_name(self, here: Yard) -> None:
        here.runner.ready.clear()
        first = await here.make()
        await here.until("starting", states=["loading"])
        await deployments.delete(here.platform, LOCAL, "foal")
        await here.until_gone()
        assert here.runner.loading == 0
        here.runner.ready.set()
        assert (await here.make()).id != first.id
        await here.until("ready", 1)

    async def test_running_requests_may_finish(self, here: Yard) -> None:
        await here.make()
        replica = (await here.until("ready", 1)).replicas[0]
        await here.gateway.tell(in_flight={replica.id: 2})
        await deployments.stop(here.platform, LOCAL, "foal")
        await here.until("stopped", states=["draining"])
        await asyncio.sleep(0.2)
        assert len(here.runner.running) == 1
        await here.gateway.tell(in_flight={})
        await here.until("stopped", states=[])

    async def test_nothing_else_goes_while_it_is_deleted(self, here: Yard) -> None:
        await here.make()
        replica = (await here.until("ready", 1)).replicas[0]
        await here.gateway.tell(in_flight={replica.id: 1})
        await deployments.delete(here.platform, LOCAL, "foal")
        for verb in (deployments.start, deployments.stop, deployments.delete):
            with pytest.raises(Conflict, match="is being deleted"):
                await verb(here.platform, LOCAL, "foal")
        with pytest.raises(Conflict, match="is being deleted"):
            await here.update(max_workers=2)
        await here.gateway.tell(in_flight={})
        await here.until_gone()

    async def test_stopped_and_started_before_it_was_over(self, here: Yard) -> None:
        await here.make()
        replica = (await here.until("ready", 1)).replicas[0]
        await here.gateway.tell(in_flight={replica.id: 1})
        await deployments.stop(here.platform, LOCAL, "foal")
        await deployments.start(here.platform, LOCAL, "foal")
        await here.until("ready", 1, states=["ready", "draining"])
        await here.gateway.tell(in_flight={})
        await here.until("ready", 1, states=["ready"])


class TestLease:
    async def test_one_acts_and_the_other_follows_at_once(self, here: Yard) -> None:
        await here.control("two").leads()
        await here.make()
        await here.until("ready", 1)
        assert here.runner.starts == 1
        await here.end("one")
        assert here.runner.running == []
        await here.until_so(lambda: here.runner.starts == 2)
        await here.until("ready", 1, states=["ready"])

    async def test_who_stands_by_changes_nothing(self, here: Yard) -> None:
        await here.control("two").leads()
        await here.make()
        await here.until("ready", 1)
        before = await here.platform.store.revision()
        await asyncio.sleep(1.2)
        assert await here.platform.store.revision() == before

    async def test_one_that_is_killed_is_followed_before_its_lease_runs_out(self, here: Yard) -> None:
        await here.make()
        await here.until("ready", 1)
        _, running, presence = here.controllers.pop("one")
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        # What the kernel does.
        presence._file.close()
        for engine in here.runner.running:
            engine.die()
        began = time.monotonic()
        await here.control("two").leads()
        assert time.monotonic() - began < leases.SECONDS / 2
        await here.until_so(lambda: here.runner.starts == 2)
        await here.until("ready", 1, states=["ready"])

    async def test_what_lives_on_is_adopted(self, here: Yard) -> None:
        await here.make()
        first = (await here.until("ready", 1)).replicas[0]
        here.runner.lost = False
        _, running, presence = here.controllers.pop("one")
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        presence._file.close()
        await here.control("two").leads()
        await here.make("second")
        await here.until("ready", 1, "second")
        assert (await here.get()).replicas[0].id == first.id
        assert here.runner.starts == 2

    async def test_who_lost_the_lease_ends_what_it_runs(self, here: Yard) -> None:
        await here.make()
        await here.until("ready", 1)
        engine = here.runner.running[0]
        # As after a pause of the whole machine: another one took it meanwhile.
        await here.platform.store.change(
            lambda session: leases.acquire(session, LEASE, "elsewhere", time.time() + 60)
        )
        await here.until_so(lambda: not engine.runs)
        await here.until_so(lambda: not here.runner.running)
        # It waits until the lease is free, and does it all again.
        await here.platform.store.change(lambda session: leases.release(session, LEASE, _fence(session)))
        await here.until_so(lambda: here.runner.starts == 2)
        await here.until("ready", 1, states=["ready"])

    async def test_a_store_that_is_gone_for_a_moment_costs_no_ready_replica(
        self, here: Yard, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        here.runner.lost = False
        await here.make()
        first = (await here.until("ready", 1)).replicas[0]
        here.runner.ready.clear()
        await here.make("second")
        await here.until("starting", name="second", states=["loading"])
        await _lose_the_store(monkeypatch)
        here.runner.ready.set()
        await here.until("ready", 1, "second", states=["ready"])
        assert (await here.get()).replicas[0].id == first.id
        await here.until_so(lambda: len(here.runner.running) == 2)
        for name in ("foal", "second"):
            await deployments.delete(here.platform, LOCAL, name)
            await here.until_gone(name)
        assert (here.runner.running, await held(here)) == ([], 0)

    async def test_an_engine_that_died_meanwhile_is_replaced_once(
        self, here: Yard, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        here.runner.lost = False
        await here.make()
        first = (await here.until("ready", 1)).replicas[0]
        await _lose_the_store(monkeypatch)
        await here.make("second")
        await here.until("ready", 1, "second")
        here.runner.started[0].die()
        await here.until_so(lambda: here.runner.starts == 3)
        second = (await here.until("ready", 1, states=["ready"])).replicas[0]
        assert second.id != first.id
        await deployments.delete(here.platform, LOCAL, "foal")
        await here.until_gone()
        assert len(here.runner.running) == 1

    async def test_what_had_failed_is_tried_again_by_the_next_one(self, here: Yard) -> None:
        here.runner.refuse = NO_SUCH
        await here.make()
        await here.until("failed", 0)
        await here.end("one")
        here.runner.refuse = None
        here.control("two")
        await here.until("ready", 1)


async def _lose_the_store(monkeypatch: pytest.MonkeyPatch) -> None:
    """Returns once the controller could not renew its lease."""
    renew, failed = leases.renew, asyncio.Event()
    loop = asyncio.get_running_loop()

    def fail(*_: object) -> None:
        monkeypatch.setattr(leases, "renew", renew)
        loop.call_soon_threadsafe(failed.set)
        raise StoreFailed("the store failed: no route to host")

    monkeypatch.setattr(leases, "renew", fail)
    async with asyncio.timeout(10):
        await failed.wait()


def _fence(session: Session) -> int:
    return session.get_one(LeaseRow, LEASE).fence
