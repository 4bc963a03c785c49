"""How much all batches of this process may ask of each deployment, beside those who wait for answers."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from dataclasses import dataclass

from paddock.control.batches.window import QUIET_SECONDS, Window
from paddock.errors import PaddockError
from paddock.inference.deployment import Deployment
from paddock.services import gateways
from paddock.services.platform import Platform

MOST = 1024
LOOK_SECONDS = 0.2
"""Between two looks at what other processes have at a deployment."""
_SPARE = 2
"""Connections to an engine that are left to those who wait."""


@dataclass
class _Flow:
    """
    Attributes:
        shape: what the window was made for.
        asking: rows at the deployment.
        demand, asked_at: what other processes have there of requests whose callers wait.
    """

    window: Window
    shape: tuple[int, int]
    asking: int = 0
    demand: int = 0
    asked_at: float = -math.inf


class Traffic:
    """
    Args:
        identity: this process's as a gateway.
    """

    def __init__(self, platform: Platform, identity: str) -> None:
        self._store = platform.store
        self._identity = identity
        self._flows: dict[Deployment, _Flow] = {}

    def room(self, deployment: Deployment) -> bool:
        """Whether one more row may be asked now."""
        flow = self._flow(deployment)
        now = time.monotonic()
        # An engine decodes nobody's request beside those of another adapter: people wait for these as well.
        demand = max(0, sum(one.demand for one in deployment.family)) + flow.demand
        asked_at = max(_asked_at(deployment), flow.asked_at)
        return flow.asking < flow.window.limit(now, demand, asked_at)

    def enter(self, deployment: Deployment) -> None:
        self._flow(deployment).asking += 1

    def leave(self, deployment: Deployment, work: int) -> None:
        """A row is over; `work` is in tokens, 0 if it was not answered."""
        flow = self._flow(deployment)
        flow.asking -= 1
        if work:
            now = time.monotonic()
            last = max(_asked_at(deployment), flow.asked_at)
            flow.window.answered(now, work, now - last > QUIET_SECONDS)
        if not flow.asking:
            # The next batch finds it as it was left, unless nobody is going to.
            self._flows = {one: kept for one, kept in self._flows.items() if kept.asking or one.replicas}

    def refused(self, deployment: Deployment) -> None:
        self._flow(deployment).window.refused(time.monotonic())

    async def run(self) -> None:
        """Looks at what other processes have at the deployments that are in use, until it is cancelled."""
        while True:
            if any(flow.asking for flow in self._flows.values()):
                with contextlib.suppress(PaddockError):
                    await self._look()
            await asyncio.sleep(LOOK_SECONDS)

    async def _look(self) -> None:
        alive = await self._store.read(lambda session: gateways.others(session, time.time(), self._identity))
        for deployment, flow in self._flows.items():
            flow.demand = alive.demand(deployment.family[0].id)
            if flow.demand:
                flow.asked_at = time.monotonic()

    def _flow(self, deployment: Deployment) -> _Flow:
        shape = (deployment.slots, len(deployment.replicas))
        flow = self._flows.get(deployment)
        if flow is None:
            flow = self._flows[deployment] = _Flow(_window(deployment), shape)
        elif flow.shape != shape and deployment.replicas:
            flow.window, flow.shape = _window(deployment), shape
        return flow


def _asked_at(deployment: Deployment) -> float:
    return max(one.asked_at for one in deployment.family)


def _window(deployment: Deployment) -> Window:
    replicas = max(1, len(deployment.replicas))
    connections = [one.upstream.limit or MOST for one in deployment.replicas]
    most = sum(max(1, each - _SPARE) for each in connections) or MOST
    return Window(deployment.slots * replicas, min(most, MOST))
