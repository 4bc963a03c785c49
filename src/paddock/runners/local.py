"""Engine processes on this machine. They end with the process that started them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from pathlib import Path

from paddock.engines.engine import Engine, EngineOptions, Launch
from paddock.errors import StartupError
from paddock.runners.log import open_log, quote_log
from paddock.runners.probe import fetch

POLL_INTERVAL = 0.015
STOP_GRACE = 5.0
PORT_ATTEMPTS = 3


class EngineProcess:
    """One running engine. Made by `start_engine`; after that it has been ready once.

    Attributes:
        base_url: `http://127.0.0.1:41671`, without a path.
        pid: the engine's own process, which leads a process group.
        log: what it wrote.
    """

    def __init__(self, process: asyncio.subprocess.Process, port: int, log: Path) -> None:
        self._process = process
        self.port = port
        self.base_url = f"http://127.0.0.1:{port}"
        self.pid = process.pid
        self.log = log

    @property
    def exit_status(self) -> int | None:
        """None while it runs; negative: the signal that ended it."""
        return self._process.returncode

    async def wait(self) -> int:
        """Returns the exit status as soon as the engine ends, for whatever reason."""
        return await self._process.wait()

    async def stop(self, grace: float = STOP_GRACE) -> None:
        """Ends the engine and its children: SIGTERM, after `grace` seconds SIGKILL. Requests are lost."""
        self._signal(signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._process.wait(), grace)
        self._signal(signal.SIGKILL)
        await self._process.wait()
        if self._process.stdin:
            self._process.stdin.close()

    def quote_log(self) -> str:
        """The end of its log, for an error message."""
        return quote_log(self.log)

    def _signal(self, number: signal.Signals) -> None:
        # The group may outlive its leader; its number is not given away while a member lives.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)


async def start_engine(engine: Engine, options: EngineOptions, log: Path, timeout: float) -> EngineProcess:
    """Starts the engine and returns once it answers; its output replaces the file `log`.

    The engine ends when the thread that runs this event loop ends, so call it from a thread that stays.

    Raises:
        StartupError: it ended or did not answer within `timeout` seconds; quotes the end of its log.
    """
    for attempt in range(PORT_ATTEMPTS):
        port = free_port()
        process = await _spawn(engine.launch(options, port), log)
        started = EngineProcess(process, port, log)
        try:
            await _until_ready(started, options, timeout)
            if engine.warm_up:
                await fetch(port, engine.warm_up.path, options.api_key, engine.warm_up.body)
            return started
        except BaseException as error:
            await asyncio.shield(started.stop(grace=0))
            lost_the_port = isinstance(error, StartupError) and _is_taken(port)
            if not lost_the_port or attempt == PORT_ATTEMPTS - 1:
                raise
    raise AssertionError("unreachable")


def free_port() -> int:
    """A port that was free a moment ago. Somebody else may take it before the engine does."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _is_taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


async def _spawn(launch: Launch, log: Path) -> asyncio.subprocess.Process:
    guard = [sys.executable, "-P", "-m", "paddock.runners.guard", str(os.getpid()), "--", *launch.argv]
    with open_log(log) as output:
        return await asyncio.create_subprocess_exec(
            *guard,
            stdin=asyncio.subprocess.PIPE,
            stdout=output,
            stderr=output,
            env={**os.environ, **launch.env},
            start_new_session=True,
        )


async def _until_ready(process: EngineProcess, options: EngineOptions, timeout: float) -> None:
    """Readiness is seen, not slept for: the process and its health are watched together."""
    ended = asyncio.ensure_future(process.wait())
    try:
        async with asyncio.timeout(timeout):
            while not await _is_ready(process.port, options):
                await asyncio.wait([ended], timeout=POLL_INTERVAL)
                if ended.done():
                    raise StartupError(f"the engine {_describe_end(ended.result())}{process.quote_log()}")
    except TimeoutError:
        raise StartupError(
            f"the engine was not ready after {timeout:g} s (setting start_timeout){process.quote_log()}"
        ) from None
    finally:
        ended.cancel()


async def _is_ready(port: int, options: EngineOptions) -> bool:
    if await fetch(port, "/health", None) != 200:
        return False
    # Only our engine knows our key, so this cannot be another process that got the port.
    return await fetch(port, "/v1/models", options.api_key) == 200


def _describe_end(status: int) -> str:
    if status == -signal.SIGKILL:
        return "was killed while it started (SIGKILL: most often the machine is out of memory)"
    if status < 0:
        return f"crashed while it started ({signal.Signals(-status).name})"
    return f"could not start (exit status {status})"
