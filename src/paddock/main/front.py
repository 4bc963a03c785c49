"""One process that answers requests: the routes, kept as the store has them, behind the HTTP server."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from paddock.errors import Unavailable
from paddock.gateway.access_log import AccessLog
from paddock.gateway.app import App
from paddock.gateway.cortecs import routes as cortecs
from paddock.gateway.counts import Shelf
from paddock.gateway.llm_engine import routes as llm_engine
from paddock.gateway.llm_engine.errors import ENDING
from paddock.gateway.metrics import Metrics
from paddock.gateway.openai.routes import completion_routes
from paddock.gateway.openai.routes import mounts as openai_mounts
from paddock.gateway.own import api as own_api
from paddock.gateway.own.routes import mount as own_mount
from paddock.gateway.server import HttpServer
from paddock.gateway.sync import Sync
from paddock.inference.routing import Deployment, Routes
from paddock.main.process import cancelled
from paddock.services.platform import Platform
from paddock.settings import Settings

log = logging.getLogger("paddock")

SHARE_SECONDS = 1.0


def build_gateway(
    settings: Settings, routes: Routes, platform: Platform | None = None
) -> tuple[App, HttpServer]:
    """The gateway over `routes`, which may change while it runs; it is not listening yet.

    Args:
        platform: what deployments are managed with; without it the gateway only relays.
    """
    metrics = Metrics(routes.all)
    dialects = openai_mounts(routes, platform)
    if platform is not None:
        second = completion_routes(routes, ending=ENDING)
        dialects += [
            llm_engine.mount(routes, platform, second, lambda: app.refusal),
            cortecs.mount(platform),
            own_api.mount(platform, lambda: http.draining),
        ]
    own = own_mount(routes, metrics, lambda: app.refusal, dialects)
    app = App([*dialects, own], metrics, AccessLog(sys.stdout) if settings.access_log else None)
    http = HttpServer(app, app.refuse, settings.max_body, app.receives)
    return app, http


class Front:
    """The parts of one gateway process, in the order in which they are used and ended."""

    def __init__(self, settings: Settings, routes: Routes, app: App, http: HttpServer) -> None:
        self.settings = settings
        self.routes = routes
        self.app = app
        self.http = http
        self._sync: Sync | None = None
        self._sharing: asyncio.Task[None] | None = None
        self._syncing: asyncio.Task[None] | None = None

    async def follow(self, platform: Platform, identity: str) -> None:
        """From now on the routes are as the store has them."""
        self._sync = Sync(platform, self.routes, identity, self.settings.workers)
        await self._sync.catch_up()
        self._syncing = asyncio.create_task(self._sync.run())

    def share_metrics(self, folder: Path, identity: str) -> None:
        """From now on /metrics speaks for all processes that share the folder."""
        self.app.metrics.shelf = Shelf(folder, identity)

        async def lay_down() -> None:
            while True:
                self.app.metrics.lay_down()
                await asyncio.sleep(SHARE_SECONDS)

        self._sharing = asyncio.create_task(lay_down())

    async def until_served(self, names: Iterable[str]) -> None:
        """Returns once each of these deployments has a replica, or has none until somebody asks."""
        for name in names:
            while True:
                found = [one for one in self.routes.all() if one.name == name]
                if not found or found[0].replicas or found[0].asleep or not found[0].wakes:
                    break
                await asyncio.sleep(0.01)

    async def drain(self, again: asyncio.Future[int], announce: Callable[[str], None]) -> None:
        """Lets what runs finish, up to the deadline or until `again` is done."""
        limit = self.settings.drain_timeout
        self.app.refusal = Unavailable("the server is shutting down", code="draining", retry_after=5)
        self.http.drain()
        if self.app.in_flight:
            announce(
                f"Finishing {self.app.in_flight} running requests, for {limit:g} s at most;"
                " the same signal again stops now."
            )
        deadline = asyncio.get_running_loop().time() + limit
        while self.app.in_flight and not again.done() and asyncio.get_running_loop().time() < deadline:
            await asyncio.wait({again}, timeout=0.02)
        if self.app.in_flight:
            log.warning("stopped with %d requests unfinished", self.app.in_flight)

    async def close(self) -> None:
        await self.http.close()
        for task in (self._syncing, self._sharing):
            if task is not None:
                await cancelled(task)
        self.app.metrics.lay_down()
        if self._sync is not None:
            await self._sync.close()
        if self.app.access_log is not None:
            self.app.access_log.flush()


def new_front(settings: Settings, attached: Sequence[Deployment], platform: Platform) -> Front:
    routes = Routes(attached)
    return Front(settings, routes, *build_gateway(settings, routes, platform))
