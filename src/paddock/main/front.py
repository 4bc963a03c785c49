"""One process that answers requests: the routes, kept as the store has them, behind the HTTP server."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from paddock.errors import Unavailable
from paddock.gateway.access_log import AccessLog
from paddock.gateway.accounts import Accounts
from paddock.gateway.app import App
from paddock.gateway.cortecs import routes as cortecs
from paddock.gateway.counts import Shelf
from paddock.gateway.keyring import Keyring
from paddock.gateway.llm_engine import routes as llm_engine
from paddock.gateway.llm_engine.errors import ENDING
from paddock.gateway.metrics import Metrics
from paddock.gateway.openai.routes import completion_routes
from paddock.gateway.openai.routes import mounts as openai_mounts
from paddock.gateway.own import api as own_api
from paddock.gateway.own.routes import mount as own_mount
from paddock.gateway.pages import Pages
from paddock.gateway.prompt_log import PromptLog
from paddock.gateway.server import HttpServer
from paddock.gateway.sync import Sync
from paddock.inference.routing import Deployment, Directory
from paddock.main.process import cancelled
from paddock.main.tracing import new_tracer
from paddock.services import census
from paddock.services.exposure import is_loopback, keys_required
from paddock.services.keys import ANYBODY, PASSER_BY
from paddock.services.platform import Platform
from paddock.services.signing import Signer
from paddock.settings import Settings

log = logging.getLogger("paddock")


def build_gateway(
    settings: Settings, directory: Directory, platform: Platform | None = None, identity: str = ""
) -> tuple[App, HttpServer]:
    """The gateway over what `directory` has, which may change while it runs; it is not listening yet.

    Args:
        platform: what deployments are managed with; without it the gateway only relays.
        identity: of this process as a gateway.
    """
    keyring = new_keyring(settings, platform)
    metrics = new_metrics(directory, platform)
    dialects = openai_mounts(directory, platform)
    if platform is not None:
        second = completion_routes(directory, ending=ENDING)
        dialects += [
            llm_engine.mount(directory, platform, second, lambda: app.refusal),
            cortecs.mount(platform, keyring),
            own_api.mount(platform, lambda: http.draining),
        ]
    own = own_mount(directory, metrics, lambda: app.refusal, dialects)
    log_to = AccessLog(sys.stdout, as_json=settings.log_format == "json") if settings.access_log else None
    tracer, accounts = new_tracer(settings), None
    if platform is not None:
        accounts = Accounts(platform, keyring, identity, metrics, tracer)
    prompts = PromptLog() if settings.log_prompts else None
    app = App([*dialects, own], metrics, log_to, keyring, accounts, tracer, prompts)
    http = HttpServer(app, app.refuse, settings.max_body, app.receives)
    return app, http


def new_keyring(settings: Settings, platform: Platform | None) -> Keyring:
    """Who comes without a key runs the server if only its machine's users come, and is no web page then."""
    signer = Signer(platform) if platform is not None else None
    required, near = keys_required(settings), is_loopback(settings.host)
    guarded = near and not required and not settings.allow_anonymous
    pages = Pages(settings.public_url) if guarded else None
    return Keyring(required, signer, ANYBODY if near else PASSER_BY, pages)


def new_metrics(directory: Directory, platform: Platform | None) -> Metrics:
    """Of a process that asks what `directory` has; without a platform only of what it counts itself."""
    if platform is None:
        return Metrics(directory.all)
    return Metrics(directory.all, lambda: platform.store.read(census.take), platform.hardware)


class Front:
    """The parts of one gateway process, in the order in which they are used and ended."""

    def __init__(
        self, settings: Settings, directory: Directory, identity: str, app: App, http: HttpServer
    ) -> None:
        self.settings = settings
        self.directory = directory
        self.identity = identity
        self.app = app
        self.http = http
        self._sync: Sync | None = None
        self._sharing: asyncio.Task[None] | None = None
        self._syncing: asyncio.Task[None] | None = None

    @property
    def accounts(self) -> Accounts:
        assert self.app.accounts is not None, "a front has a platform"
        return self.app.accounts

    async def follow(self, platform: Platform) -> None:
        """From now on the routes and keys are as the store has them, and what is used is written down."""
        await self.app.keyring.ready()
        self._sync = Sync(platform, self.directory, self.identity, self.settings.workers, self.app.keyring)
        await self._sync.catch_up()
        self._syncing = asyncio.create_task(self._sync.run())
        self.accounts.start()

    def share_metrics(self, folder: Path) -> None:
        """From now on /metrics speaks for all processes that share the folder."""
        self.app.metrics.shelf = Shelf(folder, self.identity)
        self._sharing = asyncio.create_task(self.app.metrics.share())

    async def until_served(self, names: Iterable[str]) -> None:
        """Returns once each of these deployments has a replica, or has none until somebody asks."""
        for name in names:
            while True:
                found = [one for one in self.directory.public.all() if one.name == name]
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
        self.app.account()
        self.app.metrics.lay_down()
        await self.accounts.close()
        if self._sync is not None:
            await self._sync.close()
        if self.app.access_log is not None:
            self.app.access_log.flush()


def new_front(settings: Settings, attached: Sequence[Deployment], platform: Platform, identity: str) -> Front:
    """
    Args:
        identity: of this process as a gateway, unique.
    """
    directory = Directory(attached)
    return Front(settings, directory, identity, *build_gateway(settings, directory, platform, identity))
