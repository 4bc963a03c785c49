"""Bodies of OpenAI's fine-tuning API, as its API reference and the `openai` package (2.x) have them.

Times are whole seconds since 1970. Fields of answers that tell of what has not happened are null.
"""

# No `from __future__ import annotations` here: pydantic would have to evaluate each one at import.
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from paddock.errors import InvalidRequest, UnsupportedParameter
from paddock.schemas.openai_batches import Key, Value

LONGEST_SUFFIX = 64
MOST_SEED = 2**31 - 1

MethodType = Literal["supervised", "dpo", "reinforcement"]
FineTuningStatus = Literal["validating_files", "queued", "running", "succeeded", "failed", "cancelled"]
EventLevel = Literal["info", "warn", "error"]
EventType = Literal["message", "metrics"]
Auto = Literal["auto"]
Metadata = Annotated[dict[Key, Value], Field(max_length=16)]

_HYPERPARAMETERS = (
    'How to learn: `n_epochs`, `batch_size`, `learning_rate_multiplier`, each a number or "auto"'
)
_WANDB = "Where Weights & Biases shows the job's metrics."


class _Wire(BaseModel):
    model_config = ConfigDict(defer_build=True, extra="forbid", strict=True, allow_inf_nan=False)


class WandbSettings(_Wire):
    """A run at Weights & Biases."""

    project: str = Field(min_length=1, description="The project that the run is made in.")
    entity: str | None = Field(default=None, description="The team or user that it belongs to.")
    name: str | None = Field(default=None, description="What it is called; unset, the job's id.")
    tags: list[str] | None = Field(default=None, description="Its tags.")


class Integration(_Wire):
    """A service that is told how the job goes."""

    type: Literal["wandb"] = Field(description="Only `wandb` is known.")
    wandb: WandbSettings = Field(description=_WANDB)


class SupervisedMethod(_Wire):
    """How to learn from examples of what is right."""

    hyperparameters: dict[str, Any] | None = Field(default=None, description=f"{_HYPERPARAMETERS}, and more.")


class Method(_Wire):
    """The way of learning, with its settings under its own name."""

    type: MethodType = Field(description="Only `supervised` can be done here.")
    supervised: SupervisedMethod | None = Field(default=None, description="Settings of `supervised`.")
    dpo: dict[str, Any] | None = Field(default=None, description="Refused.")
    reinforcement: dict[str, Any] | None = Field(default=None, description="Refused.")


class CreateFineTuningJob(_Wire):
    """Body of POST /fine_tuning/jobs."""

    model: str = Field(min_length=1, description="Name of the base model.")
    training_file: str = Field(
        min_length=1, description="A stored file: JSON Lines, an example in each, uploaded for `fine-tune`."
    )
    validation_file: str | None = Field(
        default=None, min_length=1, description="Another such file, to measure by."
    )
    suffix: str | None = Field(
        default=None,
        min_length=1,
        max_length=LONGEST_SUFFIX,
        description=f"A part of the new model's name, up to {LONGEST_SUFFIX} characters.",
    )
    seed: int | None = Field(
        default=None,
        ge=0,
        le=MOST_SEED,
        description="Same seed and same job, same result; unset, a random one.",
    )
    method: Method | None = Field(default=None, description="The way of learning; unset, `supervised`.")
    hyperparameters: dict[str, Any] | None = Field(
        default=None,
        description=f"{_HYPERPARAMETERS}, and more. The older name of `method.supervised.hyperparameters`.",
    )
    integrations: list[Integration] | None = Field(default=None, description=_WANDB)
    metadata: Metadata | None = Field(
        default=None, description="Up to 16 pairs of texts that are shown with it."
    )

    def supervised_hyperparameters(self) -> tuple[str, dict[str, Any]]:
        """How to learn, as it was asked for, `"auto"` included; and the field that said so, dotted.

        Raises:
            UnsupportedParameter: it is to learn in another way than `supervised`.
            InvalidRequest: they are given under both of their names.
        """
        asked = self.method
        if asked is not None and asked.type != "supervised":
            raise UnsupportedParameter(
                f'method.type must be "supervised": fine-tuning by "{asked.type}" cannot be done here',
                param="method.type",
            )
        for other in ("dpo", "reinforcement"):
            if asked is not None and getattr(asked, other) is not None:
                raise UnsupportedParameter(
                    f'method.{other} must be left out: method.type is "supervised"', param=f"method.{other}"
                )
        newer = asked.supervised.hyperparameters if asked is not None and asked.supervised else None
        if newer is not None and self.hyperparameters is not None:
            raise InvalidRequest(
                "give hyperparameters or method.supervised.hyperparameters, not both", param="hyperparameters"
            )
        if newer is not None:
            return "method.supervised.hyperparameters", newer
        return "hyperparameters", self.hyperparameters or {}


class _Answer(BaseModel):
    # Fields that are not named are kept, so that a server may say more.
    model_config = ConfigDict(defer_build=True, extra="allow")


class Hyperparameters(_Answer):
    """How a job learns; beside these, those of ours."""

    n_epochs: Auto | int | None = None
    batch_size: Auto | int | None = None
    learning_rate_multiplier: Auto | float | None = None


class JobSupervisedMethod(_Answer):
    """As `SupervisedMethod`, of a job."""

    hyperparameters: Hyperparameters | None = None


class JobMethod(_Answer):
    """As `Method`, of a job."""

    type: MethodType = "supervised"
    supervised: JobSupervisedMethod | None = None


class FineTuningJobError(_Answer):
    """Why a job failed."""

    code: str = Field(description="A stable machine-readable word.")
    message: str = Field(description="For a person.")
    param: str | None = Field(default=None, description="The field at fault, if one is.")


class FineTuningJob(_Answer):
    """A job, as every request about one answers it."""

    id: str
    object: Literal["fine_tuning.job"] = "fine_tuning.job"
    created_at: int
    error: FineTuningJobError | None = Field(default=None, description="Of a failed one: why.")
    fine_tuned_model: str | None = Field(default=None, description="The new model's name, once there is one.")
    finished_at: int | None = None
    hyperparameters: Hyperparameters
    model: str = Field(description="The base model.")
    organization_id: str = Field(description="The project that it belongs to.")
    result_files: list[str] = Field(description="IDs of files with its metrics.")
    seed: int
    status: FineTuningStatus
    trained_tokens: int | None = Field(default=None, description="How many it learned from, once it is over.")
    training_file: str
    validation_file: str | None = None
    estimated_finish: int | None = Field(default=None, description="Of a running one: when it may be over.")
    integrations: list[Integration] | None = None
    metadata: dict[str, str] | None = None
    method: JobMethod | None = None


class FineTuningJobEvent(_Answer):
    """Something that happened to a job."""

    id: str
    object: Literal["fine_tuning.job.event"] = "fine_tuning.job.event"
    created_at: int
    level: EventLevel
    message: str
    data: dict[str, Any] | None = Field(default=None, description="Of `metrics`: the numbers.")
    type: EventType | None = None


class Metrics(_Answer):
    """What was measured at a checkpoint: losses are means over tokens, in nats, accuracies from 0 to 1."""

    step: float | None = None
    train_loss: float | None = None
    train_mean_token_accuracy: float | None = None
    valid_loss: float | None = None
    valid_mean_token_accuracy: float | None = None
    full_valid_loss: float | None = None
    full_valid_mean_token_accuracy: float | None = None


class FineTuningJobCheckpoint(_Answer):
    """A model as it was in the middle of a job, ready to use."""

    id: str
    object: Literal["fine_tuning.job.checkpoint"] = "fine_tuning.job.checkpoint"
    created_at: int
    fine_tuned_model_checkpoint: str = Field(description="The name to ask it by.")
    fine_tuning_job_id: str
    metrics: Metrics
    step_number: int


class FineTuningJobPage(_Answer):
    """The answer to GET /fine_tuning/jobs; the newest first."""

    object: Literal["list"] = "list"
    data: list[FineTuningJob]
    has_more: bool


class FineTuningJobEventPage(_Answer):
    """The answer to GET /fine_tuning/jobs/{id}/events; the newest first."""

    object: Literal["list"] = "list"
    data: list[FineTuningJobEvent]
    has_more: bool


class FineTuningJobCheckpointPage(_Answer):
    """The answer to GET /fine_tuning/jobs/{id}/checkpoints; the newest first."""

    object: Literal["list"] = "list"
    data: list[FineTuningJobCheckpoint]
    first_id: str | None = None
    last_id: str | None = None
    has_more: bool
