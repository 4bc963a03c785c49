"""Takes jobs up, as many at once as it may, and keeps hold of them until they are over."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from functools import partial
from typing import Any

from paddock.control.jobs.shift import Kind, Shift
from paddock.control.looking import keep_looking
from paddock.control.presence import Presence
from paddock.errors import Fenced, JobFailed, PaddockError, StoreFailed
from paddock.inference.log_lines import outline
from paddock.services import work
from paddock.services.platform import Platform
from paddock.services.work import Ending, Held, Offer

log = logging.getLogger(__name__)

RENEW_SECONDS = 1.0
LOOK_SECONDS = 1.0
"""Between two looks for jobs if no bell rings: a lease that runs out rings none."""


class Worker:
    """
    Args:
        kinds: what it can work at.
        knows: attached servers that it can ask.
        most: jobs at once.
    """

    def __init__(
        self,
        platform: Platform,
        presence: Presence,
        kinds: Mapping[str, Kind],
        knows: Collection[str],
        most: int,
    ) -> None:
        self._platform = platform
        self._store = platform.store
        self._kinds = kinds
        self._most = most
        self._shifts: dict[str, Shift] = {}
        self._offer = Offer(
            presence.identity, tuple(kinds), frozenset(knows), presence.is_gone, self._shifts.keys()
        )
        self._tasks: set[asyncio.Task[None]] = set()
        self._bell = asyncio.Event()

    async def run(self) -> None:
        """Until it is cancelled; what it holds is put back then."""
        unlisten = self._store.on_change(self._bell.set)
        try:
            await keep_looking("jobs", self._look, self._bell, LOOK_SECONDS)
        finally:
            unlisten()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _look(self) -> None:
        if self._shifts:
            ids = list(self._shifts)
            for identity in await self._store.read(lambda session: work.unwanted(session, ids)):
                if (shift := self._shifts.get(identity)) is not None:
                    shift.stop("cancelled", "it was cancelled")
        while True:
            offer = dataclasses.replace(self._offer, room=len(self._shifts) < self._most)
            if not await self._store.read(partial(work.claimable, now=time.time(), offer=offer)):
                return
            held = await self._store.change(partial(work.claim, now=time.time(), offer=offer))
            if held is None:
                return
            self._begin(held)

    def _begin(self, held: Held) -> None:
        shift = Shift(self._platform, held)
        self._shifts[held.id] = shift
        if held.job.cancel_requested_at is not None:
            shift.stop("cancelled", "it was cancelled")
        if held.stalls > work.MOST_STALLS:
            shift.stop("failed", f"{held.stalls - 1} workers ended with it before they got on with it")
        task = asyncio.create_task(self._hold(shift))
        self._tasks.add(task)
        task.add_done_callback(partial(self._over, shift))

    def _over(self, shift: Shift, task: asyncio.Task[None]) -> None:
        self._shifts.pop(shift.held.id, None)
        self._tasks.discard(task)
        self._bell.set()

    async def _hold(self, shift: Shift) -> None:
        kind = self._kinds[shift.held.job.kind]
        beating = asyncio.create_task(self._beat(shift))
        try:
            ending = await self._work(shift, kind, beating)
            # Once that is written, a sign of life would be refused.
            beating.cancel()
            await shift.change(lambda session: work.end(session, shift.held, ending, time.time()))
            await kind.clear(shift)
        except Fenced:
            log.warning("job %s was taken over by another worker", shift.held.id)
        except asyncio.CancelledError:
            await self._put_back(shift)
            raise
        except Exception:
            # Its lease runs out, and it is begun again from what is written.
            log.exception("job %s could not be ended", shift.held.id)
        finally:
            beating.cancel()

    async def _work(self, shift: Shift, kind: Kind, beating: asyncio.Task[None]) -> Ending:
        """How the job is over."""
        ending = await self._guard(
            self._outcome(lambda: shift.insist(lambda: kind.run(shift))), beating, shift.stopped
        )
        if ending is None:
            state, reason = shift.stopped.result()
            ending = Ending(state, reason)
        if ending.state != "completed":
            given_up = ending
            found = await self._guard(
                self._outcome(lambda: shift.insist(lambda: kind.give_up(shift, given_up))), beating
            )
            assert found is not None
            ending = found
        return ending

    async def _outcome(self, attempt: Callable[[], Awaitable[Ending]]) -> Ending:
        try:
            return await attempt()
        except Fenced:
            raise
        except JobFailed as error:
            return Ending("failed", error.message, error.errors)
        except PaddockError as error:
            return Ending("failed", error.message)
        except Exception as error:
            log.error("a job failed: %s", outline(error))
            return Ending("failed", f"an error inside Paddock ({type(error).__name__}); its log tells more")

    async def _guard(
        self,
        doing: Awaitable[Ending | None],
        beating: asyncio.Task[None],
        stopped: asyncio.Future[tuple[str, str]] | None = None,
    ) -> Ending | None:
        """What `doing` gives; None if it was stopped before.

        Raises:
            Fenced: another worker has the job now.
        """
        task = asyncio.ensure_future(doing)
        ends: set[asyncio.Future[Any]] = {task, beating}
        if stopped is not None:
            ends.add(stopped)
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if beating.done():
                beating.result()
            return await task if task.done() else None
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _beat(self, shift: Shift) -> None:
        """Signs of life, until somebody else holds the job; then it raises `Fenced`."""
        deadline = shift.held.job.deadline_at
        while True:
            if time.time() >= deadline:
                shift.stop("expired", f"its time of {_seconds(shift)} was over before it was finished")
            with contextlib.suppress(StoreFailed):
                await self._store.write(
                    lambda session: work.renew(session, shift.held, time.time(), shift.message)
                )
            await asyncio.sleep(max(0.01, min(RENEW_SECONDS, deadline - time.time())))

    async def _put_back(self, shift: Shift) -> None:
        with contextlib.suppress(PaddockError):
            await self._store.change(
                lambda session: work.put_back(session, shift.held, time.time(), "its worker was stopped")
            )


def _seconds(shift: Shift) -> str:
    job = shift.held.job
    return f"{job.deadline_at - job.created_at:.0f} s"
