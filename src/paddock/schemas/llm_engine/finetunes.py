"""Fine-tunes of the LLM Engine dialect, and where to download what came of them.

The contract is the LLM Engine reference, in both of its ages, and where it is silent the published client
(scale-llm-engine 0.0.0b45). The reference's `GetFineTuneResponse` has no `status`, and the published client
parses none without it: a server always sends it, and a client does without.
"""

# No `from __future__ import annotations` here: pydantic would have to evaluate each one at import.
import re
from enum import StrEnum
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_core import PydanticCustomError

from paddock.schemas.llm_engine.core import RequestWire, Wire

LONGEST_SUFFIX = 28
"""Characters."""

_JOB_ID = "ID of the requested job."
_ROWS = "a CSV file with the columns `prompt` and `response`: the ID of an uploaded file, or its URL."
_SUFFIX = re.compile(rf"[A-Za-z0-9-]{{1,{LONGEST_SUFFIX}}}")


def _suffix(value: str) -> str:
    if not _SUFFIX.fullmatch(value):
        raise PydanticCustomError(
            "suffix", f"must be 1 to {LONGEST_SUFFIX} letters (A-Z, a-z), digits and hyphens"
        )
    return value


def _no_text(value: Any) -> Any:
    """What is none may be the key, which no message says again."""
    if value is not None and not isinstance(value, dict):
        raise PydanticCustomError("wandb_config", "must be an object")
    return value


class CreateFineTuneRequest(RequestWire):
    """The body of `POST v1/llm/fine-tunes`."""

    model: str = Field(min_length=1, description="Name of the base model to train from.")
    training_file: str = Field(min_length=1, description=f"What to learn: {_ROWS}")
    validation_file: str | None = Field(
        default=None,
        min_length=1,
        description=f"What to measure by: {_ROWS} Without one, a tenth of the training rows is set apart.",
    )
    hyperparameters: dict[str, Any] | None = Field(
        default=None,
        description="How to learn: `lr`, `warmup_ratio`, `epochs`, `weight_decay`, `peft_config` and others.",
    )
    wandb_config: Annotated[dict[str, Any] | None, BeforeValidator(_no_text)] = Field(
        default=None, description="Where Weights & Biases gets the metrics, with `api_key` at least."
    )
    suffix: Annotated[str, AfterValidator(_suffix)] | None = Field(
        default=None,
        description="A part of the new model's name: up to 28 letters, digits and hyphens.",
    )


class CreateFineTuneResponse(Wire):
    """The answer to `POST v1/llm/fine-tunes`."""

    id: str = Field(description="ID of the created fine-tuning job.")


class BatchJobStatus(StrEnum):
    """Where a fine-tune is in its life."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    SUCCESS = "SUCCESS"
    FAILURE = "FAILURE"
    CANCELLED = "CANCELLED"
    UNDEFINED = "UNDEFINED"
    TIMEOUT = "TIMEOUT"


class GetFineTuneResponse(Wire):
    """The answer to `GET v1/llm/fine-tunes/{id}`. What follows `status` is sent by Paddock only."""

    id: str = Field(description=_JOB_ID)
    fine_tuned_model: str | None = Field(
        default=None,
        description="Name of the resulting model, which completions may ask for once the job is done.",
    )
    status: BatchJobStatus | None = Field(
        default=None, description="Status of the requested job; older servers say none."
    )
    model: str | None = Field(default=None, description="The base model that it trains from.")
    suffix: str | None = Field(default=None, description="The part of the new model's name that was wished.")
    progress: float | None = Field(default=None, description="How much of the training is done, from 0 to 1.")
    reason: str | None = Field(default=None, description="Why it failed, was cancelled or took too long.")


class ListFineTunesResponse(Wire):
    """The answer to `GET v1/llm/fine-tunes`."""

    jobs: list[GetFineTuneResponse] = Field(description="List of fine-tuning jobs and their statuses.")


class CancelFineTuneResponse(Wire):
    """The answer to `PUT v1/llm/fine-tunes/{id}/cancel`, which has no body."""

    success: bool = Field(description="Whether cancellation was successful.")


class LLMFineTuneEvent(Wire):
    """Something that happened to a fine-tune, such as an evaluation."""

    timestamp: float | None = Field(default=None, description="When, in seconds since 1970.")
    message: str = Field(description="Text; of metrics, as Python writes a dictionary: {'loss': 2.1}.")
    level: str = Field(description="Logging level of the event, such as `info`.")


class GetFineTuneEventsResponse(Wire):
    """The answer to `GET v1/llm/fine-tunes/{id}/events`."""

    events: list[LLMFineTuneEvent] = Field(description="All events of the job.")


class ModelDownloadRequest(RequestWire):
    """The body of `POST v1/llm/model-endpoints/download`."""

    model_name: str = Field(min_length=1, description="Name of the model to download.")
    download_format: str | None = Field(
        default="hugging_face", description="How the weights are to be laid out."
    )


class ModelDownloadResponse(Wire):
    """The answer to `POST v1/llm/model-endpoints/download`."""

    urls: dict[str, str] = Field(description="The URL of each file by its name; they work for a while only.")
