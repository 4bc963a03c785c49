"""What comes of a full fine-tune: a model of its own, stored, then known and deployed at once."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from paddock.control.finetunes import folders
from paddock.control.jobs.shift import Shift
from paddock.schemas.jobs import Job
from paddock.services import tuned_deployments, tuned_models
from paddock.services.blob_files import StoredFile
from paddock.services.finetunes.spec import FineTuneSpec
from paddock.services.platform import Platform, in_thread
from paddock.services.tuned_models import TunedModel
from paddock.store.sessions import ChangeSession
from paddock.store.tables import JobRow
from paddock.weights.facts import ModelFacts, describe
from paddock.weights.resolve import Weights

JSON = dict[str, Any]


async def store(shift: Shift, spec: FineTuneSpec, result: Path) -> JSON:
    """Brings the checkpoint in the folder `result` into the blobs: its files, and what is known of it.

    Raises:
        StorageFailed: they cannot be written.
    """
    platform = shift.platform
    where = f"{tuned_models.folder(platform, shift.held.id)}/{shift.held.fence}"
    paths = await in_thread(lambda: sorted(path for path in result.iterdir() if path.is_file()))
    files = [await folders.keep_file(platform, path, f"{where}/{path.name}") for path in paths]
    facts = await in_thread(lambda: describe(Weights(spec.name, "checkpoint", result)))
    facts = dataclasses.replace(
        facts,
        source=tuned_models.source(spec.adapter_id),
        description=f"Fine-tuned from {spec.model}.",
        parent=spec.model,
    )
    return {"files": [dataclasses.asdict(file) for file in files], "facts": dataclasses.asdict(facts)}


async def announcement(
    platform: Platform, job: Job, spec: FineTuneSpec, made: JSON
) -> Callable[[ChangeSession, JobRow], None]:
    """What is written along with the job's end.

    Args:
        made: what `store` gave, and the outcome.

    Raises:
        StoreFailed: the store cannot be read.
    """
    model = TunedModel(
        id=spec.adapter_id,
        name=spec.name,
        parent=spec.model,
        job_id=job.id,
        files=[StoredFile(**file) for file in made["files"]],
        facts=ModelFacts(**made["facts"]),
        details={"recipe": spec.recipe, "outcome": made["outcome"]},
    )
    new = await tuned_deployments.plan(platform, job.project, model, spec.source, job.key_id)

    def write(session: ChangeSession, row: JobRow) -> None:
        tuned_deployments.add(session, job.project, model, new, time.time())

    return write
