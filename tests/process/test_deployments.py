"""Real engines under a real controller and a gateway's routes, in one event loop: no request may fail."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from paddock.control.controller import Controller
from paddock.control.presence import Presence
from paddock.gateway.sync import Sync
from paddock.inference import relay
from paddock.inference.routing import Directory, Routes
from paddock.runners.local import LocalRunner
from paddock.schemas.own import CreateDeployment, Deployment, UpdateDeployment
from paddock.services import deployments
from paddock.services.deployments import LOCAL
from paddock.services.hardware import HardwareConfig
from paddock.services.models import Catalogue
from paddock.services.platform import Platform
from paddock.settings import Settings
from paddock.store.blobs import open_blobs
from tests.process.processes import marked
from tests.sqlite import ledger_in, store_in

SECONDS = 40.0


@dataclass
class Place:
    """A platform with its two sides, and what was asked of it."""

    platform: Platform
    routes: Routes
    answers: list[str] = field(default_factory=list)

    async def deploy(self, **asked: Any) -> Deployment:
        wish = CreateDeployment(model="foal", name="foal", context_length=256, slots=4, threads=1, **asked)
        return await deployments.create(self.platform, LOCAL, wish)

    async def get(self) -> Deployment:
        return await deployments.get(self.platform, LOCAL, "foal")

    async def until(self, status: str, count: int, generation: int = 1) -> Deployment:
        """Once it has this status, and so many replicas, all of them ready and of this generation."""
        async with asyncio.timeout(SECONDS):
            while True:
                one = await self.get()
                ready = [each.generation for each in one.replicas if each.state == "ready"]
                if one.status == status and ready == [generation] * count and len(one.replicas) == count:
                    return one
                await asyncio.sleep(0.02)

    async def ask(self, tokens: int = 16) -> str:
        body = {"prompt": "A foal is", "max_tokens": tokens, "ignore_eos": True}
        raw = await relay.fetch(self.routes.resolve("foal"), b"/completions", json.dumps(body).encode())
        answer: str = json.loads(raw)["choices"][0]["text"]
        assert answer
        self.answers.append(answer)
        return answer

    @contextlib.asynccontextmanager
    async def asked_all_the_time(self, callers: int = 6) -> AsyncIterator[None]:
        """While the block lasts there are always so many requests; each must be answered."""
        over = False

        async def keep_asking() -> None:
            while not over:
                await self.ask()

        tasks = [asyncio.create_task(keep_asking()) for _ in range(callers)]
        try:
            yield
        finally:
            over = True
            await asyncio.gather(*tasks)


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    settings = Settings(data_dir=tmp_path, start_timeout=30.0, scale_down_after=0.2)
    store = store_in(tmp_path)
    platform = Platform(
        store,
        settings,
        Catalogue(tmp_path),
        HardwareConfig(core_sharing=32),
        open_blobs(settings),
        ledger=ledger_in(tmp_path),
    )
    runner, presence, directory = LocalRunner(tmp_path), Presence(tmp_path), Directory()
    controller = Controller(platform, runner, presence)
    sync = Sync(platform, directory, presence.identity)
    tasks = [asyncio.create_task(controller.run())]
    await controller.leads()
    await sync.catch_up()
    tasks.append(asyncio.create_task(sync.run()))
    try:
        yield Place(platform, directory.of(LOCAL))
    finally:
        for task in reversed(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await sync.close()
        await controller.close()
        await runner.close()
        platform.close()
        presence.close()


async def known(place: Place) -> None:
    """The gateway has heard of the deployment."""
    async with asyncio.timeout(SECONDS):
        while not place.routes.all():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


class TestUnderChange:
    async def test_a_request_wakes_a_sleeper_which_sleeps_again(self, place: Place) -> None:
        await place.deploy(min_workers=0, idle_timeout=0.5)
        await place.until("asleep", 0)
        await known(place)
        await asyncio.gather(*(place.ask() for _ in range(4)))
        await place.until("asleep", 0)
        await place.ask()

    async def test_no_request_fails_while_engines_are_killed(self, place: Place) -> None:
        await place.deploy(min_workers=2)
        before = await place.until("ready", 2)
        await known(place)
        async with place.asked_all_the_time():
            for replica in before.replicas:
                await asyncio.sleep(0.3)
                for pid in marked(f"foal-{replica.id[-8:]}"):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
            await asyncio.sleep(0.5)
            after = await place.until("ready", 2)
        assert not {one.id for one in before.replicas} & {one.id for one in after.replicas}
        assert place.answers

    async def test_no_request_fails_while_the_only_engine_is_killed(self, place: Place) -> None:
        await place.deploy()
        (replica,) = (await place.until("ready", 1)).replicas
        await known(place)
        long = [asyncio.create_task(place.ask(150)) for _ in range(3)]
        while place.routes.resolve("foal").in_flight < 3:
            assert not any(task.done() for task in long), "they were too fast to be cut"
            await asyncio.sleep(0)
        for pid in marked(f"foal-{replica.id[-8:]}"):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        assert all(await asyncio.gather(*long))

    async def test_no_request_fails_during_a_roll(self, place: Place) -> None:
        await place.deploy()
        await place.until("ready", 1)
        await known(place)
        async with place.asked_all_the_time():
            for generation, context in ((2, 128), (3, 256)):
                changed = UpdateDeployment(context_length=context)
                await deployments.update(place.platform, LOCAL, "foal", changed)
                await place.until("ready", 1, generation)
        assert place.answers
