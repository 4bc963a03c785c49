"""One process on this machine: a group of its own, watched from its start to its end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from typing import Any

from paddock.engines.engine import Launch
from paddock.runners.left_over import end_left_over
from paddock.runners.log import ProcessLog
from paddock.runners.runner import MARKER, STOP_GRACE
from paddock.runners.threads import in_thread

KIND = "local"


class LocalProcess:
    """See `Running`.

    Attributes:
        pid: the process itself, which leads the group.
        status: the exit status; negative: the signal that ended it; None while it runs.
    """

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        name: str,
        address: str,
        facts: dict[str, Any],
        log: ProcessLog,
    ) -> None:
        self._process = process
        self.name = name
        self.address = address
        self.facts = facts
        self.log = log
        self.pid = process.pid
        self.watcher = asyncio.ensure_future(self._watch())

    @property
    def handle(self) -> str:
        return json.dumps({"runner": KIND, "name": self.name, "pid": self.pid})

    @property
    def status(self) -> int | None:
        return self._process.returncode if self.watcher.done() else None

    async def wait(self) -> str:
        return describe_end(await asyncio.shield(self.watcher))

    async def stop(self, grace: float = STOP_GRACE) -> None:
        self._signal(signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(self.watcher), grace)
        self._signal(signal.SIGKILL)
        await asyncio.shield(self.watcher)

    async def read_log(self, offset: int) -> tuple[list[str], int]:
        return await in_thread(lambda: self.log.read(offset))

    async def _watch(self) -> int:
        status = await self._process.wait()
        if _signal_group(self.pid, signal.SIGKILL):
            # It had children, who take a moment to die.
            await in_thread(lambda: end_left_over(self.pid, self.name))
        if self._process.stdin:
            self._process.stdin.close()
        return status

    def _signal(self, number: signal.Signals) -> None:
        # The group's number belongs to it as long as a member lives, and may be anybody's after that.
        if not self.watcher.done():
            _signal_group(self.pid, number)


async def spawn(launch: Launch, name: str, log: ProcessLog) -> asyncio.subprocess.Process:
    """Starts the command so that it ends with the thread that runs this event loop; its output goes to the
    log, which is open for appending already.

    Raises:
        OSError: the log cannot be written.
    """
    guard = [sys.executable, "-P", "-m", "paddock.runners.guard", str(os.getpid()), "--", *launch.argv]
    with log.path.open("ab") as output:
        return await asyncio.create_subprocess_exec(
            *guard,
            stdin=asyncio.subprocess.PIPE,
            stdout=output,
            stderr=output,
            env={**os.environ, **launch.env, MARKER: name},
            start_new_session=True,
        )


def describe_end(status: int) -> str:
    """What happened, for a person; follows the name of what ended."""
    if status == -signal.SIGKILL:
        return "was killed (SIGKILL)"
    if status == -signal.SIGTERM:
        return "was ended (SIGTERM)"
    if status < 0:
        return f"crashed ({signal.Signals(-status).name})"
    return f"ended with status {status}"


def _signal_group(pid: int, number: signal.Signals) -> bool:
    """Whether there was anybody to signal."""
    try:
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True
