"""One job in the hands of this process."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, Protocol, TypeVar

from paddock.errors import StorageFailed, StoreFailed
from paddock.services import work
from paddock.services.platform import Platform
from paddock.services.work import Ending, Held
from paddock.store.sessions import ChangeSession, WriteSession

log = logging.getLogger(__name__)

Result = TypeVar("Result")
FIRST_PAUSE = 0.2
LONGEST_PAUSE = 10.0


class Shift:
    """
    Attributes:
        message: what goes on, for a person; written with the next sign of life.
        checkpoint: what the next worker would go on from, as it was last written.
        stopped: why the work must end, once it must: (state, reason).
    """

    def __init__(self, platform: Platform, held: Held) -> None:
        self.platform = platform
        self.held = held
        self.message = ""
        self.checkpoint = dict(held.checkpoint)
        self.stopped: asyncio.Future[tuple[str, str]] = asyncio.get_running_loop().create_future()

    def stop(self, state: str, reason: str) -> None:
        if not self.stopped.done():
            self.stopped.set_result((state, reason))

    async def write(self, what: Callable[[WriteSession], Result]) -> Result:
        """As `Store.write`, but waits for a store that is gone or full: nothing that was done is lost.

        Raises:
            Fenced: another worker has the job now.
        """
        return await self.insist(lambda: _whole(self.platform.store.write(what)))

    async def change(self, what: Callable[[ChangeSession], Result]) -> Result:
        """As `write`, for what others follow."""
        return await self.insist(lambda: _whole(self.platform.change(what)))

    async def enter(self, phase: str, checkpoint: Mapping[str, Any] | None = None, **columns: Any) -> None:
        """Goes on to the next phase.

        Raises:
            Fenced: another worker has the job now.
        """
        self.checkpoint = {**self.checkpoint, **(checkpoint or {})}
        kept = self.checkpoint
        await self.change(
            lambda session: work.enter(session, self.held, phase, time.time(), checkpoint=kept, **columns)
        )

    async def insist(self, attempt: Callable[[], Awaitable[Result]]) -> Result:
        """What `attempt` gives once store and storage can be had; the job says meanwhile that it waits."""
        pause = FIRST_PAUSE
        while True:
            try:
                result = await attempt()
            except (StoreFailed, StorageFailed) as error:
                if not self.message.startswith("paused"):
                    log.warning("job %s is paused: %s", self.held.id, error.message)
                self.message = f"paused, and goes on by itself: {error.message}"
                await asyncio.sleep(pause)
                pause = min(LONGEST_PAUSE, 2 * pause)
                continue
            if pause > FIRST_PAUSE:
                self.message = ""
            return result


async def _whole(writing: Coroutine[Any, Any, Result]) -> Result:
    """A transaction that has begun comes to its end though nobody waits for it: whoever is cancelled here may
    begin anew at once, and must find it there or not.
    """
    task = asyncio.ensure_future(writing)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise


class Kind(Protocol):
    """How jobs of one kind are worked at."""

    async def run(self, shift: Shift) -> Ending:
        """Works until it is done, from the checkpoint on. May be cancelled anywhere.

        Raises:
            JobFailed: it cannot go on.
            StoreFailed, StorageFailed: it is run again in a while.
        """
        ...

    async def give_up(self, shift: Shift, ending: Ending) -> Ending:
        """What is left to be shown of a job that was cancelled, has failed or has run out of time."""
        ...

    async def clear(self, shift: Shift) -> None:
        """Removes what the job kept, after its end was written. May be cut off, and is not repeated."""
        ...
