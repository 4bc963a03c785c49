"""Asks the rows of a batch, as many at once as the engine digests, and has the answers kept."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from functools import partial
from typing import Any

from paddock.control.batches.keeper import Keeper
from paddock.control.batches.place import Place
from paddock.control.batches.traffic import Traffic
from paddock.errors import BudgetSpent, EngineLost, Fenced, JobFailed, PaddockError, RateLimited, Unavailable
from paddock.inference.deployment import Deployment, in_background
from paddock.inference.log_lines import outline
from paddock.inference.rows import Answer, Rows

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.01
"""Between two looks whether there is room, while people have requests at the engine."""
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 30.0


class Run:
    """
    Args:
        spec: what the dialect needs to know of all rows.
    """

    def __init__(
        self, rows: Rows, spec: Mapping[str, Any], place: Place, traffic: Traffic, keeper: Keeper
    ) -> None:
        self._rows = rows
        self._spec = spec
        self._place = place
        self._traffic = traffic
        self._keeper = keeper
        self._asking: set[asyncio.Task[int]] = set()
        self._changed = asyncio.Event()
        self._suspects = 0
        self._turn = asyncio.Lock()
        self._failure: BaseException | None = None

    async def run(self, lines: AsyncIterator[tuple[int, int, bytes]]) -> None:
        """Asks every row that has no answer yet.

        Args:
            lines: (number, where the next one begins, row) of each row behind the last segment.

        Raises:
            JobFailed, Fenced: it cannot go on.
        """
        keeping = asyncio.create_task(self._keeper.run())
        keeping.add_done_callback(self._note_end)
        try:
            async for number, offset, row in lines:
                if not self._keeper.read(number, offset):
                    continue
                deployment = await self._room()
                task = asyncio.create_task(self._answer(number, row))
                self._asking.add(task)
                task.add_done_callback(partial(self._note_answer, deployment))
            while self._asking:
                await self._change()
            self._keeper.finish()
            await keeping
        finally:
            for one in (*self._asking, keeping):
                one.cancel()
            await asyncio.gather(*self._asking, keeping, return_exceptions=True)

    async def _room(self) -> Deployment:
        """Returns once one more row may be asked."""
        while True:
            if self._failure is not None:
                raise self._failure
            deployment = await self._place.deployment()
            if not self._suspects and self._keeper.has_room and self._traffic.room(deployment):
                self._traffic.enter(deployment)
                return deployment
            await self._change()

    async def _change(self) -> None:
        if self._failure is not None:
            raise self._failure
        self._changed.clear()
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                await self._changed.wait()
        except TimeoutError:
            return

    def _note_answer(self, deployment: Deployment, task: asyncio.Task[int]) -> None:
        self._asking.discard(task)
        has_answer = not task.cancelled() and task.exception() is None
        self._traffic.leave(deployment, task.result() if has_answer else 0)
        self._note_end(task)

    def _note_end(self, task: asyncio.Task[Any]) -> None:
        if not task.cancelled() and task.exception() is not None:
            self._failure = self._failure or task.exception()
        self._changed.set()

    async def _answer(self, number: int, row: bytes) -> int:
        """Has the row answered, by an error if need be, and gives the work that it was."""
        in_background.set(True)
        try:
            answer = await self._until_answered(number, row)
        except EngineLost:
            answer = await self._alone(number, row)
        self._keeper.add(number, answer.failed, answer.body)
        return answer.tokens

    async def _alone(self, number: int, row: bytes) -> Answer:
        """Of those that were at an engine when it died, each is asked alone: who kills it again did it."""
        self._suspects += 1
        try:
            async with self._turn:
                while len(self._asking) > self._suspects:
                    await self._change()
                return await self._until_answered(number, row)
        except EngineLost as error:
            return self._rows.error(self._spec, row, number, error)
        finally:
            self._suspects -= 1

    async def _until_answered(self, number: int, row: bytes) -> Answer:
        """
        Raises:
            EngineLost: the engine died of it, or of what it was asked beside it.
        """
        pause = FIRST_PAUSE
        while True:
            deployment = await self._place.deployment()
            try:
                return await self._rows.ask(self._spec, deployment, row, number)
            except (EngineLost, JobFailed, Fenced):
                raise
            except BudgetSpent as error:
                return self._rows.error(self._spec, row, number, error)
            except (RateLimited, Unavailable) as error:
                if deployment.replicas:
                    self._traffic.refused(deployment)
                await asyncio.sleep(max(pause, min(error.retry_after or 0, LONGEST_PAUSE)))
                pause = min(LONGEST_PAUSE, 2 * pause)
            except PaddockError as error:
                return self._rows.error(self._spec, row, number, error)
            except Exception as error:
                log.error("row %d of a batch failed: %s", number, outline(error))
                bug = PaddockError(f"an error inside Paddock ({type(error).__name__}); its log tells more")
                return self._rows.error(self._spec, row, number, bug)
