from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from paddock.gateway.sync import Sync
from paddock.inference.routing import Deployment, Directory
from paddock.services import commanded, gateways, replicas
from paddock.services.deployments import LOCAL
from paddock.services.gateways import Gateways
from paddock.services.platform import Platform
from paddock.store.sessions import ChangeSession
from paddock.store.tables import DeploymentRow, ReplicaRow
from tests.store.fakes import SECONDS
from tests.store.rows import add_deployment

HERE = "gateway"


class Followed:
    """A gateway that follows the store, and changes to follow."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        directory = Directory()
        self.routes = directory.of(LOCAL)
        self.sync = Sync(platform, directory, HERE)
        self.running = asyncio.create_task(self.sync.run())
        self._left = False

    @property
    def one(self) -> Deployment:
        return self.routes.resolve("one")

    async def leave(self) -> None:
        """As a gateway process does when it ends."""
        if not self._left:
            self._left = True
            self.running.cancel()
            await asyncio.gather(self.running, return_exceptions=True)
            await self.sync.close()

    async def change(self, **values: object) -> None:
        def work(session: ChangeSession) -> None:
            row = session.get_one(DeploymentRow, "dep-one")
            row.revision = session.revision
            for name, value in values.items():
                setattr(row, name, value)

        await self.platform.store.change(work)

    async def add_replica(self) -> str:
        def work(session: ChangeSession) -> str:
            row = session.get_one(DeploymentRow, "dep-one")
            one = replicas.add(session, row, 1, 0.0, 60.0)
            replicas.advance(one, "ready", 5, "", 0.0, None)
            one.address, one.key, row.revision = "http://127.0.0.1:1", "k", session.revision
            return one.id

        return await self.platform.store.change(work)

    async def drain(self, identity: str) -> int:
        def work(session: ChangeSession) -> int:
            replicas.advance(session.get_one(ReplicaRow, identity), "draining", 5, "", 0.0, None)
            session.get_one(DeploymentRow, "dep-one").revision = session.revision
            return session.revision

        return await self.platform.store.change(work)

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(SECONDS):
            while not condition():  # noqa: ASYNC110
                await asyncio.sleep(0.005)

    async def reported(self) -> Gateways:
        return await self.platform.store.read(lambda session: gateways.alive(session, 0.0))

    async def until_reported(self, condition: Callable[[Gateways], object]) -> Gateways:
        async with asyncio.timeout(SECONDS):
            while not condition(found := await self.reported()):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        return found


@pytest.fixture
async def followed(platform: Platform) -> AsyncIterator[Followed]:
    await platform.store.change(lambda session: add_deployment(session, "one", status="asleep") and None)
    followed = Followed(platform)
    await followed.sync.catch_up()
    try:
        yield followed
    finally:
        await followed.leave()


class TestSync:
    async def test_routes_are_as_the_store_has_them(self, followed: Followed) -> None:
        assert (followed.one.asleep, followed.one.wakes, followed.one.replicas) == (True, True, [])
        identity = await followed.add_replica()
        await followed.until(lambda: followed.one.replicas)
        assert [one.id for one in followed.one.replicas] == [identity]
        await followed.change(wanted="stop", status="stopped")
        await followed.until(lambda: followed.one.stopped)
        assert "start it again" in followed.one.problem
        await followed.change(deleted_at=1.0)
        await followed.until(lambda: not followed.routes.by_id("dep-one"))

    async def test_who_waits_is_told_of_and_answered(self, followed: Followed) -> None:
        waiting = asyncio.create_task(followed.one.wait())
        found = await followed.until_reported(lambda found: found.waiting())
        assert found.demand("dep-one") == 1
        await followed.add_replica()
        replica = await waiting
        followed.one.leave(replica)
        found = await followed.until_reported(lambda found: not found.waiting())
        # When it was used is told as long as there is something that could fall asleep.
        assert found.used_at("dep-one") > 0

    async def test_who_waits_is_answered_by_another_model_too(self, followed: Followed) -> None:
        followed.one.patience = SECONDS
        waiting = asyncio.create_task(followed.one.wait())
        await followed.until(lambda: followed.one.waiting)
        await followed.change(model="org/other", generation=2)
        await followed.until(lambda: followed.one.model == "org/other")
        await followed.add_replica()
        replica = await waiting
        assert replica in followed.one.replicas
        assert followed.one.in_flight == 1
        followed.one.leave(replica)
        assert followed.routes.resolve("org/other") is followed.one

    async def test_a_draining_replica_is_let_go_when_its_requests_are_done(self, followed: Followed) -> None:
        identity = await followed.add_replica()
        await followed.until(lambda: followed.one.replicas)
        taken = followed.one.take()
        assert taken
        revision = await followed.drain(identity)
        await followed.until(lambda: not followed.one.replicas)
        found = await followed.until_reported(lambda found: found.reports[0].revision >= revision)
        assert found.in_flight(identity) == 1
        assert not found.let_go(identity, revision)
        followed.one.leave(taken)
        await followed.until_reported(lambda found: found.let_go(identity, revision))

    async def test_a_name_that_is_taken_ends_nothing(
        self, platform: Platform, caplog: pytest.LogCaptureFixture
    ) -> None:
        """As by an attached server that is called like a model of an earlier command."""
        await platform.store.change(
            lambda session: add_deployment(session, "one", origin=commanded.ORIGIN) and None
        )
        attached = Deployment("one", "attached", "one")
        directory = Directory([attached])
        sync = Sync(platform, directory, HERE)
        try:
            await sync.catch_up()
            assert directory.of(LOCAL).resolve("one") is attached
            assert directory.of(LOCAL).by_id("dep-one") is not None
            assert "found by its id only" in caplog.text
        finally:
            await sync.close()

    async def test_a_name_that_is_free_again(self, followed: Followed) -> None:
        """Whatever the clocks of those say that made the one and the other."""
        before = followed.one

        def work(session: ChangeSession) -> None:
            row = session.get_one(DeploymentRow, "dep-one")
            row.deleted_at, row.revision = 1.0, session.revision
            session.flush()
            add_deployment(session, "one", id="dep-other", created_at=-1.0)

        await followed.platform.store.change(work)
        await followed.until(lambda: followed.routes.by_id("dep-other"))
        assert followed.one is not before
        assert followed.one.id == "dep-other"

    async def test_who_leaves_is_not_waited_for(self, followed: Followed) -> None:
        await followed.until_reported(lambda found: found.reports)
        await followed.leave()
        assert not (await followed.reported()).reports
