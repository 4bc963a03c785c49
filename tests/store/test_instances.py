"""What replicas cost is in the ledger, once, whatever fails in between."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from paddock.control.meter import Meter
from paddock.errors import StoreFailed
from paddock.schemas.limits import NANO
from paddock.services import replicas
from paddock.services.hardware import HardwareConfig, TypeConfig
from paddock.services.platform import Platform
from paddock.services.usage import instances
from paddock.services.usage.record import spent
from paddock.store.ledger_tables import InstanceRow
from paddock.store.sessions import ChangeSession, Store
from paddock.store.tables import DeploymentRow, HardwareLeaseRow, LeaseRow, ReplicaRow
from tests.store.fakes import platform_of, yard
from tests.store.rows import add_deployment

READY = 1_790_000_000.5
PRICES = HardwareConfig(
    core_sharing=8,
    types={"CPU_1": TypeConfig(price_per_hour=0.6), "CPU_2": TypeConfig(price_per_hour=1.2)},
)


@pytest.fixture
async def platform(store: Store, tmp_path: Path) -> AsyncIterator[Platform]:
    platform = dataclasses.replace(platform_of(store, tmp_path), hardware=PRICES)
    yield platform
    platform.ledger.close()


async def add(
    platform: Platform, name: str, ready_at: float | None = READY, hardware_type: str = "CPU_1", **values: Any
) -> None:
    """A deployment with one replica, which bears its name."""

    def work(session: ChangeSession) -> None:
        row = add_deployment(session, name, **values)
        state = {"id": name, "deployment_id": row.id, "generation": 1, "fence": 1, "state": "ready"}
        session.add(ReplicaRow(**state, created_at=READY - 5, state_at=READY, ready_at=ready_at))
        session.flush()
        held = {"replica_id": name, "node": "node", "hardware_type": hardware_type, "gpus": []}
        session.add(HardwareLeaseRow(**held, cores=1, memory=1, since=READY))

    await platform.store.change(work)


async def end(platform: Platform, name: str, at: float) -> None:
    def work(session: ChangeSession) -> None:
        one = session.get_one(ReplicaRow, name)
        replicas.end(session, session.get_one(DeploymentRow, one.deployment_id), one, "stopped", "", at)

    await platform.store.change(work)


async def written(platform: Platform) -> list[tuple[str, float, int]]:
    """(replica, seconds after `READY`, cost) of each interval, in their order."""

    def work(session: Any) -> list[tuple[str, float, int]]:
        query = select(InstanceRow.replica_id, InstanceRow.start, InstanceRow.cost)
        ordered = query.order_by(InstanceRow.replica_id, InstanceRow.start)
        return [(identity, start - READY, cost) for identity, start, cost in session.execute(ordered)]

    return await platform.ledger.read(work)


def minutes(name: str, count: int, cost: int = NANO // 100) -> list[tuple[str, float, int]]:
    return [(name, 60.0 * number, cost) for number in range(count)]


class TestMeter:
    async def test_each_interval_is_written_when_it_begins(self, platform: Platform) -> None:
        await add(platform, "foal")
        meter = Meter(platform)
        await meter.look(READY)
        assert await written(platform) == minutes("foal", 1)
        await meter.look(READY + 59)
        assert await written(platform) == minutes("foal", 1)
        await meter.look(READY + 121)
        await meter.look(READY + 122)
        assert await written(platform) == minutes("foal", 3)

    async def test_it_stops_with_the_replica(self, platform: Platform) -> None:
        await add(platform, "foal")
        meter = Meter(platform)
        await meter.look(READY + 1)
        await end(platform, "foal", READY + 130)
        await meter.look(READY + 1000)
        await meter.look(READY + 2000)
        assert await written(platform) == minutes("foal", 3)

    async def test_a_replica_that_is_not_ready_yet_costs_nothing(self, platform: Platform) -> None:
        await add(platform, "foal", None)
        await Meter(platform).look(READY + 100)
        assert await written(platform) == []

    async def test_by_the_hour_and_on_the_hardware_that_it_holds(self, platform: Platform) -> None:
        details = {"cortecs": {"billing_interval": "per_hour"}}
        await add(platform, "foal", hardware_type="CPU_2", details=details)
        await Meter(platform).look(READY + 3601)
        assert await written(platform) == [("foal", 0, 1_200_000_000), ("foal", 3600, 1_200_000_000)]

    async def test_what_was_missed_is_caught_up(self, platform: Platform) -> None:
        """The next server writes what the last one could not, also of replicas that ended with it."""
        await add(platform, "gone", hardware_type="CPU_2")
        await add(platform, "stays")
        await Meter(platform).look(READY + 61)
        await end(platform, "gone", READY + 185)
        later = Meter(platform)
        await later.look(READY + 300)
        # What it held is not known any more, but what its last interval was for.
        assert await written(platform) == [*minutes("gone", 4, NANO // 50), *minutes("stays", 5)]

    async def test_one_of_which_nothing_was_written_is_caught_up_too(self, platform: Platform) -> None:
        await add(platform, "stays")
        await Meter(platform).look(READY + 301)
        await add(platform, "short", READY + 300)
        await end(platform, "short", READY + 300.4)
        await Meter(platform).look(READY + 302)
        assert (await written(platform))[:1] == [("short", 300, NANO // 100)]

    async def test_one_that_came_and_went_between_two_looks(self, platform: Platform) -> None:
        meter = Meter(platform)
        await meter.look(READY - 1)
        await add(platform, "short")
        await end(platform, "short", READY + 0.4)
        await meter.look(READY + 1)
        await add(platform, "stays", READY + 2)
        await meter.look(READY + 3)
        assert await written(platform) == [("short", 0, NANO // 100), ("stays", 2, NANO // 100)]

    async def test_one_that_came_and_went_while_the_ledger_failed(
        self, platform: Platform, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await add(platform, "stays")
        meter = Meter(platform)
        await meter.look(READY)

        async def refuse(work: Any) -> None:
            raise StoreFailed("the disk is full")

        with monkeypatch.context() as patch:
            patch.setattr(platform.ledger, "write", refuse)
            with pytest.raises(StoreFailed):
                await meter.look(READY + 100)
            await add(platform, "short", READY + 200)
            await end(platform, "short", READY + 210)
        await meter.look(READY + 1000)
        assert ("short", 200, NANO // 100) in await written(platform)

    async def test_two_at_once_count_once(self, platform: Platform) -> None:
        await add(platform, "foal", key_id="key-1")
        for meter in (Meter(platform), Meter(platform)):
            await meter.look(READY + 61)
        assert await written(platform) == minutes("foal", 2)
        subjects = ("deployment:dep-foal", "key:key-1", "project:local")
        found = await platform.ledger.read(lambda session: spent(session, subjects, ["total"]))
        assert found == {(subject, "total"): NANO // 50 for subject in subjects}

    async def test_a_ledger_that_fails_is_tried_again(
        self, platform: Platform, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await add(platform, "foal")
        meter = Meter(platform)
        await meter.look(READY)

        async def refuse(work: Any) -> None:
            raise StoreFailed("the disk is full")

        with monkeypatch.context() as patch:
            patch.setattr(platform.ledger, "write", refuse)
            with pytest.raises(StoreFailed):
                await meter.look(READY + 100)
            await end(platform, "foal", READY + 110)
            with pytest.raises(StoreFailed):
                await meter.look(READY + 200)
        await meter.look(READY + 300)
        assert await written(platform) == minutes("foal", 2)

    async def test_one_that_is_forgotten_meanwhile(self, platform: Platform) -> None:
        await add(platform, "foal")
        meter = Meter(platform)
        await meter.look(READY)

        def forget(session: ChangeSession) -> None:
            session.delete(session.get_one(HardwareLeaseRow, "foal"))
            session.flush()
            session.delete(session.get_one(ReplicaRow, "foal"))

        await platform.store.change(forget)
        await meter.look(READY + 61)
        await meter.look(READY + 200)
        assert await written(platform) == minutes("foal", 2)

    async def test_what_deployments_cost_so_far(self, platform: Platform) -> None:
        await add(platform, "one")
        await add(platform, "two", hardware_type="CPU_2")
        await Meter(platform).look(READY + 61)
        ids = ["dep-one", "dep-two", "dep-none"]
        costs = await platform.ledger.read(lambda session: instances.costs(session, ids))
        assert costs == {"dep-one": NANO // 50, "dep-two": NANO // 25}


class TestController:
    async def test_it_writes_what_its_replicas_cost(self, platform: Platform, tmp_path: Path) -> None:
        async with yard(platform, tmp_path, "one") as here:
            made = await here.make()
            ready = await here.until("ready", 1)
            costs: dict[str, int] = {}
            while not costs:
                costs = await platform.ledger.read(lambda session: instances.costs(session, [made.id]))
            assert costs == {made.id: NANO // 100}
            ((identity, start, _),) = await written(platform)
            assert (identity, start + READY) == (ready.replicas[0].id, ready.replicas[0].ready_at)

    async def test_nobody_pays_for_the_time_without_a_server(
        self, platform: Platform, tmp_path: Path
    ) -> None:
        """What ran when it was killed ended then, and not when the next one came."""
        at = READY - 10_000

        def killed(session: ChangeSession) -> None:
            session.execute(update(ReplicaRow).values(state_at=at, created_at=at, ready_at=at))
            session.add(LeaseRow(name="controller", holder="dead", fence=1, expires_at=at + 103))

        await add(platform, "foal")
        await platform.store.change(killed)
        async with yard(platform, tmp_path, "one"):
            one = await platform.store.read(lambda session: session.get_one(ReplicaRow, "foal").ended_at)
        assert one == at + 100
