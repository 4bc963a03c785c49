from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from paddock.errors import ModelNotFound
from paddock.gateway.sync import Sync
from paddock.inference.routing import Directory
from paddock.schemas.own import CreateDeployment
from paddock.services import deployments, holds, work
from paddock.services.deployments import LOCAL
from paddock.services.holds import ORIGIN, own_name
from paddock.services.platform import Platform
from paddock.services.work import Ending, Held
from paddock.store.sessions import Store
from tests.store.fakes import SECONDS, Yard, platform_of, yard
from tests.store.posts import post, take

QUIET = 0.3


@pytest.fixture
async def here(store: Store, tmp_path: Path) -> AsyncIterator[Yard]:
    async with yard(platform_of(store, tmp_path), tmp_path, "one") as here:
        yield here


async def job(platform: Platform) -> Held:
    await post(platform)
    return await take(platform)


async def hold(platform: Platform, held: Held, deployment: str, replicas: int = 1) -> None:
    await platform.change(lambda session: holds.hold(session, held.id, deployment, replicas))


async def end(platform: Platform, held: Held) -> None:
    await platform.change(lambda session: work.end(session, held, Ending("completed"), time.time()))


async def bring_up(platform: Platform, held: Held) -> str:
    wish = CreateDeployment(model="foal", name=own_name(held.id), hardware_type="CPU_1", min_workers=1)
    made = await deployments.create(platform, LOCAL, wish, origin=ORIGIN)
    return made.id


class TestHold:
    async def test_wakes_one_that_sleeps_and_lets_it_sleep_again(self, here: Yard) -> None:
        made = await here.make(min_workers=0, idle_timeout=QUIET)
        await here.until("asleep", 0)
        held = await job(here.platform)
        await hold(here.platform, held, made.id)
        await here.until("ready", 1)
        # Nobody asks it anything that counts, for longer than it would stay awake.
        await asyncio.sleep(3 * QUIET)
        assert (await here.get()).available_workers == 1
        await end(here.platform, held)
        await here.until("asleep", 0)
        assert here.runner.starts == 1

    async def test_brings_up_more_than_the_wish_has_and_gives_them_back(self, here: Yard) -> None:
        made = await here.make(min_workers=1, max_workers=1)
        await here.until("ready", 1)
        held = await job(here.platform)
        await hold(here.platform, held, made.id, 3)
        await here.until("ready", 3)
        await end(here.platform, held)
        await here.until("ready", 1)

    async def test_two_jobs_share_them(self, here: Yard) -> None:
        made = await here.make(min_workers=0, idle_timeout=QUIET, max_workers=4)
        one, two = await job(here.platform), await job(here.platform)
        await hold(here.platform, one, made.id, 1)
        await hold(here.platform, two, made.id, 2)
        await here.until("ready", 2)
        await end(here.platform, two)
        await here.until("ready", 1)
        await asyncio.sleep(2 * QUIET)
        assert (await here.get()).available_workers == 1
        await end(here.platform, one)
        await here.until("asleep", 0)

    async def test_can_be_moved_and_said_again(self, here: Yard) -> None:
        first = await here.make("first", min_workers=0, idle_timeout=QUIET)
        second = await here.make("second", min_workers=0, idle_timeout=QUIET)
        held = await job(here.platform)
        for _ in range(2):
            await hold(here.platform, held, first.id)
        await here.until("ready", 1, "first")
        await hold(here.platform, held, second.id)
        await here.until("ready", 1, "second")
        await here.until("asleep", 0, "first")
        assert await here.platform.store.read(holds.held) == {second.id: 1}

    async def test_an_engine_that_dies_is_replaced(self, here: Yard) -> None:
        made = await here.make(min_workers=0, idle_timeout=QUIET)
        held = await job(here.platform)
        await hold(here.platform, held, made.id)
        await here.until("ready", 1)
        here.runner.running[0].die()
        await here.until_so(lambda: here.runner.starts == 2)
        await here.until("ready", 1)

    async def test_one_that_is_deleted_goes_nevertheless(self, here: Yard) -> None:
        made = await here.make()
        held = await job(here.platform)
        await hold(here.platform, held, made.id)
        await here.until("ready", 1)
        await deployments.delete(here.platform, LOCAL, "foal")
        await here.until_gone()
        await end(here.platform, held)
        assert await here.platform.store.read(holds.held) == {}

    async def test_outlives_its_worker(self, here: Yard) -> None:
        made = await here.make(min_workers=0, idle_timeout=QUIET)
        held = await job(here.platform)
        await hold(here.platform, held, made.id)
        await here.until("ready", 1)
        await here.platform.change(lambda session: work.put_back(session, held, time.time(), "stopped"))
        await asyncio.sleep(2 * QUIET)
        assert (await here.get()).available_workers == 1


class TestOwn:
    async def test_goes_with_its_job(self, here: Yard) -> None:
        held = await job(here.platform)
        identity = await bring_up(here.platform, held)
        await hold(here.platform, held, identity)
        await here.until("ready", 1, own_name(held.id))
        await end(here.platform, held)
        await here.until_gone(own_name(held.id))
        await here.until_so(lambda: not here.runner.running)

    async def test_goes_though_its_job_died_before_it_held_it(self, here: Yard) -> None:
        held = await job(here.platform)
        await bring_up(here.platform, held)
        await end(here.platform, held)
        await here.until_gone(own_name(held.id))

    async def test_what_only_has_such_a_name_stays(self, here: Yard) -> None:
        held = await job(here.platform)
        await here.make(own_name(held.id))
        await end(here.platform, held)
        await here.until("ready", 1, own_name(held.id))

    async def test_is_found_by_its_id_only(self, here: Yard) -> None:
        directory = Directory()
        routes = directory.of(LOCAL)
        sync = Sync(here.platform, directory, "another")
        following = asyncio.create_task(sync.run())
        try:
            held = await job(here.platform)
            identity = await bring_up(here.platform, held)
            async with asyncio.timeout(SECONDS):
                while (found := routes.by_id(identity)) is None or not found.replicas:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            for name in (own_name(held.id), found.name, found.model, "foal"):
                with pytest.raises(ModelNotFound):
                    routes.resolve(name)
            await end(here.platform, held)
            async with asyncio.timeout(SECONDS):
                while routes.by_id(identity) is not None:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
            await sync.close()
