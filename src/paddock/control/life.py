"""The life of one replica: its process is started, watched and ended here, and each step is written down."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from typing import Any, Literal

from paddock.control.apply import Order, failed_start
from paddock.engines.engine import AdapterFile, Progress
from paddock.engines.llama_cpp.learn import learn
from paddock.engines.program import EngineProgram
from paddock.errors import Fenced, PaddockError, StartupError, StoreFailed
from paddock.inference.upstream import Upstream
from paddock.runners.runner import Runner, Running
from paddock.services import events, replicas, tuned_files
from paddock.services.adapters import bring
from paddock.services.commanded import ORIGIN
from paddock.services.platform import Platform
from paddock.store import leases
from paddock.store.sessions import ChangeSession
from paddock.store.tables import DeploymentRow, ReplicaRow

log = logging.getLogger(__name__)

LEASE = "controller"
STALLED_SECONDS = 300.0
"""Without a byte of the weights for so long, fetching them has failed."""
REPORT_SECONDS = 0.25
LOG_SECONDS = 1.0
WELL_SECONDS = 60.0
"""After so long a run its end counts as the first again."""
STORE_SECONDS = 1.0
"""Between two attempts to write down that a replica ended."""
END_SECONDS = 15.0
LAST_LINES = 12
MEGABYTE = 1_000_000
JOB_PROCESSES = 8
"""Workers that may ask an engine beside the gateways; it has threads for their connections too."""


class Life:
    """
    Args:
        fence: the token of the controller that this life belongs to.
        over: called with the replica's id when nothing of it is left.
        running: its process, if it was adopted from an earlier controller.
    """

    def __init__(
        self,
        platform: Platform,
        runner: Runner,
        fence: int,
        order: Order,
        over: Callable[[str], None],
        running: Running | None = None,
    ) -> None:
        self._platform = platform
        self._store = platform.store
        self._runner = runner
        self._fence = fence
        self._order = order
        self._ending = ""
        self._reported = 0.0
        self._writing: asyncio.Task[None] | None = None
        self._running = running
        self._failure: StartupError | None = None
        self._began = time.time()
        # Ending it cancels this task alone, so that what comes after is done in any case.
        self._work = asyncio.create_task(self._run(), name=f"run {order.replica_id}")
        self._task = asyncio.create_task(self._live(), name=f"live {order.replica_id}")
        self._task.add_done_callback(lambda _: over(order.replica_id))

    def end(self, reason: str) -> None:
        """Ends the process, wherever it is in its life."""
        if not self._ending:
            self._ending = reason
            self._work.cancel()

    async def wait(self) -> None:
        """Until nothing of it is left and that is written down, or cannot be for too long."""
        await asyncio.wait([self._task], timeout=END_SECONDS)

    async def _live(self) -> None:
        await asyncio.wait([self._work])
        reason = "" if self._work.cancelled() else self._work.result()
        lines = await self._clean_up()
        written = await self._write_end(reason, lines)
        while not written:
            await asyncio.sleep(STORE_SECONDS)
            written = await self._write_end(reason, lines)

    async def _run(self) -> str:
        """Why it ended, or could not begin."""
        try:
            adopted = self._running is not None
            running = self._running = self._running or await self._start()
            self._began = time.time()
            if adopted or await self._serve(running):
                return f"its engine {await self._watch(running)}"
            self._ending = self._ending or "it was not wanted any more"
        except StartupError as error:
            self._failure = error
            return error.message
        except PaddockError as error:
            return error.message
        except Exception as error:
            log.exception("the replica %s failed", self._order.replica_id)
            return f"an error inside Paddock: {type(error).__name__}; its log tells more"
        return ""

    async def _start(self) -> Running:
        settings, order, options = self._platform.settings, self._order, self._order.options
        await tuned_files.bring(
            self._platform, order.source, lambda done, total: self._report(Progress("fetching", done, total))
        )
        adapters = [
            AdapterFile(one.id, await bring(self._platform, one.id, one.gguf, one.gguf_bytes))
            for one in order.adapters
        ]
        program = EngineProgram(
            model=order.source,
            alias=order.deployment,
            api_key=order.key,
            engine=order.engine,
            llama_server=settings.llama_server,
            context_length=order.context_length,
            slots=int(str(options.get("slots") or 0)),
            threads=int(str(options.get("threads") or 0)),
            weights_type=str(options.get("weights_type") or "auto"),
            embeddings=bool(options.get("embeddings")),
            gateways=settings.workers + JOB_PROCESSES,
            gpus=order.gpus,
            adapters=tuple(adapters),
        )
        return await self._runner.start(
            program,
            node=order.node,
            name=f"{order.deployment}-{order.replica_id[-8:]}",
            timeout=settings.start_timeout,
            report=self._report,
        )

    async def _serve(self, running: Running) -> bool:
        """Opens the way for requests; False if nobody wants it any more."""
        facts = {**running.facts, **await self._learn(running)}
        adapters = facts.pop("adapters", {})
        now = time.time()

        def work(session: ChangeSession) -> bool:
            row, one = self._rows(session)
            if one.state not in ("reserving", "fetching", "loading"):
                return False
            one.address, one.handle, one.ready_at = running.address, running.handle, now
            one.adapters = adapters
            replicas.advance(one, "ready", 5, "Ready", now, None)
            if one.generation == row.generation:
                row.proved, row.failures, row.retry_at = one.generation, 0, 0.0
                row.facts = {**row.facts, **facts}
                row.context_length = row.context_length or int(facts["context_length"])
            row.revision, row.attention = session.revision, True
            events.record(session, row, "replica_ready", f"on {one.node}", now, one.id)
            return True

        return await self._store.change(work)

    async def _learn(self, running: Running) -> dict[str, Any]:
        """What only the running engine can tell."""
        upstream = Upstream(f"{running.address}/v1", self._order.key, self._platform.settings.request_timeout)
        try:
            return await learn(upstream)
        finally:
            upstream.close()

    async def _watch(self, running: Running) -> str:
        """Why it ended. Meanwhile its log goes to the store."""
        ended = asyncio.ensure_future(running.wait())
        offset = 0
        try:
            while True:
                offset = await self._keep_log(running, offset)
                done, _ = await asyncio.wait([ended], timeout=LOG_SECONDS)
                if done:
                    return ended.result()
        finally:
            ended.cancel()

    async def _keep_log(self, running: Running, offset: int) -> int:
        lines, offset = await running.read_log(offset)
        if lines:
            await self._add_lines(lines)
        return offset

    async def _add_lines(self, lines: list[str]) -> None:
        order, now = self._order, time.time()
        with contextlib.suppress(PaddockError):
            await self._store.write(
                lambda session: events.add_lines(session, order.deployment_id, order.replica_id, lines, now)
            )

    async def _clean_up(self) -> list[str]:
        """The last lines of its log, once nothing of it is left."""
        if self._writing is not None:
            await asyncio.gather(self._writing, return_exceptions=True)
        if self._running is not None:
            await self._running.stop()
            lines, _ = await self._running.read_log(0)
            return lines[-LAST_LINES:]
        lines = list(self._failure.log) if self._failure else []
        if lines:
            await self._add_lines(lines)
        return lines

    async def _write_end(self, reason: str, lines: list[str]) -> bool:
        """False if the store is not to be had at the moment."""
        now = time.time()
        failed = bool(reason) and not self._ending
        # Where no process was begun, the weights or the options are at fault, and will be again.
        hopeless = self._failure is not None and not self._failure.log

        def work(session: ChangeSession) -> None:
            row, one = self._rows(session)
            if failed:
                if now - self._began > WELL_SECONDS:
                    row.failures = 0
                failed_start(row, one, reason, lines, now, hopeless=hopeless)
                if row.origin != ORIGIN or row.proved:
                    log.error("%s: %s", row.name, reason)
            elif row.reason == self._ending:
                # It missed a deadline, for which it was counted as failed already.
                row.log = lines
            replicas.end(session, row, one, "failed" if failed else "stopped", self._ending or reason, now)
            row.revision, row.attention = session.revision, True

        try:
            await self._store.change(work)
        except StoreFailed as error:
            log.error(
                "the end of a replica of %s cannot be written: %s", self._order.deployment, error.message
            )
            return False
        except Fenced:
            return True
        return True

    def _rows(self, session: ChangeSession) -> tuple[DeploymentRow, ReplicaRow]:
        """
        Raises:
            Fenced: another controller writes them now.
        """
        leases.check(session, LEASE, self._fence)
        one = session.get(ReplicaRow, self._order.replica_id)
        if one is None or one.fence != self._fence or one.ended_at is not None:
            raise Fenced("the replica is another controller's now")
        return session.get_one(DeploymentRow, one.deployment_id), one

    # ---- progress

    def _report(self, progress: Progress | Literal["loading"]) -> None:
        now = time.time()
        if progress == "loading":
            deadline = now + self._platform.settings.start_timeout + 10
            values = {
                "state": "loading",
                "step": 4,
                "description": "Loading the model",
                "deadline_at": deadline,
                "state_at": now,
            }
        elif now - self._reported < REPORT_SECONDS and progress.done < progress.total:
            return
        else:
            verb = "Fetching" if progress.step == "fetching" else "Converting"
            total = f" of {progress.total / MEGABYTE:.1f}" if progress.total else ""
            values = {
                "state": "fetching",
                "step": 3,
                "description": f"{verb} weights: {progress.done / MEGABYTE:.1f}{total} MB",
                "done": progress.done,
                "total": progress.total,
                "deadline_at": now + STALLED_SECONDS,
                "state_at": now,
            }
        self._reported = now
        before = self._writing

        async def write() -> None:
            if before is not None:
                await asyncio.gather(before, return_exceptions=True)
            with contextlib.suppress(PaddockError):
                await self._store.write(
                    lambda session: replicas.progress(session, self._order.replica_id, self._fence, values)
                )

        self._writing = asyncio.create_task(write())
