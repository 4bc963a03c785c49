"""What was asked for with a fine-tune, as the job keeps it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from paddock.services.job_blobs import folder
from paddock.services.platform import Platform

JSON = dict[str, Any]
KIND = "ft"


@dataclass(frozen=True)
class FineTuneSpec:
    """
    Attributes:
        name: of what comes of it: `base.suffix.time`.
        adapter_id: of what comes of it: of a model if that is one.
        model, source: the base, as `DeploymentRow` has them.
        training, validation: blobs of normalized rows, see `schemas.training.Task`; without validation rows
            the second is empty.
        device: what it is learned on: `cpu` or `cuda`.
        recipe: a `schemas.training.Recipe`.
        asked: what the dialect wants to show again.
        wandb: where it is reported, as `tracking.Wandb.run` has it; None: nowhere. The key is the job's
            secret.
    """

    name: str
    adapter_id: str
    model: str
    source: str
    training: str
    validation: str
    device: str
    recipe: JSON
    asked: JSON = field(default_factory=dict)
    wandb: JSON | None = None

    @property
    def full(self) -> bool:
        """Whether it makes a model of its own, not an adapter."""
        return bool(self.recipe["method"] == "full")

    def to_json(self) -> JSON:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, raw: JSON) -> FineTuneSpec:
        return cls(**raw)


def training_key(platform: Platform, job_id: str) -> str:
    return f"{folder(platform, job_id)}/training"


def validation_key(platform: Platform, job_id: str) -> str:
    return f"{folder(platform, job_id)}/validation"


def checkpoint_key(platform: Platform, job_id: str, fence: int, name: str) -> str:
    """Workers write to different ones, so that one that was taken for dead spoils nothing."""
    return f"{folder(platform, job_id)}/checkpoints/{name}-{fence}"
