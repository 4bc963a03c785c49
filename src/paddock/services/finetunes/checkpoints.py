"""The models that a fine-tune made and that can be asked: the one that came of it, while that is there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from paddock.errors import NotFound
from paddock.schemas.jobs import Job
from paddock.schemas.own import Event
from paddock.services import adapters, tuned_models
from paddock.services.finetunes import asking
from paddock.services.platform import Platform

JSON = dict[str, Any]


@dataclass(frozen=True)
class Checkpoint:
    """
    Attributes:
        model: the name that it is asked by.
        step: after which its weights were so.
        training_loss: that was last measured until that step.
        validation_loss: over all rows to validate; None without any.
    """

    model: str
    step: int
    training_loss: float
    validation_loss: float | None
    made_at: float


async def final(platform: Platform, project: str, job: Job) -> Checkpoint | None:
    """What came of the whole job. None if that is nothing yet, or was deleted.

    Raises:
        StoreFailed: the store cannot be read.
    """
    if job.state != "completed" or job.finished_at is None:
        return None
    try:
        name, details = await _made(platform, project, job.spec["adapter_id"])
    except NotFound:
        return None
    outcome = details["outcome"]
    told = await asking.events_of(platform, project, job.id)
    step, validation_loss = int(outcome["step"]), outcome["validation_loss"]
    if job.spec["recipe"]["patience"]:
        # The best weights are kept then, not the last ones.
        step = next((at for at, loss in _losses(told, "evaluated") if loss == validation_loss), step)
    before = [loss for at, loss in _losses(told, "step") if at <= step]
    training_loss = before[-1] if before else outcome["training_loss"]
    return Checkpoint(name, step, training_loss, validation_loss, job.finished_at)


async def _made(platform: Platform, project: str, identity: str) -> tuple[str, JSON]:
    """(name, details) of the adapter, or of the whole model."""
    try:
        adapter = await adapters.get(platform, project, identity)
    except NotFound:
        model = await tuned_models.get(platform, project, identity)
        return model.name, model.details
    return adapter.name, adapter.details


def _losses(told: Sequence[Event], kind: str) -> list[tuple[int, float]]:
    """(step, loss) of the events of a kind, in their order."""
    return [(int(one.data["step"]), float(one.data["loss"])) for one in told if one.kind == kind]
