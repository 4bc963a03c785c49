"""The gateway processes of `paddock serve --workers N`: started, watched, replaced, ended."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from paddock.errors import StartupError
from paddock.main.backoff import Backoff
from paddock.main.worker_config import CONFIG, WorkerConfig
from paddock.settings import Settings

log = logging.getLogger("paddock")

START_SECONDS = 60.0
END_SECONDS = 5.0


class Workers:
    """
    Args:
        listener: the socket that all of them take connections from.
        folder: for what they share, as long as this process lives.
        names: deployments that must be served before a worker counts as ready.
    """

    def __init__(
        self,
        settings: Settings,
        listener: socket.socket,
        folder: Path,
        attached: Sequence[str],
        names: Sequence[str],
    ) -> None:
        self._settings = settings
        self._listener = listener
        self._folder = folder
        self._attached = tuple(attached)
        self._names = tuple(names)
        self._processes: dict[int, asyncio.subprocess.Process] = {}
        self._ready: list[asyncio.Future[None]] = []
        self._keepers: list[asyncio.Task[None]] = []
        self._ending = False

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        for number in range(self._settings.workers):
            self._ready.append(loop.create_future())
            self._keepers.append(asyncio.create_task(self._keep(number)))

    async def until_ready(self) -> None:
        """
        Raises:
            StartupError: a worker does not start.
        """
        try:
            async with asyncio.timeout(START_SECONDS):
                await asyncio.gather(*self._ready)
        except TimeoutError:
            raise StartupError("the gateway processes did not start; the log above tells more") from None

    async def drain(self, again: asyncio.Future[int]) -> None:
        """Each finishes what it has; `again` makes them stop now."""
        self._ending = True
        self._signal(signal.SIGTERM)
        ended = asyncio.ensure_future(self._all_ended())
        both: set[asyncio.Future[Any]] = {ended, again}
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if not ended.done():
            self._signal(signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(END_SECONDS):
                await ended

    async def close(self) -> None:
        self._ending = True
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        self._signal(signal.SIGKILL)
        await self._all_ended()

    async def _keep(self, number: int) -> None:
        backoff = Backoff()
        while not self._ending:
            told, tell = os.pipe()
            try:
                process = await self._spawn(tell)
            finally:
                os.close(tell)
            self._processes[number] = process
            if await _read(told) and not self._ready[number].done():
                self._ready[number].set_result(None)
            status = await process.wait()
            if not self._ending:
                log.error("gateway process %d ended with status %d and is started again", number, status)
                await asyncio.sleep(backoff.next())

    async def _spawn(self, tell: int) -> asyncio.subprocess.Process:
        descriptor = self._listener.fileno()
        config = WorkerConfig(
            descriptor, tell, str(self._folder), self._settings, self._attached, self._names
        )
        command = [sys.executable, "-P", "-m", "paddock.main.worker"]
        guard = [sys.executable, "-P", "-m", "paddock.runners.guard", str(os.getpid()), "--", *command]
        return await asyncio.create_subprocess_exec(
            *guard,
            stdin=asyncio.subprocess.PIPE,
            pass_fds=[descriptor, tell],
            env={**os.environ, CONFIG: json.dumps(config.to_json())},
            start_new_session=True,
        )

    def _signal(self, number: signal.Signals) -> None:
        for process in self._processes.values():
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.send_signal(number)

    async def _all_ended(self) -> None:
        await asyncio.gather(*(process.wait() for process in self._processes.values()))


async def _read(descriptor: int) -> bytes:
    """What comes first through a pipe; nothing if its other end closes before. Closes this end."""
    loop = asyncio.get_running_loop()
    came: asyncio.Future[bytes] = loop.create_future()

    def read() -> None:
        if not came.done():
            came.set_result(os.read(descriptor, 64))

    loop.add_reader(descriptor, read)
    try:
        return await came
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
