"""Processes on this machine. They end with the process that started them."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import logging
import signal
import socket
import threading
import time
from pathlib import Path

from paddock.engines.engine import Health, Prepared, Program, Progress, Site
from paddock.errors import PaddockError, StartupError
from paddock.runners.hardware import detect
from paddock.runners.left_over import end_left_over
from paddock.runners.log import NOTE, QUOTED_LINES, ProcessLog, forget_old_logs
from paddock.runners.probe import fetch
from paddock.runners.process import KIND, LocalProcess, spawn
from paddock.runners.runner import Report, Running
from paddock.runners.threads import in_thread
from paddock.schemas.hardware import Node

NODE = "local"
POLL_SECONDS = 0.015
PORT_ATTEMPTS = 3
TIDY_SECONDS = 10.0
EXPLAINED_LINES = 60

logger = logging.getLogger(__name__)


class LocalRunner:
    """See `Runner`. Its processes end with the thread that runs the event loop they were started from, so
    that must be a thread that stays.

    Args:
        data_dir: for what is fetched and converted, and for logs.
        host: where engines listen, and the address that they are reached at.
    """

    name = KIND

    def __init__(self, data_dir: Path, host: str = "127.0.0.1") -> None:
        self._site = Site(data_dir)
        self._host = host
        self._nodes: list[Node] = []
        self._processes: set[LocalProcess] = set()
        self._closed = threading.Event()
        self._tidying: asyncio.Task[None] | None = None

    async def nodes(self) -> list[Node]:
        """This machine, looked at once."""
        if not self._nodes:
            self._nodes = [Node(NODE, await in_thread(detect))]
        return self._nodes

    async def start(
        self, program: Program, *, node: str, name: str, timeout: float, report: Report
    ) -> Running:
        if node != NODE:
            raise StartupError(f"there is no node {node!r} here; there is {NODE!r}")
        prepared = await self._prepare(program, report)
        self._check_open()
        report("loading")
        if self._tidying is None:
            self._tidying = asyncio.ensure_future(self._tidy())
        log = ProcessLog(self._logs / file_name(name))
        await in_thread(lambda: _open(log, prepared.title))
        try:
            async with asyncio.timeout(timeout):
                return await self._launch(program, prepared, name, log)
        except TimeoutError:
            what = f"{program.name} was not ready after {timeout:g} s"
            raise await _failure(what, prepared, log) from None

    async def adopt(self, handle: str) -> Running | None:
        """None, but for one that this very runner started: local processes do not outlive their owner."""
        try:
            parts = json.loads(handle)
            kind, name, pid = parts["runner"], str(parts["name"]), int(parts["pid"])
        except (ValueError, KeyError, TypeError):
            return None
        if kind != KIND:
            return None
        for process in self._processes:
            if process.handle == handle:
                return process
        await in_thread(lambda: end_left_over(pid, name))
        return None

    async def close(self) -> None:
        self._closed.set()
        if self._tidying is not None:
            self._tidying.cancel()
        await asyncio.gather(*(process.stop() for process in self._processes))

    def _check_open(self) -> None:
        if self._closed.is_set():
            raise StartupError("the server is ending")

    @property
    def _logs(self) -> Path:
        return self._site.data_dir / "logs"

    async def _prepare(self, program: Program, report: Report) -> Prepared:
        loop = asyncio.get_running_loop()
        given_up = threading.Event()

        def relay(progress: Progress) -> None:
            if given_up.is_set() or self._closed.is_set():
                raise StartupError("the start was given up")
            loop.call_soon_threadsafe(report, progress)

        try:
            return await in_thread(lambda: program.prepare(self._site, relay))
        except PaddockError:
            raise
        except Exception as error:
            # Whatever is in a file that somebody downloaded must not end more than this start.
            logger.exception("preparing %s failed", program.name)
            raise StartupError(f"{program.name} cannot be prepared: {error!r}") from error
        finally:
            given_up.set()

    async def _launch(self, program: Program, prepared: Prepared, name: str, log: ProcessLog) -> LocalProcess:
        health, began = prepared.health, time.monotonic()
        for attempt in range(PORT_ATTEMPTS):
            port = free_port(self._host) if health else 0
            process = await self._spawn(prepared, name, port, log)
            try:
                self._check_open()
                if health:
                    await self._until_ready(process, health, port)
                seconds = time.monotonic() - began
                await in_thread(lambda: log.note(f"ready after {seconds:.2f} s"))  # noqa: B023
                return process
            except BaseException as error:
                await asyncio.shield(process.stop(grace=0))
                if not isinstance(error, _EndedEarly):
                    raise
                if not _is_taken(self._host, port) or attempt == PORT_ATTEMPTS - 1:
                    what = f"{program.name} {_describe_failure(error.status)}"
                    raise await _failure(what, prepared, log) from None
        raise AssertionError("unreachable")

    async def _spawn(self, prepared: Prepared, name: str, port: int, log: ProcessLog) -> LocalProcess:
        launch = prepared.launch(self._host, port)
        address = f"http://{self._host}:{port}" if port else ""

        async def start() -> LocalProcess:
            process = LocalProcess(await spawn(launch, name, log), name, address, prepared.facts, log)
            self._processes.add(process)
            process.watcher.add_done_callback(lambda _: self._processes.discard(process))
            return process

        starting = asyncio.ensure_future(start())
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:
            # Between the fork and here it is nobody's.
            with contextlib.suppress(OSError):
                process = await starting
                await asyncio.shield(process.stop(grace=0))
            raise
        except OSError as error:
            raise StartupError(f"cannot start a process for {name}: {error.strerror or error}") from error

    async def _until_ready(self, process: LocalProcess, health: Health, port: int) -> None:
        """Readiness is seen, not slept for: the process and its health are watched together."""
        while not await self._is_ready(health, port):
            await asyncio.wait([process.watcher], timeout=POLL_SECONDS)
            if process.status is not None:
                raise _EndedEarly(process.status)
        if health.warm_up:
            await fetch(self._host, port, health.warm_up.path, health.api_key, health.warm_up.body)
        if process.status is not None:
            raise _EndedEarly(process.status)

    async def _is_ready(self, health: Health, port: int) -> bool:
        if await fetch(self._host, port, health.alive, None) != 200:
            return False
        # Only our engine knows our key, so this cannot be another process that got the port.
        return await fetch(self._host, port, health.known, health.api_key) == 200

    async def _tidy(self) -> None:
        """Keeps the logs small, and few."""
        while True:
            in_use = {process.log.path: process.log for process in self._processes}
            await in_thread(lambda: forget_old_logs(self._logs, in_use))  # noqa: B023
            for log in in_use.values():
                await in_thread(log.shrink)
            await asyncio.sleep(TIDY_SECONDS)


class _EndedEarly(Exception):
    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def file_name(name: str) -> str:
    """A file's name for a process's: a part of a digest tells apart those that differ in other characters."""
    safe = "".join(c if c.isascii() and (c.isalnum() or c in "-_.") else "-" for c in name)[:100]
    safe = safe.strip(".") or "process"
    mark = "" if safe == name else f"-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
    return f"{safe}{mark}.log"


def free_port(host: str) -> int:
    """A port that was free a moment ago. Somebody else may take it before the engine does."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def _is_taken(host: str, port: int) -> bool:
    if not port:
        return False
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return True
    return False


def _open(log: ProcessLog, title: str) -> None:
    try:
        log.open().close()
    except OSError as error:
        raise StartupError(
            f"cannot write the log {log.path}: {error.strerror or error}; choose another --data-dir"
        ) from error
    log.note(f"starting {title}")


def _describe_failure(status: int) -> str:
    if status == -signal.SIGKILL:
        return "was killed while it started (SIGKILL: most often the machine is out of memory)"
    if status < 0:
        return f"crashed while it started ({signal.Signals(-status).name})"
    return f"could not start (exit status {status})"


async def _failure(what: str, prepared: Prepared, log: ProcessLog) -> StartupError:
    """With the program's own reason, from the lines that it wrote itself."""
    lines = await in_thread(lambda: log.tail(EXPLAINED_LINES))
    why = prepared.explain([line for line in lines if NOTE not in line])
    return StartupError(f"{what}: {why}" if why else what, log=lines[-QUOTED_LINES:])
