"""The part of a process that works at jobs; and `paddock worker`, which is nothing else."""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import signal
from collections.abc import Callable, Sequence
from pathlib import Path

import uvloop

from paddock.control.attach import attach
from paddock.control.batches.batch import Batches
from paddock.control.batches.traffic import Traffic
from paddock.control.finetunes import folders
from paddock.control.finetunes.fine_tune import FineTunes
from paddock.control.jobs.shift import Kind
from paddock.control.jobs.worker import Worker
from paddock.control.presence import Presence
from paddock.control.webhooks.delivering import Delivering
from paddock.errors import PaddockError, StartupError
from paddock.gateway.accounts import Accounts
from paddock.gateway.counts import Shelf
from paddock.gateway.keyring import Keyring
from paddock.gateway.llm_engine.batch_rows import LLMEngineRows
from paddock.gateway.metrics import Metrics
from paddock.gateway.openai.batch_rows import OpenAIRows
from paddock.gateway.sync import Sync
from paddock.inference.routing import Deployment, Directory
from paddock.inference.rows import Rows
from paddock.main.platforms import open_platform, open_presence
from paddock.main.process import cancelled, log_to_stderr
from paddock.main.tracing import check, new_tracer
from paddock.runners.local import LocalRunner
from paddock.runners.threads import in_thread
from paddock.services import adapter_files, files, job_blobs, tuned_files
from paddock.services.batches import spec
from paddock.services.finetunes import spec as finetunes
from paddock.services.platform import Platform
from paddock.services.usage import clearing
from paddock.services.webhooks import outbox
from paddock.settings import Settings

log = logging.getLogger("paddock")

SWEEP_SECONDS = 900.0


class Jobs:
    """Works at jobs from `start` until `close`.

    Args:
        directory: what can be asked; kept as the store has it by whoever made it.
        accounts: who counts what batches use; closed by whoever made them.
        identity: of this process as a gateway.
        knows: attached servers.
    """

    def __init__(
        self,
        platform: Platform,
        directory: Directory,
        accounts: Accounts,
        presence: Presence,
        identity: str,
        knows: Sequence[str],
    ) -> None:
        self._platform = platform
        self._traffic = Traffic(platform, identity)
        openai = OpenAIRows(accounts)
        dialects: dict[str, Rows] = {"openai": openai}
        llm_engine = LLMEngineRows(openai.answer, accounts)
        dialects |= dict.fromkeys(("llm_engine.v1", "llm_engine.v2"), llm_engine)
        self._runner = LocalRunner(platform.settings.data_dir)
        kinds: dict[str, Kind] = {spec.KIND: Batches(platform, directory, dialects, self._traffic)}
        if can_train():
            kinds[finetunes.KIND] = FineTunes(platform, self._runner)
        self._worker = Worker(platform, presence, kinds, knows, platform.settings.jobs)
        self._delivering = delivering = Delivering(platform)
        accounts.metrics.totals |= {
            "webhook_attempts_delivered": lambda: delivering.delivered,
            "webhook_attempts_failed": lambda: delivering.failed,
            "webhook_messages_given_up": lambda: delivering.given_up,
        }
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        runs = (self._worker.run(), self._traffic.run(), self._delivering.run(), self._sweep())
        self._tasks = [asyncio.create_task(run) for run in runs]

    async def close(self) -> None:
        """Puts back what is not over: another worker goes on with it."""
        for task in self._tasks:
            await cancelled(task)
        self._tasks = []
        await self._runner.close()

    async def _sweep(self) -> None:
        """Clears away what nobody needs any more, now and then, until it is cancelled."""
        while True:
            # What takes longest, and need not be done soon, comes last.
            for part in (files, job_blobs, tuned_files, folders, adapter_files, outbox, clearing):
                try:
                    await part.sweep(self._platform)
                except PaddockError as error:
                    log.warning("what is old is not cleared away now: %s", error.message)
                except Exception:
                    log.exception("clearing away what is old failed; it is tried again")
            await asyncio.sleep(SWEEP_SECONDS)


class Follower:
    """Routes and keys kept as the store has them, in a process that answers no requests.

    Args:
        folder: where it lays down what it counts, for those that do.
    """

    def __init__(
        self, platform: Platform, attached: Sequence[Deployment], identity: str, folder: Path | None = None
    ) -> None:
        self.directory = Directory(attached)
        keyring = Keyring()
        self.metrics = Metrics(self.directory.all)
        self.accounts = Accounts(platform, keyring, identity, self.metrics, new_tracer(platform.settings))
        self._sync = Sync(platform, self.directory, identity, platform.settings.workers, keyring)
        if folder is not None:
            self.metrics.shelf = Shelf(folder, identity)
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        await self._sync.catch_up()
        self._tasks = [asyncio.create_task(run) for run in (self._sync.run(), self.metrics.share())]
        self.accounts.start()

    async def close(self) -> None:
        for task in self._tasks:
            await cancelled(task)
        await self.accounts.close()
        self.metrics.lay_down()
        await self._sync.close()


def can_train() -> bool:
    """Whether what fine-tunes need is installed: the extra `train`."""
    return all(importlib.util.find_spec(name) is not None for name in ("torch", "transformers", "peft"))


def work(settings: Settings, attached: Sequence[str], announce: Callable[[str], None]) -> None:
    """Works at jobs until a signal ends it; what it has not finished, another worker goes on with.

    Args:
        attached: `NAME=URL` of servers that already run.
        announce: is told, for a person, what goes on.

    Raises:
        StartupError: the store cannot be opened, an attached server does not answer.
    """
    if not settings.jobs:
        raise StartupError("a worker must run at least one job at once: --jobs 1")
    check(settings)
    log_to_stderr(settings)
    uvloop.run(_work(settings, attached, announce))


async def _work(settings: Settings, specs: Sequence[str], announce: Callable[[str], None]) -> None:
    stopped: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, _stop, stopped)
    attached = [await attach(spec, settings.request_timeout) for spec in specs]
    names = [one.name for one in attached]
    platform = await in_thread(lambda: open_platform(settings, (), names))
    presence = open_presence(settings)
    follower = Follower(platform, attached, presence.identity)
    jobs = Jobs(platform, follower.directory, follower.accounts, presence, presence.identity, names)
    try:
        await follower.start()
        jobs.start()
        announce(f"Paddock works at up to {settings.jobs} jobs at once, as {presence.identity}")
        await stopped
    finally:
        await jobs.close()
        await follower.close()
        platform.close()
        presence.close()


def _stop(stopped: asyncio.Future[None]) -> None:
    if not stopped.done():
        stopped.set_result(None)
