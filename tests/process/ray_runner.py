"""The seam over Ray, as small as it can be: each process has an actor on its node, which is its owner there.

The actor has a local runner of its own, so the process ends with it. It is detached and has a name, so that
whoever asked for it may go away and find it again.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable
from typing import Any, Literal

import ray
from ray.exceptions import RayActorError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from paddock import settings
from paddock.engines.engine import Program, Progress
from paddock.errors import StartupError
from paddock.runners.local import NODE, LocalRunner
from paddock.runners.runner import STOP_GRACE, Report, Running
from paddock.schemas.hardware import Node, NodeHardware

POLL_SECONDS = 0.02


class Host:
    """Runs on the node. Where it keeps things and where engines listen is that node's own setting."""

    def __init__(self) -> None:
        here = settings.load()
        self._runner = LocalRunner(here.data_dir, here.host)
        self._steps: list[Progress | Literal["loading"]] = []
        self._running: Running | None = None

    async def start(self, program: Program, name: str, timeout: float) -> None:
        self._running = await self._runner.start(
            program, node=NODE, name=name, timeout=timeout, report=self._steps.append
        )

    async def steps(self, seen: int) -> list[Progress | Literal["loading"]]:
        return self._steps[seen:]

    async def describe(self) -> tuple[str, dict[str, Any]]:
        return self._process.address, self._process.facts

    async def wait(self) -> str:
        return await self._process.wait()

    async def stop(self, grace: float) -> None:
        await self._process.stop(grace)

    async def read_log(self, offset: int) -> tuple[list[str], int]:
        return await self._process.read_log(offset)

    @property
    def _process(self) -> Running:
        assert self._running is not None, "asked before it started"
        return self._running


class RayProcess:
    """See `Running`. Its actor stays until its owner has stopped it, for the log's sake."""

    def __init__(self, name: str, actor: Any, address: str, facts: dict[str, Any]) -> None:
        self.handle = json.dumps({"runner": "ray", "name": name})
        self.address = address
        self.facts = facts
        self._actor = actor
        self._reason = ""

    async def wait(self) -> str:
        if not self._reason:
            try:
                self._reason = await self._actor.wait.remote()
            except RayActorError:
                self._reason = "was lost with its node"
        return self._reason

    async def stop(self, grace: float = STOP_GRACE) -> None:
        with contextlib.suppress(RayActorError):
            await self._actor.stop.remote(grace)
            await self.wait()
        ray.kill(self._actor)

    async def read_log(self, offset: int) -> tuple[list[str], int]:
        found: tuple[list[str], int] = await self._actor.read_log.remote(offset)
        return found


class RayRunner:
    """See `Runner`, over the cluster that this process is connected to."""

    name = "ray"

    async def nodes(self) -> list[Node]:
        return [
            Node(one["NodeID"], NodeHardware(int(one["Resources"]["CPU"]), int(one["Resources"]["memory"])))
            for one in ray.nodes()  # type: ignore[no-untyped-call]
            if one["Alive"]
        ]

    async def start(
        self, program: Program, *, node: str, name: str, timeout: float, report: Report
    ) -> RayProcess:
        actor: Any = (
            ray.remote(Host)
            .options(
                name=name,
                lifetime="detached",
                num_cpus=1,
                scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False),
            )
            .remote()
        )
        try:
            await self._watch(actor, actor.start.remote(program, name, timeout), report)
            return RayProcess(name, actor, *await actor.describe.remote())
        except RayTaskError as error:
            ray.kill(actor)
            raise error.cause from None
        except RayActorError as error:
            raise StartupError(f"the node was lost: {error}") from error
        except BaseException:
            ray.kill(actor)
            raise

    async def adopt(self, handle: str) -> RayProcess | None:
        parts = json.loads(handle)
        if parts["runner"] != self.name:
            return None
        try:
            actor = ray.get_actor(parts["name"])
            return RayProcess(parts["name"], actor, *await actor.describe.remote())
        except (ValueError, RayActorError):
            return None

    async def close(self) -> None:
        """Its processes live on without it."""

    async def _watch(self, actor: Any, start: Awaitable[None], report: Report) -> None:
        """Passes on how the start goes, until it is over."""
        starting = asyncio.ensure_future(start)
        seen = 0
        while True:
            done, _ = await asyncio.wait([starting], timeout=POLL_SECONDS)
            for step in await actor.steps.remote(seen):
                seen += 1
                report(step)
            if done:
                return starting.result()
