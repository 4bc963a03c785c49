"""`paddock serve`: the control side, and the gateway in this process or in several."""

from __future__ import annotations

import asyncio
import errno
import importlib
import logging
import signal
import socket
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import uvloop

from paddock.control.attach import attach
from paddock.control.controller import Controller
from paddock.control.presence import Presence
from paddock.errors import StartupError, Unavailable
from paddock.gateway.server import BACKLOG
from paddock.main.platforms import open_platform, open_presence
from paddock.main.process import cancelled, collect_seldom, log_to_stderr
from paddock.main.starting import Starting
from paddock.main.tracing import check
from paddock.main.workers import Workers
from paddock.runners.local import LocalRunner
from paddock.runners.threads import in_thread
from paddock.services import commanded
from paddock.services.exposure import is_loopback, keys_required
from paddock.services.platform import Platform
from paddock.settings import Settings

if TYPE_CHECKING:
    from paddock.inference.routing import Deployment
    from paddock.main.front import Front
    from paddock.main.jobs import Follower, Jobs

log = logging.getLogger("paddock")

Announce = Callable[[str], None]


def serve(settings: Settings, models: Sequence[str], attached: Sequence[str], announce: Announce) -> None:
    """Serves until a signal ends it. The first SIGTERM or SIGINT drains, a second one stops now.

    Args:
        models: what to host here: names, folders, files or hub ids.
        attached: `NAME=URL` of servers that already run.
        announce: is told, for a person, what goes on.

    Raises:
        StartupError: the port is taken, a model cannot be read, an attached server does not answer.
    """
    keys_required(settings)
    check(settings)
    log_to_stderr(settings)
    uvloop.run(_Server(settings, models, attached, announce).run())


class _Server:
    def __init__(
        self, settings: Settings, models: Sequence[str], attached: Sequence[str], announce: Announce
    ) -> None:
        self.settings = settings
        self.models = models
        self.attached = attached
        self.announce = announce
        self.front: Front | None = None
        self.workers: Workers | None = None
        self.controller: Controller | None = None
        self.follower: Follower | None = None
        self.jobs: Jobs | None = None
        self._controlling: asyncio.Task[None] | None = None
        self._platform: Platform | None = None
        self._presence: Presence | None = None
        self._runner = LocalRunner(settings.data_dir)
        self._signals: asyncio.Queue[int] = asyncio.Queue()

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._signals.put_nowait, number)
        listener = _listen(self.settings.host, self.settings.port)
        try:
            starting = asyncio.ensure_future(self._start(listener))
            stopped = asyncio.ensure_future(self._signals.get())
            await asyncio.wait({starting, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if not starting.done():
                starting.cancel()
                await asyncio.gather(starting, return_exceptions=True)
                return
            self._ready(int(listener.getsockname()[1]), starting.result())
            await self._until(stopped)
            await self._drain()
        finally:
            await self._close()
            listener.close()

    async def _start(self, listener: socket.socket) -> list[str]:
        """The names that are served now."""
        settings = self.settings
        attached = [await attach(spec, settings.request_timeout) for spec in self.attached]
        names = [one.name for one in attached]
        self._platform = platform = await in_thread(lambda: open_platform(settings, self.models, names))
        self._presence = presence = open_presence(settings)
        self.controller = Controller(platform, self._runner, presence)
        self._controlling = asyncio.create_task(self.controller.run())
        await self.controller.leads()
        wished = await commanded.ensure(platform, self.models)
        if settings.workers == 1:
            # The gateway takes about as long to import as a small engine to load, and does it meanwhile.
            module = await in_thread(lambda: importlib.import_module("paddock.main.front"))
            self.front = front = module.new_front(settings, attached, platform, presence.identity)
            front.app.refusal = Unavailable("the server is starting", code="starting", retry_after=1)
            await front.http.listen_on(listener)
            await front.follow(platform)
        else:
            self.workers = Workers(
                settings, listener, presence.folder, self.attached, [one.name for one in wished]
            )
            await self.workers.start()
        # Nobody who asks waits for what only jobs need.
        jobs = asyncio.create_task(self._start_jobs(platform, presence, attached))
        try:
            await Starting(platform, self.announce).until_ready(wished)
        except BaseException:
            await cancelled(jobs)
            raise
        if self.front is not None:
            await self.front.until_served(one.name for one in wished)
            self.front.app.refusal = None
        if self.workers is not None:
            await self.workers.until_ready()
        await jobs
        return [*names, *(one.name for one in wished)]

    async def _start_jobs(
        self, platform: Platform, presence: Presence, attached: Sequence[Deployment]
    ) -> None:
        # Without room for jobs it still ends those that were cancelled, or that no worker took up in time.
        module = await in_thread(lambda: importlib.import_module("paddock.main.jobs"))
        asks: Front | Follower
        if self.front is not None:
            asks = self.front
        else:
            self.follower = follower = module.Follower(platform, attached, presence.identity, presence.folder)
            await follower.start()
            asks = follower
        names = [one.name for one in attached]
        self.jobs = module.Jobs(platform, asks.directory, asks.accounts, presence, presence.identity, names)
        self.jobs.start()

    def _ready(self, port: int, names: Sequence[str]) -> None:
        collect_seldom()
        host = self.settings.host
        if keys_required(self.settings):
            self.announce(
                "Nobody is answered without a key; make one with"
                f" `paddock keys create --name NAME --data-dir {self.settings.data_dir}`"
            )
        elif not is_loopback(host):
            self.announce(
                f"Mind that no key is needed: whoever reaches {host}:{port} may use these models, and"
                " start and end others; keys, projects and /metrics are for keys with the scope admin"
            )
        where = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        self.announce(f"Paddock serves {', '.join(names) or 'deployments'} at {where}")

    async def _until(self, stopped: asyncio.Future[int]) -> None:
        """Until a signal comes; without the control loop there is no going on."""
        assert self._controlling is not None
        both: set[asyncio.Future[Any]] = {stopped, self._controlling}
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if self._controlling.done():
            self._controlling.result()

    async def _drain(self) -> None:
        if self.jobs is not None:
            await self.jobs.close()
        again = asyncio.ensure_future(self._signals.get())
        if self.front is not None:
            await self.front.drain(again, self.announce)
        if self.workers is not None:
            await self.workers.drain(again)
        again.cancel()

    async def _close(self) -> None:
        if self.jobs is not None:
            await self.jobs.close()
        if self.follower is not None:
            await self.follower.close()
        if self.workers is not None:
            await self.workers.close()
        if self.front is not None:
            await self.front.close()
        if self._controlling is not None:
            await cancelled(self._controlling)
        if self.controller is not None:
            await self.controller.close()
        await self._runner.close()
        if self._platform is not None:
            self._platform.close()
        if self._presence is not None:
            self._presence.close()


def _listen(host: str, port: int) -> socket.socket:
    """
    Raises:
        StartupError: the address cannot be bound; says why.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(BACKLOG)
            listener.setblocking(False)
        except OSError:
            listener.close()
            raise
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise StartupError(
                f"port {port} on {host} is taken; stop what uses it or choose another with --port"
            ) from None
        raise StartupError(f"cannot listen on {host}:{port}: {error.strerror or error}") from None
    return listener
