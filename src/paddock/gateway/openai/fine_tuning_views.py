"""Jobs, what happened to them and what came of them, as OpenAI's fine-tuning API shows them."""

from __future__ import annotations

import time

from paddock.schemas.jobs import Job
from paddock.schemas.openai_fine_tuning import (
    FineTuningJob,
    FineTuningJobCheckpoint,
    FineTuningJobError,
    FineTuningJobEvent,
    FineTuningStatus,
    Hyperparameters,
    Integration,
    JobMethod,
    JobSupervisedMethod,
    Metrics,
    WandbSettings,
)
from paddock.schemas.own import Event
from paddock.services.finetunes.checkpoints import Checkpoint

_STATUSES: dict[str, FineTuningStatus] = {
    "queued": "queued",
    "running": "running",
    "completed": "succeeded",
    "failed": "failed",
    "expired": "failed",
    "cancelled": "cancelled",
}
_METRICS = ("step", "evaluated")
# As they are asked for, and as the recipe has them.
_HYPERPARAMETERS = {
    "n_epochs": "epochs",
    "gradient_accumulation": "accumulation",
    "early_stopping": "patience",
    **{
        name: name
        for name in (
            "batch_size",
            "learning_rate",
            "scheduler",
            "weight_decay",
            "method",
            "lora_rank",
            "lora_alpha",
            "lora_dropout",
            "lora_targets",
            "max_length",
            "truncate",
            "packing",
            "group_by_length",
        )
    },
}


def view(job: Job) -> FineTuningJob:
    asked, recipe = job.spec["asked"], job.spec["recipe"]
    shown = Hyperparameters.model_validate({name: recipe[one] for name, one in _HYPERPARAMETERS.items()})
    return FineTuningJob(
        id=job.id,
        created_at=int(job.created_at),
        error=_error(job),
        fine_tuned_model=job.results.get("fine_tuned_model"),
        finished_at=int(job.finished_at) if job.finished_at else None,
        hyperparameters=shown,
        model=job.model,
        organization_id=job.project,
        result_files=[],
        seed=recipe["seed"],
        status="validating_files" if job.phase == "validating" else _STATUSES[job.state],
        trained_tokens=int(job.results["trained_tokens"]) if "trained_tokens" in job.results else None,
        training_file=asked["training_file"],
        validation_file=asked["validation_file"],
        estimated_finish=_finish(job),
        integrations=_integrations(job),
        metadata=job.labels or None,
        method=JobMethod(type="supervised", supervised=JobSupervisedMethod(hyperparameters=shown)),
    )


def event_view(one: Event) -> FineTuningJobEvent:
    return FineTuningJobEvent(
        id=f"ftevent-{one.id}",
        created_at=int(one.at),
        level="error" if one.kind == "failed" else "warn" if one.kind == "warning" else "info",
        message=one.message or one.kind,
        data=one.data,
        type="metrics" if one.kind in _METRICS else "message",
    )


def checkpoint_view(one: Checkpoint, job: Job) -> FineTuningJobCheckpoint:
    return FineTuningJobCheckpoint(
        id=f"ftckpt-{job.id}",
        created_at=int(one.made_at),
        fine_tuned_model_checkpoint=one.model,
        fine_tuning_job_id=job.id,
        # It is always measured over all rows to validate.
        metrics=Metrics(
            step=one.step,
            train_loss=one.training_loss,
            valid_loss=one.validation_loss,
            full_valid_loss=one.validation_loss,
        ),
        step_number=one.step,
    )


def _integrations(job: Job) -> list[Integration]:
    run = job.spec.get("wandb")
    if run is None:
        return []
    shown = {name: run.get(name) for name in WandbSettings.model_fields}
    return [Integration(type="wandb", wandb=WandbSettings.model_validate(shown))]


def _error(job: Job) -> FineTuningJobError | None:
    if job.state not in ("failed", "expired"):
        return None
    code = job.errors[0].code if job.errors else f"job_{job.state}"
    return FineTuningJobError(code=code, message=job.reason)


def _finish(job: Job) -> int | None:
    """By how fast it went until now."""
    if job.state != "running" or not job.done or "working" not in job.times:
        return None
    now = time.time()
    return int(now + (now - job.times["working"]) / job.done * (job.total - job.done))
