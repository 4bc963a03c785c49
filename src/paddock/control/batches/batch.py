"""A batch from its input to its output: what a worker does with a job of this kind."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from typing import Any

from paddock.control.batches import output
from paddock.control.batches.keeper import Keeper
from paddock.control.batches.place import Place
from paddock.control.batches.read_llm_engine import read as read_llm_engine
from paddock.control.batches.read_openai import read as read_openai
from paddock.control.batches.reading import Read
from paddock.control.batches.run import Run
from paddock.control.batches.traffic import Traffic
from paddock.control.jobs.shift import Shift
from paddock.errors import InvalidRequest, JobFailed, ModelNotFound, NotFound, PaddockError
from paddock.inference.routing import Directory
from paddock.inference.rows import Rows
from paddock.schemas.jobs import Dialect
from paddock.services import files, job_blobs, jobs, tuned_models
from paddock.services.batches import journal, places
from paddock.services.batches.journal import Kept
from paddock.services.batches.spec import BatchSpec, rows_key
from paddock.services.files import Received
from paddock.services.lines import rows as rows_of
from paddock.services.platform import Platform, in_thread
from paddock.services.work import Ending
from paddock.store.blobs import new_blob
from paddock.store.sessions import ChangeSession
from paddock.store.tables import JobRow

JSON = dict[str, Any]
PURPOSE = "batch_output"
NO_LIMIT = sys.maxsize
"""What comes of a batch is no upload: `max_file` does not hold."""


class Batches:
    """
    Args:
        directory: what this process can ask.
        dialects: how each asks and answers rows.
    """

    def __init__(
        self, platform: Platform, directory: Directory, dialects: Mapping[str, Rows], traffic: Traffic
    ) -> None:
        self._platform = platform
        self._directory = directory
        self._dialects = dialects
        self._traffic = traffic

    async def run(self, shift: Shift) -> Ending:
        """
        Raises:
            JobFailed: it cannot go on.
            StoreFailed, StorageFailed: it is run again in a while.
        """
        spec = BatchSpec.from_json(shift.held.job.spec)
        if "total" not in shift.checkpoint:
            await self._read(shift, spec)
        if shift.held.job.phase != "finishing":
            await self._ask(shift, spec)
        await shift.enter("finishing")
        return await self._write_output(shift, spec)

    async def give_up(self, shift: Shift, ending: Ending) -> Ending:
        """What is answered is still shown where the dialect has it so, with an error for each other row."""
        spec = BatchSpec.from_json(shift.held.job.spec)
        if spec.output_kind != "files" or "total" not in shift.checkpoint:
            await places.discard(self._platform, shift.held.id, spec)
            return dataclasses.replace(ending, write=journal.forget)
        if ending.state in ("cancelled", "expired"):
            await self._say_unanswered(shift, spec, ending.state)
        partly = await self._write_files(shift, spec)
        return dataclasses.replace(ending, results=partly.results, write=partly.write)

    async def clear(self, shift: Shift) -> None:
        """Removes what a batch kept that is over."""
        await places.discard(self._platform, shift.held.id, BatchSpec.from_json(shift.held.job.spec))
        await job_blobs.clear(self._platform, shift.held.id)

    # ---- validating

    async def _read(self, shift: Shift, spec: BatchSpec) -> None:
        await shift.enter("validating")
        job, platform = shift.held.job, self._platform

        def note(count: int) -> None:
            shift.message = f"reading the input: {count} rows so far"

        key = ""
        try:
            pieces = await places.open_input(platform, job.project, spec)
            async with contextlib.aclosing(pieces):
                if job.dialect == "openai":
                    found = await read_openai(pieces, spec.endpoint, note)
                else:
                    key = rows_key(platform, job.id, shift.held.fence)
                    found = await self._read_document(job.dialect, pieces, key, note)
        except (InvalidRequest, NotFound) as error:
            raise JobFailed(f"the input cannot be read: {error.message}") from error
        if not found.errors and found.model and not job.model:
            await self._check_model(job.project, found)
        if found.errors:
            raise JobFailed(_summary(found.errors), found.errors)
        checkpoint = {"total": found.total, "rows": key, "fields": found.fields}
        model = job.model or found.model
        shift.message = ""
        await shift.enter("working", {**checkpoint, "model": model}, total=found.total, model=model)

    async def _read_document(
        self, dialect: Dialect, pieces: AsyncIterator[bytes], key: str, note: Callable[[int], None]
    ) -> Read:
        async with new_blob(self._platform.blobs, key) as writer:
            return await read_llm_engine(dialect, pieces, writer.write, note)

    async def _check_model(self, project: str, found: Read) -> None:
        """Notes an error if nobody knows the model that the input names."""
        with contextlib.suppress(ModelNotFound):
            self._directory.of(project).resolve(found.model)
            return
        try:
            tuned = await self._platform.store.read(lambda session: tuned_models.known(session, project))
            await in_thread(lambda: self._platform.catalogue.find(found.model, self._platform.allowed, tuned))
        except PaddockError as error:
            found.errors.append(
                {"code": "model_not_found", "message": error.message, "param": "body.model", "line": 1}
            )

    # ---- working

    async def _ask(self, shift: Shift, spec: BatchSpec) -> None:
        job_id, total = shift.held.id, shift.checkpoint["total"]
        kept = await self._platform.store.read(lambda session: journal.load(session, job_id))
        if kept.end + len(kept.answered) == total:
            return
        place = Place(shift, self._directory.of(shift.held.job.project), spec, shift.checkpoint["model"])
        keeper = Keeper(shift, kept)
        dialect = self._dialects[shift.held.job.dialect]
        run = Run(dialect, self._said(shift, spec), place, self._traffic, keeper)
        async with contextlib.aclosing(await self._lines(shift, spec, kept.offset)) as pieces:
            await run.run(rows_of(pieces, kept.end, kept.offset))

    async def _lines(self, shift: Shift, spec: BatchSpec, offset: int) -> AsyncGenerator[bytes, None]:
        """The rows' bytes from `offset` on."""
        if shift.checkpoint["rows"]:
            return self._platform.blobs.read(shift.checkpoint["rows"], offset)
        return await places.open_input(self._platform, shift.held.job.project, spec, offset)

    def _said(self, shift: Shift, spec: BatchSpec) -> JSON:
        """What the dialect is told about all rows."""
        job = shift.held.job
        whose = {"job": job.id, "project": job.project, "key_id": job.key_id}
        return {**spec.to_json(), "fields": shift.checkpoint["fields"], **whose}

    # ---- finishing

    async def _write_output(self, shift: Shift, spec: BatchSpec) -> Ending:
        if spec.output_kind == "files":
            return await self._write_files(shift, spec)
        job, total = shift.held.job, shift.checkpoint["total"]
        kept = await self._kept(job.id)
        pieces = output.as_list(output.answers(self._platform, job.id, kept, total), total)
        if spec.output_kind == "name":
            received = await files.receive(self._platform, pieces, limit=NO_LIMIT)

            def write(session: ChangeSession, row: JobRow) -> None:
                files.add(session, job.project, received, spec.output, PURPOSE)
                journal.forget(session, row)

            return Ending("completed", results={"output_file_id": received.id}, write=write)
        await places.write_output(self._platform, job.id, spec, pieces)
        return Ending("completed", results={"output_path": spec.output}, write=journal.forget)

    async def _write_files(self, shift: Shift, spec: BatchSpec) -> Ending:
        """OpenAI's: one file with the answers, and one with the errors; none of what there is not."""
        job, total = shift.held.job, shift.checkpoint["total"]
        kept = await self._kept(job.id)
        now = await jobs.get(self._platform, job.project, job.id)
        made: dict[str, Received] = {}
        for name, failed, count in (("output", False, now.done - now.failed), ("error", True, now.failed)):
            if count:
                pieces = output.as_lines(output.answers(self._platform, job.id, kept, total), failed)
                made[name] = await files.receive(self._platform, pieces, limit=NO_LIMIT)

        lasts = spec.asked.get("output_expires_after")

        def write(session: ChangeSession, row: JobRow) -> None:
            expires_at = time.time() + lasts["seconds"] if lasts else None
            for name, received in made.items():
                filename = f"{job.id}_{name}.jsonl"
                files.add(session, job.project, received, filename, PURPOSE, expires_at)
            journal.forget(session, row)

        results = {f"{name}_file_id": received.id for name, received in made.items()}
        return Ending("completed", results=results, write=write)

    async def _say_unanswered(self, shift: Shift, spec: BatchSpec, state: str) -> None:
        """Each row that nobody asked any more gets an error in its place."""
        job = shift.held.job
        kept = await self._kept(job.id)
        keeper = Keeper(shift, kept)
        said, dialect = self._said(shift, spec), self._dialects[job.dialect]
        why = "was cancelled" if state == "cancelled" else "ran out of time"
        error = PaddockError(f"the batch {why} before this request was answered", code=f"batch_{state}")
        try:
            pieces = await self._lines(shift, spec, kept.offset)
        except (InvalidRequest, NotFound):
            return  # Its input is gone, and with it what they are called.
        async with contextlib.aclosing(pieces):
            async for number, offset, row in rows_of(pieces, kept.end, kept.offset):
                if keeper.read(number, offset):
                    answer = dialect.error(said, row, number, error)
                    keeper.add(number, answer.failed, answer.body)
                    if number % 500 == 0:
                        await keeper.write()
                        await keeper.seal()
        await keeper.write()

    async def _kept(self, job_id: str) -> Kept:
        return await self._platform.store.read(lambda session: journal.load(session, job_id))


def _summary(errors: list[JSON]) -> str:
    first = errors[0]
    where = f"line {first['line']}: " if first.get("line") else ""
    more = f" ({len(errors) - 1} more)" if len(errors) > 1 else ""
    return f"the input is not right: {where}{first['message']}{more}"
