"""A runner whose engines do as they are told, and a gateway that reports what it is told: for faults and
moments that no real ones can be asked for.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from paddock.control.controller import Controller
from paddock.control.presence import Presence
from paddock.engines.engine import Program
from paddock.errors import StartupError
from paddock.runners.runner import STOP_GRACE, Report, Runner, Running
from paddock.schemas.hardware import Node, NodeHardware
from paddock.schemas.own import CreateDeployment, Deployment, UpdateDeployment
from paddock.services import deployments, gateways
from paddock.services.deployments import LOCAL
from paddock.services.hardware import HardwareConfig
from paddock.services.models import Catalogue
from paddock.services.platform import Platform
from paddock.settings import Settings
from paddock.store.blobs import open_blobs
from paddock.store.ledger import Ledger
from paddock.store.sessions import Store, pulse
from tests.sqlite import ledger_in

NODE = Node("node", NodeHardware(cores=1, memory=64 * 2**30))
SECONDS = 15.0
"""More than anything here takes on a busy machine."""


def platform_of(store: Store, folder: Path, room: int = 8, **settings: Any) -> Platform:
    """With hardware for so many replicas on `CPU_1`."""
    values: dict[str, Any] = {
        "scale_down_after": 0.1,
        "queue_timeout": 30.0,
        "drain_timeout": 10.0,
        **settings,
    }
    chosen = Settings(data_dir=folder, **values)
    return Platform(
        store,
        chosen,
        Catalogue(folder),
        HardwareConfig(core_sharing=room),
        open_blobs(chosen),
        allowed=(),
        ledger=ledger_beside(store, folder),
    )


def ledger_beside(store: Store, folder: Path) -> Ledger:
    """In the same database if that is PostgreSQL; who never uses it needs not close it."""
    return ledger_in(folder) if store.url.startswith("sqlite") else Ledger(store.url)


class Engine:
    """A `Running` without a process."""

    def __init__(self, name: str, address: str) -> None:
        self.name = name
        self.address = address
        self.handle = name
        self.facts: dict[str, Any] = {"context_length": 64}
        self.ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.stopped = False
        self.may_stop = asyncio.Event()
        self.may_stop.set()

    @property
    def runs(self) -> bool:
        return not self.ended.done()

    def die(self) -> None:
        self.ended.set_result("was killed (SIGKILL)")

    async def wait(self) -> str:
        return await asyncio.shield(self.ended)

    async def stop(self, grace: float = STOP_GRACE) -> None:
        self.stopped = True
        await self.may_stop.wait()
        if self.runs:
            self.ended.set_result("was ended (SIGTERM)")

    async def read_log(self, offset: int) -> tuple[list[str], int]:
        lines = [f"line of {self.name}"]
        return lines[offset:], len(lines)


class Engines:
    """A `Runner`.

    Attributes:
        ready: nothing gets past its loading while this is not set.
        refuse: raised by the next starts instead.
        lost: whether engines are not to be found again by who adopts them.
    """

    name = "fake"

    def __init__(self, address: str) -> None:
        self._address = address
        self.started: list[Engine] = []
        self.starts = 0
        self.loading = 0
        self.ready = asyncio.Event()
        self.ready.set()
        self.refuse: StartupError | None = None
        self.lost = True

    @property
    def running(self) -> list[Engine]:
        return [one for one in self.started if one.runs]

    async def nodes(self) -> list[Node]:
        return [NODE]

    async def start(
        self, program: Program, *, node: str, name: str, timeout: float, report: Report
    ) -> Running:
        self.starts += 1
        report("loading")
        self.loading += 1
        try:
            await self.ready.wait()
        finally:
            self.loading -= 1
        if self.refuse is not None:
            raise self.refuse
        engine = Engine(name, self._address)
        self.started.append(engine)
        return engine

    async def adopt(self, handle: str) -> Running | None:
        return next((one for one in self.running if one.handle == handle and not self.lost), None)

    async def close(self) -> None:
        for engine in self.running:
            await engine.stop()


class Gateway:
    """What a gateway process would report.

    Attributes:
        follows: whether it sees every change at once.
    """

    def __init__(self, store: Store, identity: str = "gateway") -> None:
        self._store = store
        self._identity = identity
        self.follows = True
        self._revision = 0
        self._in_flight: dict[str, int] = {}
        self._demand: dict[str, int] = {}
        self._used: dict[str, float] = {}
        self._beating = asyncio.create_task(self._beat())

    async def tell(
        self,
        *,
        demand: dict[str, int] | None = None,
        in_flight: dict[str, int] | None = None,
    ) -> None:
        """From now on it has this to do."""
        if demand is not None:
            self._demand = demand
            self._used.update(dict.fromkeys(demand, time.time()))
        if in_flight is not None:
            self._in_flight = in_flight
        await self._report(news=True)

    async def leave(self) -> None:
        self._beating.cancel()
        await asyncio.gather(self._beating, return_exceptions=True)

    async def _beat(self) -> None:
        known = None
        while True:
            seen = await self._store.read(pulse)
            news = self.follows and seen[0] != self._revision
            if self.follows:
                self._revision = seen[0]
            if news or known is None or time.time() - known > 0.5:
                known = time.time()
                await self._report(news=news)
            await asyncio.sleep(0.02)

    async def _report(self, *, news: bool) -> None:
        what = gateways.Report(self._revision, self._in_flight, self._demand, self._used)
        await self._store.write(
            lambda session: gateways.report(session, self._identity, time.time(), what, news=news), ring=news
        )


@dataclass
class Yard:
    """A controller over fake engines, and verbs that wait until what they ask for is so."""

    platform: Platform
    runner: Engines
    folder: Path
    gateway: Gateway
    controllers: dict[str, tuple[Controller, asyncio.Task[None], Presence]] = field(default_factory=dict)

    def control(self, name: str, runner: Runner | None = None) -> Controller:
        presence = Presence(self.folder)
        controller = Controller(self.platform, runner or self.runner, presence)
        self.controllers[name] = controller, asyncio.create_task(controller.run()), presence
        return controller

    async def end(self, name: str) -> None:
        """As the server does when it ends."""
        controller, running, presence = self.controllers.pop(name)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await controller.close()
        presence.close()

    async def make(self, name: str = "foal", **asked: Any) -> Deployment:
        wish = CreateDeployment(
            model="foal", name=name, **{"hardware_type": "CPU_1", "per_worker": 2, **asked}
        )
        return await deployments.create(self.platform, LOCAL, wish)

    async def update(self, name: str = "foal", **asked: Any) -> Deployment:
        return await deployments.update(self.platform, LOCAL, name, UpdateDeployment(**asked))

    async def get(self, name: str = "foal") -> Deployment:
        return await deployments.get(self.platform, LOCAL, name)

    async def until(
        self, status: str, ready: int | None = None, name: str = "foal", states: list[str] | None = None
    ) -> Deployment:
        """The deployment once it has this status, and so many ready replicas or replicas in these states."""
        deadline = time.monotonic() + SECONDS
        while True:
            one = await self.get(name)
            found = sorted(replica.state for replica in one.replicas)
            is_so = one.status == status and (states is None or found == sorted(states))
            if is_so and (ready is None or one.available_workers == ready):
                return one
            assert time.monotonic() < deadline, f"it stays {one.status} ({one.reason}): {found}"
            await asyncio.sleep(0.01)

    async def until_so(self, condition: Any) -> None:
        deadline = time.monotonic() + SECONDS
        while not condition():
            assert time.monotonic() < deadline, "it did not happen in time"
            await asyncio.sleep(0.01)

    async def until_gone(self, name: str = "foal") -> None:
        deadline = time.monotonic() + SECONDS
        while await self.platform.store.read(lambda session: deployments.known(session, LOCAL, name)):
            assert time.monotonic() < deadline, "it is not forgotten"
            await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def yard(platform: Platform, folder: Path, *names: str) -> AsyncIterator[Yard]:
    """With these controllers, of which the first one acts."""
    async with engine_address() as address:
        here = Yard(platform, Engines(address), folder, Gateway(platform.store))
        try:
            for name in names:
                await here.control(name).leads()
            yield here
        finally:
            here.runner.ready.set()
            for engine in here.runner.started:
                engine.may_stop.set()
            for name in list(here.controllers):
                await here.end(name)
            await here.gateway.leave()
            # The controller opened it.
            platform.ledger.close()


@contextlib.asynccontextmanager
async def engine_address() -> AsyncIterator[str]:
    """The address of something that answers whatever an engine is asked with an empty object."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await server.wait_closed()
        # Closed transports report to their protocols in the next turns.
        await asyncio.sleep(0.01)
