"""A fine-tune from its rows to what is served of it: what a worker does with a job of this kind."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from paddock.control.finetunes import folders, tracking, whole_model
from paddock.control.finetunes.learning import Learning
from paddock.control.finetunes.program import Trainer
from paddock.control.finetunes.tracking import Tracked
from paddock.control.jobs.shift import Shift
from paddock.errors import JobFailed, PaddockError, StartupError
from paddock.runners.runner import Runner
from paddock.schemas.jobs import Job
from paddock.schemas.own import CreateDeployment
from paddock.schemas.training import CHECKPOINTS, RESULT, Noted, Recipe
from paddock.services import adapter_files, adapters, commanded, deployments, job_blobs, tuned_files
from paddock.services.adapters import Adapter
from paddock.services.blob_files import StoredFile
from paddock.services.finetunes.spec import FineTuneSpec
from paddock.services.platform import Platform, in_thread
from paddock.services.work import Ending
from paddock.store.sessions import ChangeSession
from paddock.store.tables import JobRow
from paddock.weights.resolve import resolve

log = logging.getLogger(__name__)

JSON = dict[str, Any]
TRAINING, VALIDATION = "training.jsonl", "validation.jsonl"
AT_ONCE = 1
"""Fine-tunes that learn on this machine at the same time: two would take twice as long each."""


class FineTunes:
    """
    Args:
        runner: where the processes run that learn: this machine.
    """

    def __init__(self, platform: Platform, runner: Runner) -> None:
        self._platform = platform
        self._runner = runner
        self._turn = asyncio.Semaphore(AT_ONCE)

    async def run(self, shift: Shift) -> Ending:
        """
        Raises:
            JobFailed: it cannot go on.
            StoreFailed, StorageFailed: it is run again in a while.
        """
        spec = FineTuneSpec.from_json(shift.held.job.spec)
        if "made" not in shift.checkpoint:
            shift.message = "waiting for another fine-tune on this machine"
            async with self._turn:
                shift.message = ""
                made = await self._make(shift, spec)
            await shift.enter("finishing", {"made": made})
        return await self._ending(shift, spec)

    async def give_up(self, shift: Shift, ending: Ending) -> Ending:
        """Nothing is left to be shown but its events."""
        return ending

    async def clear(self, shift: Shift) -> None:
        """Removes what it kept, but for what came of it."""
        await folders.remove(self._platform, shift.held.id)
        await job_blobs.clear(self._platform, shift.held.id)

    async def _make(self, shift: Shift, spec: FineTuneSpec) -> JSON:
        """What came of it, all of it in the blobs."""
        platform, held = self._platform, shift.held
        await shift.enter("validating")
        await self._bring_base(spec)
        folder = await folders.make(platform, held.id, held.fence)
        await folders.fetch(platform, spec.training, folder / TRAINING)
        if spec.validation:
            await folders.fetch(platform, spec.validation, folder / VALIDATION)
        if (saved := shift.checkpoint.get("saved")) is not None:
            await folders.fetch_folder(platform, saved["blob"], folder / CHECKPOINTS / saved["name"])
        learning = Learning(shift, self._runner, folder)
        tracked = await tracking.find(platform, held.id, spec)
        if isinstance(tracked, Noted):
            await learning.note(tracked)
        trainer = Trainer(
            folder=folder,
            model=spec.model,
            source=spec.source,
            training=TRAINING,
            validation=VALIDATION if spec.validation else "",
            device=spec.device,
            recipe=Recipe.model_validate(spec.recipe),
            tracked=tracked if isinstance(tracked, Tracked) else None,
        )
        await shift.enter("working")
        done = await learning.run(trainer)
        shift.message = "storing what was learned"
        if spec.full:
            made = await whole_model.store(shift, spec, folder / RESULT)
        else:
            made = await self._store(shift, spec, folder)
            await self._deploy(shift, spec)
        return {**made, "outcome": done.model_dump(exclude={"kind"})}

    async def _bring_base(self, spec: FineTuneSpec) -> None:
        try:
            await tuned_files.bring(self._platform, spec.source)
        except StartupError as error:
            raise JobFailed(f"the base {spec.model} cannot be had: {error.message}") from error

    async def _store(self, shift: Shift, spec: FineTuneSpec, folder: Path) -> JSON:
        """The adapter's files, and the same for llama.cpp."""
        platform = self._platform
        where = f"{adapter_files.folder(platform, spec.adapter_id)}/{shift.held.fence}"
        result = folder / RESULT
        files: list[StoredFile] = []
        for path in sorted(await in_thread(lambda: list(result.iterdir()))):
            if path.name != folders.CARD:
                files.append(await folders.keep_file(platform, path, f"{where}/{path.name}"))
        weights = await in_thread(lambda: resolve(spec.source, models=platform.settings.data_dir / "models"))
        gguf = await folders.convert(result, weights.path)
        kept = await folders.keep_file(platform, gguf, f"{where}/{folders.GGUF}")
        return {"files": [asdict(file) for file in files], "gguf": kept.blob, "gguf_bytes": kept.bytes}

    async def _deploy(self, shift: Shift, spec: FineTuneSpec) -> None:
        """Sees to it that there is a deployment of the base: one that sleeps until somebody asks."""
        project = shift.held.job.project
        every = (await deployments.list_page(self._platform, project)).deployments
        every += await commanded.for_all(self._platform, project)
        if any(one.source == spec.source for one in every):
            return
        wish = CreateDeployment(model=spec.source, name=spec.model, min_workers=0)
        try:
            await deployments.create(self._platform, project, wish, key_id=shift.held.job.key_id)
        except PaddockError as error:
            # What was learned is kept, and served by whoever deploys the base.
            log.warning("nothing serves %s yet: %s", spec.name, error.message)

    async def _ending(self, shift: Shift, spec: FineTuneSpec) -> Ending:
        made, job = shift.checkpoint["made"], shift.held.job
        tokens = str(made["outcome"]["trained_tokens"])
        results = {"fine_tuned_model": spec.name, "trained_tokens": tokens}
        if spec.full:
            write = await whole_model.announcement(self._platform, job, spec, made)
        else:
            write = self._adapter(job, spec, made)
        return Ending("completed", results=results, write=write)

    def _adapter(self, job: Job, spec: FineTuneSpec, made: JSON) -> Callable[[ChangeSession, JobRow], None]:
        adapter = Adapter(
            id=spec.adapter_id,
            name=spec.name,
            model=spec.model,
            source=spec.source,
            job_id=job.id,
            gguf=made["gguf"],
            gguf_bytes=made["gguf_bytes"],
            files=[StoredFile(**file) for file in made["files"]],
            details={"recipe": spec.recipe, "outcome": made["outcome"]},
        )

        def write(session: ChangeSession, row: JobRow) -> None:
            name = adapters.add(session, job.project, adapter, time.time())
            row.results = {**row.results, "fine_tuned_model": name}

        return write
