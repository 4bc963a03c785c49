"""Batches of completions of the LLM Engine dialect, in both of its versions.

The contract is the LLM Engine reference, and where it is silent the published client (scale-llm-engine
0.0.0b45). The types that say which model to run carry that under the name `model_config`, which pydantic
keeps for itself: see `_Configured`.
"""

# No `from __future__ import annotations` here: pydantic would have to evaluate each one at import.
from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Self, TypeAlias

from pydantic import (
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    TypeAdapter,
    WrapValidator,
    model_serializer,
)

from paddock.schemas.llm_engine.completions import CompletionOutput
from paddock.schemas.llm_engine.completions_v2 import (
    ChatCompletionV2Request,
    ChatCompletionV2Response,
    CompletionV2Request,
    CompletionV2Response,
)
from paddock.schemas.llm_engine.core import (
    Bool,
    CpuSpecificationType,
    Float,
    GpuType,
    Int,
    RequestWire,
    StorageSpecificationType,
    Wire,
)
from paddock.schemas.llm_engine.vllm import VLLMModelConfig

DAY = 24 * 3600

_MODEL = "Which model, and how its engine runs it."
_PRIORITY = "Which of the jobs that wait comes first."
_INPUT = "Where the input lies: a JSON file with what `content` would be."
_OUTPUT = "Where the output goes: a JSON file with a list of outputs, in the order of the input."
_JOB_ID = "ID of the batch completions job."


class ToolConfig(RequestWire):
    """A tool that is run on the completions of a batch."""

    name: str = Field(description="Name of the tool.")
    max_iterations: Int | None = Field(default=10, description="How often it runs at most.")
    execution_timeout_seconds: Int | None = Field(default=60, description="How long it runs at most.")
    should_retry_on_error: Bool | None = Field(default=True, description="Whether it is tried again.")


class BatchCompletionsModelConfig(VLLMModelConfig):
    """Which model a batch asks, and how its engine runs it."""

    model: str = Field(min_length=1, description="Name of the model.")
    checkpoint_path: str | None = Field(default=None, description="Where to load the weights from.")
    num_shards: Int | None = Field(default=1, ge=1, description="How many GPUs to spread the model over.")
    max_context_length: Int | None = Field(
        default=None, ge=1, description="The context's length in tokens; unset, the model's own."
    )
    response_role: str | None = Field(default=None, description="The role of chat answers.")


class CreateBatchCompletionsV1ModelConfig(BatchCompletionsModelConfig):
    """The same, with the labels that the first version has here."""

    labels: dict[str, str] = Field(default_factory=dict, description="The owner's labels, kept as sent.")


class _Configured(Wire):
    """What has a field `model_config`, as it is called on the wire and when an instance is made.

    pydantic keeps `model_config` of a class for its own settings, so the field itself is `model_settings`.
    Of an instance both names read the field: `model_config` is what the published client has, and
    `model_settings` what type checkers understand. Written as JSON or as a dictionary it is `model_config`.
    """

    model_settings: BatchCompletionsModelConfig = Field(alias="model_config", description=_MODEL)

    if not TYPE_CHECKING:

        def __getattribute__(self, name: str) -> Any:
            return super().__getattribute__("model_settings" if name == "model_config" else name)

    @model_serializer(mode="wrap")
    def _by_its_name(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # Whether aliases are written is the caller's choice, who need not know that there is one.
        written: dict[str, Any] = write(self)
        if "model_settings" in written:
            written = {"model_config": written.pop("model_settings"), **written}
        return written

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        # pydantic's own reads its settings off the instance, which here has other ones under that name.
        copied = super().model_copy(deep=deep)
        for name, value in (update or {}).items():
            setattr(copied, name, value)
        return copied


class BatchCompletionsRequestBase(_Configured, RequestWire):
    """What both versions of the request for a batch have."""

    input_data_path: str | None = Field(default=None, description=_INPUT)
    output_data_path: str = Field(description=_OUTPUT)
    labels: dict[str, str] = Field(default_factory=dict, description="The owner's labels, kept as sent.")
    data_parallelism: Int | None = Field(
        default=1, ge=1, le=64, description="How many replicas to start for the batch."
    )
    max_runtime_sec: Int | None = Field(
        default=DAY, ge=1, le=2 * DAY, description="Seconds after which the batch is given up."
    )
    priority: str | None = Field(default=None, description=_PRIORITY)
    tool_config: ToolConfig | None = Field(default=None, description="A tool to run on the completions.")
    cpus: CpuSpecificationType | None = Field(default=None, description="CPU cores of a node.")
    gpus: Int | None = Field(default=None, description="GPUs of a node.")
    memory: StorageSpecificationType | None = Field(default=None, description="Memory of a node.")
    gpu_type: GpuType | None = Field(default=None, description="Which GPUs.")
    storage: StorageSpecificationType | None = Field(default=None, description="Disk space of a node.")
    nodes_per_worker: Int | None = Field(default=None, description="How many nodes make a worker.")


class CreateBatchCompletionsV1RequestContent(RequestWire):
    """Prompts, and how all of them are completed."""

    prompts: Annotated[list[str], Field(fail_fast=True)] = Field(description="The texts to continue.")
    max_new_tokens: Int = Field(ge=1, description="How many tokens to generate at most for a prompt.")
    temperature: Float = Field(
        ge=0.0, le=1.0, description="The sampling temperature; 0 always takes the likeliest token."
    )
    stop_sequences: list[str] | None = Field(default=None, description="Texts at which a completion stops.")
    return_token_log_probs: Bool | None = Field(
        default=False, description="Whether to return the tokens with their log probabilities."
    )
    presence_penalty: Float | None = Field(
        default=None, ge=0.0, le=2.0, description="Penalizes tokens that are in the text so far; 0 does not."
    )
    frequency_penalty: Float | None = Field(
        default=None, ge=0.0, le=2.0, description="Penalizes tokens by how often they are in the text so far."
    )
    top_k: Int | None = Field(
        default=None, ge=-1, description="How many of the likeliest tokens to consider; -1 is all of them."
    )
    top_p: Float | None = Field(
        default=None,
        gt=0.0,
        le=1.0,
        description="The summed probability of the tokens to consider; 1 is all of them.",
    )
    skip_special_tokens: Bool | None = Field(
        default=True, description="Whether special tokens are left out of the text."
    )


class FilteredCompletionV2Request(CompletionV2Request):
    """A completion as a row of a batch, whose model the batch names."""

    model: str | None = None  # type: ignore[assignment]


class FilteredChatCompletionV2Request(ChatCompletionV2Request):
    """A chat completion as a row of a batch, whose model the batch names."""

    model: str | None = None  # type: ignore[assignment]


CompletionV1Output: TypeAlias = CompletionOutput
CompletionRequest: TypeAlias = FilteredCompletionV2Request | FilteredChatCompletionV2Request
CompletionResponse: TypeAlias = CompletionV2Response | ChatCompletionV2Response
CreateBatchCompletionsV2RequestContent: TypeAlias = (
    list[FilteredCompletionV2Request] | list[FilteredChatCompletionV2Request]
)


def _by_its_look(content: Any, _: Any) -> Any:
    # A union would look for faults in each of its three branches, and tell all that it finds.
    if not isinstance(content, list):
        return CreateBatchCompletionsV1RequestContent.model_validate(content)
    first = content[0] if content else None
    chat = isinstance(first, ChatCompletionV2Request) or (
        isinstance(first, Mapping) and first.get("messages") is not None
    )
    return (_CHATS if chat else _COMPLETIONS).validate_python(content)


_LATE = ConfigDict(defer_build=True)
_CHATS = TypeAdapter(Annotated[list[FilteredChatCompletionV2Request], Field(fail_fast=True)], config=_LATE)
_COMPLETIONS = TypeAdapter(Annotated[list[FilteredCompletionV2Request], Field(fail_fast=True)], config=_LATE)
BatchCompletionContent: TypeAlias = Annotated[
    CreateBatchCompletionsV1RequestContent | CreateBatchCompletionsV2RequestContent,
    WrapValidator(_by_its_look),
]


class CreateBatchCompletionsV1Request(BatchCompletionsRequestBase):
    """The body of `POST v1/llm/batch-completions`: either `content` or `input_data_path` is needed."""

    model_settings: CreateBatchCompletionsV1ModelConfig = Field(alias="model_config", description=_MODEL)
    content: CreateBatchCompletionsV1RequestContent | None = Field(default=None, description="The prompts.")


class CreateBatchCompletionsV1Response(Wire):
    """The answer to a v1 request for a batch."""

    job_id: str = Field(description=_JOB_ID)


class CreateBatchCompletionsV2Request(BatchCompletionsRequestBase):
    """The body of `POST v2/batch-completions`: either `content` or `input_data_path` is needed."""

    content: BatchCompletionContent | None = Field(
        default=None, description="Completion requests or chat requests; or prompts, as in the first version."
    )


class BatchCompletionsJobStatus(StrEnum):
    """Where a batch is in its life."""

    Queued = "queued"
    Running = "running"
    Completed = "completed"
    Failed = "failed"
    Cancelled = "cancelled"
    Unknown = "unknown"


class BatchCompletionsJob(_Configured):
    """A batch, as the second version answers it. Times are text, in ISO 8601."""

    job_id: str = Field(description=_JOB_ID)
    input_data_path: str | None = Field(default=None, description=_INPUT)
    output_data_path: str = Field(description=_OUTPUT)
    priority: str | None = Field(default=None, description=_PRIORITY)
    status: BatchCompletionsJobStatus = Field(description="Where the batch is in its life.")
    created_at: str = Field(description="When it was created.")
    expires_at: str = Field(description="When it is given up, if it is not completed by then.")
    completed_at: str | None = Field(default=None, description="When it was completed.")
    metadata: dict[str, str] | None = Field(default=None, description="The owner's labels.")


class UpdateBatchCompletionsV2Request(RequestWire):
    """A change of a batch."""

    job_id: str = Field(description=_JOB_ID)
    priority: str | None = Field(default=None, description=_PRIORITY)


class UpdateBatchCompletionsV2Response(BatchCompletionsJob):
    """The batch as it is after a change."""

    success: bool = Field(description="Whether the update was successful.")


class CancelBatchCompletionsV2Request(RequestWire):
    """Which batch to cancel."""

    job_id: str = Field(description=_JOB_ID)


class CancelBatchCompletionsV2Response(Wire):
    """The answer to `POST v2/batch-completions/{job_id}/actions/cancel`."""

    success: bool = Field(description="Whether the cancellation was successful.")


class ListBatchCompletionV2Response(Wire):
    """The answer to `GET v2/batch-completions`."""

    jobs: list[BatchCompletionsJob] = Field(description="The batches.")


class GetBatchCompletionV2Response(Wire):
    """The answer to `GET v2/batch-completions/{job_id}`."""

    job: BatchCompletionsJob = Field(description="The batch.")


CreateBatchCompletionsRequestContent: TypeAlias = CreateBatchCompletionsV1RequestContent
CreateBatchCompletionsModelConfig: TypeAlias = CreateBatchCompletionsV1ModelConfig
CreateBatchCompletionsRequest: TypeAlias = CreateBatchCompletionsV1Request
CreateBatchCompletionsResponse: TypeAlias = CreateBatchCompletionsV1Response
CreateBatchCompletionsV2ModelConfig: TypeAlias = BatchCompletionsModelConfig
CreateBatchCompletionsV2Response: TypeAlias = BatchCompletionsJob
