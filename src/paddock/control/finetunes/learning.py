"""Follows the process that learns: writes down what it says, and brings its checkpoints to safety."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from paddock.control.finetunes import folders
from paddock.control.finetunes.program import Trainer
from paddock.control.jobs.shift import Shift
from paddock.errors import JobFailed, StartupError
from paddock.runners.local import NODE
from paddock.runners.runner import Runner, Running
from paddock.schemas.training import CHECKPOINTS, Began, Done, Evaluated, Failed, Noted, Said, Saved, Stepped
from paddock.services import events, work
from paddock.services.finetunes.spec import checkpoint_key
from paddock.store.sessions import WriteSession

JSON = dict[str, Any]
LOOK_SECONDS = 0.1
WRITE_SECONDS = 0.5
"""Between two times that progress is written."""
MOST_EVENTS = 200
"""Of steps, in a run: a long one tells of every tenth, or hundredth."""
MOST_DEATHS = 4
"""Times that the process may end by itself without having come further than before."""
_SAID: TypeAdapter[Said] = TypeAdapter(Said)
_HINT = "; if the machine ran out of memory, a smaller batch_size or max_length needs less"


class Learning:
    """
    Args:
        folder: the work folder, where the rows lie.
    """

    def __init__(self, shift: Shift, runner: Runner, folder: Path) -> None:
        self._shift = shift
        self._runner = runner
        self._folder = folder
        self._steps = 0
        self._furthest = -1
        self._reached = -1
        self._written = 0.0
        self._told = -1
        self._outcome: Done | Failed | None = None
        self._kept: Saved | None = None
        self._notes: set[str] = set()

    async def run(self, trainer: Trainer) -> Done:
        """Until it has learned all.

        Raises:
            JobFailed: it cannot.
            Fenced, StorageFailed: it is begun again from the last checkpoint.
        """
        deaths = 0
        while True:
            reason = await self._once(trainer)
            if isinstance(self._outcome, Done):
                return self._outcome
            if self._outcome is not None:
                said = self._outcome
                raise JobFailed(said.message, [{"code": said.code, "message": said.message}])
            deaths = 0 if self._reached > self._furthest else deaths + 1
            self._furthest = max(self._furthest, self._reached)
            if deaths == MOST_DEATHS:
                raise JobFailed(f"the process that learns {reason}, {deaths} times{_HINT}")
            self._shift.message = f"the process that learns {reason}; it goes on from its last checkpoint"

    async def note(self, said: Noted) -> None:
        """Once, however often the process begins anew."""
        if said.message not in self._notes:
            self._notes.add(said.message)
            await self._tell("warning" if said.trouble else "noted", said.message, {})

    async def _once(self, trainer: Trainer) -> str:
        """Why the process ended, if it has not said how it came out."""
        shift = self._shift
        try:
            running = await self._runner.start(
                trainer,
                node=NODE,
                name=f"fine-tune-{shift.held.id}",
                timeout=shift.platform.settings.start_timeout,
                report=lambda progress: None,
            )
        except StartupError as error:
            raise JobFailed(error.message) from error
        try:
            return await self._follow(running)
        finally:
            await asyncio.shield(running.stop(grace=0))

    async def _follow(self, running: Running) -> str:
        ended = asyncio.ensure_future(running.wait())
        offset = 0
        try:
            while True:
                over = ended.done()
                lines, offset = await running.read_log(offset)
                for line in lines:
                    if line.startswith("{"):
                        await self._take(line)
                await self._keep_checkpoint()
                if self._outcome is not None:
                    # All is where it belongs before it says so, and its libraries need seconds to end.
                    return ""
                if over and not lines:
                    return ended.result()
                await asyncio.wait([ended], timeout=LOOK_SECONDS)
        finally:
            ended.cancel()

    async def _take(self, line: str) -> None:
        try:
            said = _SAID.validate_json(line)
        except ValidationError:
            return  # Something else that a library wrote.
        match said:
            case Began():
                self._steps = said.steps
                await self._write(total=said.steps, done=said.step, message="learning")
                if said.step == 0:
                    words = f"{said.rows} rows, {said.validation_rows} to validate, {said.steps} steps"
                    await self._tell("learning", words, said.model_dump(exclude={"kind"}))
            case Stepped():
                self._reached = max(self._reached, said.step)
                await self._step(said)
            case Evaluated():
                words = f"step {said.step}: validation loss {said.loss:.4f}"
                await self._tell("evaluated", words, said.model_dump(exclude={"kind"}))
            case Saved():
                self._kept = said
            case Noted():
                await self.note(said)
            case Done() | Failed():
                self._outcome = said

    async def _step(self, said: Stepped) -> None:
        words = f"step {said.step} of {self._steps}, loss {said.loss:.4f}, {said.rate:.1f} rows/s"
        last = said.step == self._steps
        if last or said.step - self._told >= max(1, self._steps // MOST_EVENTS):
            self._told = said.step
            await self._tell("step", words, said.model_dump(exclude={"kind"}))
        if last or time.monotonic() - self._written > WRITE_SECONDS:
            self._written = time.monotonic()
            left = f", {said.seconds_left:.0f} s left"
            await self._write(done=said.step, message=words + left)

    async def _keep_checkpoint(self) -> None:
        """Brings the newest checkpoint into the blobs, from where any worker goes on."""
        saved, self._kept = self._kept, None
        if saved is None:
            return
        shift = self._shift
        key = checkpoint_key(shift.platform, shift.held.id, shift.held.fence, saved.name)
        try:
            await folders.keep_folder(shift.platform, self._folder / CHECKPOINTS / saved.name, key)
        except FileNotFoundError:
            return  # The process has a newer one already, and has said so.
        before = shift.checkpoint.get("saved")
        shift.checkpoint = {**shift.checkpoint, "saved": {"blob": key, "name": saved.name}}
        await self._write(checkpoint=shift.checkpoint)
        if before is not None and before["blob"] != key:
            await shift.platform.blobs.delete(before["blob"])

    async def _write(self, **columns: Any) -> None:
        if "message" in columns:
            self._shift.message = columns["message"]
        held = self._shift.held

        def write(session: WriteSession) -> None:
            work.get_on(session, held, **columns)

        await self._shift.write(write)

    async def _tell(self, kind: str, words: str, data: JSON) -> None:
        held, now = self._shift.held, time.time()

        def write(session: WriteSession) -> None:
            events.record_progress(session, work.row_of(session, held), kind, words, data, now)

        await self._shift.write(write)
