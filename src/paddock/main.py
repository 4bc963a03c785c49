"""The composition root: builds the gateway and the control side, runs them, and ends them in order."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import logging
import signal
import sys
from collections.abc import Callable, Sequence

import uvloop

from paddock.control.attach import attach
from paddock.control.models import LocalModels
from paddock.errors import StartupError, Unavailable
from paddock.gateway.access_log import AccessLog
from paddock.gateway.app import App
from paddock.gateway.metrics import Metrics
from paddock.gateway.openai.routes import mounts as openai_mounts
from paddock.gateway.own.routes import mount as own_mount
from paddock.gateway.server import HttpServer
from paddock.inference.routing import Routes
from paddock.settings import Settings

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
    logging.basicConfig(
        level=settings.log_level.upper(),
        stream=sys.stderr,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    # It reports each file it writes; the progress of a conversion is shown by us.
    logging.getLogger("gguf").setLevel(logging.WARNING)
    uvloop.run(_Server(settings, announce).run(models, attached))


def build_gateway(settings: Settings, routes: Routes) -> tuple[App, HttpServer]:
    """The gateway over `routes`, which may change while it runs; it is not listening yet."""
    metrics = Metrics(routes.all)
    dialects = openai_mounts(routes)
    own = own_mount(routes, metrics, lambda: app.refusal, dialects)
    app = App([*dialects, own], metrics, AccessLog(sys.stdout) if settings.access_log else None)
    return app, HttpServer(app, app.refuse, settings.max_body)


class _Server:
    def __init__(self, settings: Settings, announce: Announce) -> None:
        self.settings = settings
        self.announce = announce
        self.routes = Routes()
        self.app, self.http = build_gateway(settings, self.routes)
        self.local = LocalModels(settings, self.routes, announce)
        self._signals: asyncio.Queue[int] = asyncio.Queue()

    async def run(self, models: Sequence[str], attached: Sequence[str]) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._signals.put_nowait, number)
        self.app.refusal = Unavailable("the server is starting", code="starting", retry_after=1)
        port = await self._listen()
        try:
            starting = asyncio.ensure_future(self._start(models, attached))
            stopped = asyncio.ensure_future(self._signals.get())
            await asyncio.wait({starting, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if not starting.done():
                starting.cancel()
                await asyncio.gather(starting, return_exceptions=True)
                return
            starting.result()
            self.app.refusal = None
            self._ready(port)
            await stopped
            await self._drain()
        finally:
            await self.http.close()
            await self.local.close()
            if self.app.access_log is not None:
                self.app.access_log.flush()

    async def _listen(self) -> int:
        host, port = self.settings.host, self.settings.port
        try:
            return await self.http.listen(host, port)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise StartupError(
                    f"port {port} on {host} is taken; stop what uses it or choose another with --port"
                ) from None
            raise StartupError(f"cannot listen on {host}:{port}: {error.strerror or error}") from None

    async def _start(self, models: Sequence[str], attached: Sequence[str]) -> None:
        for spec in attached:
            self.routes.add(await attach(spec, self.settings.request_timeout))
        await self.local.start(models)

    def _ready(self, port: int) -> None:
        host = self.settings.host
        names = ", ".join(deployment.name for deployment in self.routes.all())
        if not _is_loopback(host):
            self.announce(
                f"Mind that there are no keys yet: whoever reaches {host}:{port} may use these models."
            )
        self.announce(f"Paddock serves {names} at http://{f'[{host}]' if ':' in host else host}:{port}")

    async def _drain(self) -> None:
        """Lets what runs finish, up to the deadline or a second signal."""
        limit = self.settings.drain_timeout
        self.app.refusal = Unavailable("the server is shutting down", code="draining", retry_after=5)
        self.http.drain()
        if self.app.in_flight:
            self.announce(
                f"Finishing {self.app.in_flight} running requests, for {limit:g} s at most;"
                " the same signal again stops now."
            )
        again = asyncio.ensure_future(self._signals.get())
        deadline = asyncio.get_running_loop().time() + limit
        while self.app.in_flight and not again.done() and asyncio.get_running_loop().time() < deadline:
            await asyncio.wait({again}, timeout=0.02)
        if self.app.in_flight:
            log.warning("stopped with %d requests unfinished", self.app.in_flight)
        again.cancel()


def _is_loopback(host: str) -> bool:
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"
