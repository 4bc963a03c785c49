"""Model endpoints of the LLM Engine dialect: create, get, list, update and delete.

The contract is the LLM Engine reference, and where it is silent the published client (scale-llm-engine
0.0.0b45). What only newer servers send is optional here, so that older answers parse too.
"""

# No `from __future__ import annotations` here: pydantic would have to evaluate each one at import.
from datetime import datetime
from typing import Any

from pydantic import Field

from paddock.schemas.llm_engine.core import (
    Bool,
    CallbackAuth,
    CpuSpecificationType,
    GpuType,
    HttpUrl,
    Int,
    LLMInferenceFramework,
    LLMSource,
    ModelEndpointStatus,
    ModelEndpointType,
    Quantization,
    StorageSpecificationType,
    Wire,
)
from paddock.schemas.llm_engine.vllm import VLLMEndpointAdditionalArgs

_CHAT_TEMPLATE = "A Jinja template for this endpoint; unset, the checkpoint's own."
_TASK_ID = "What the change may be asked after by; the endpoint's own status says more."


class _EndpointRequest(VLLMEndpointAdditionalArgs):
    quantize: Quantization | None = Field(default=None, description="How to quantize the model.")
    checkpoint_path: str | None = Field(default=None, description="Where to load the weights from.")
    post_inference_hooks: list[str] | None = Field(
        default=None,
        description="What to do after an inference: `callback` posts the answer to default_callback_url,"
        " signed and tried again; `billing` and `logging` are always done.",
    )
    cpus: CpuSpecificationType | None = Field(default=None, description="CPU cores of a node.")
    gpus: Int | None = Field(default=None, ge=0, description="GPUs of a node.")
    memory: StorageSpecificationType | None = Field(
        default=None, description='Memory of a node: bytes, or text like "24Gi".'
    )
    gpu_type: GpuType | None = Field(default=None, description="Which GPUs.")
    storage: StorageSpecificationType | None = Field(
        default=None, description='Disk space of a node: bytes, or text like "40Gi".'
    )
    optimize_costs: Bool | None = None
    prewarm: Bool | None = None
    high_priority: Bool | None = None
    billing_tags: dict[str, Any] | None = None
    default_callback_url: HttpUrl | None = Field(
        default=None, description="The URL that the `callback` hook calls."
    )
    default_callback_auth: CallbackAuth | None = Field(
        default=None, description="How to authenticate at that URL."
    )
    chat_template_override: str | None = Field(default=None, description=_CHAT_TEMPLATE)


class CreateLLMEndpointRequest(_EndpointRequest):
    """The body of `POST v1/llm/model-endpoints`."""

    name: str = Field(description="The endpoint's name, which completions ask for.")
    model_name: str = Field(description="The model that it serves.")
    source: LLMSource = Field(default=LLMSource.HUGGING_FACE, description="Where the model comes from.")
    inference_framework: LLMInferenceFramework = Field(
        default=LLMInferenceFramework.VLLM, description="The inference framework that is asked for."
    )
    inference_framework_image_tag: str = Field(
        default="latest", description="The inference framework's version."
    )
    num_shards: Int = Field(default=1, ge=1, description="How many GPUs to spread the model over.")
    metadata: dict[str, Any] = Field(default_factory=dict, description="The owner's notes, kept as sent.")
    endpoint_type: ModelEndpointType = Field(
        default=ModelEndpointType.STREAMING, description="Only `streaming` is known."
    )
    nodes_per_worker: Int | None = Field(default=None, ge=1, description="How many nodes make a worker.")
    min_workers: Int = Field(ge=0, description="How many workers there are at least; 0 may sleep.")
    max_workers: Int = Field(ge=0, description="How many workers there are at most.")
    per_worker: Int = Field(gt=0, description="How many requests at once a worker is meant to have.")
    labels: dict[str, str] = Field(default_factory=dict, description="The owner's labels, kept as sent.")
    public_inference: Bool | None = Field(
        default=True, description="Whether others than the owner may ask for completions."
    )


class CreateLLMEndpointResponse(Wire):
    """The answer to a request for a new endpoint."""

    endpoint_creation_task_id: str = Field(description=_TASK_ID)


class UpdateLLMEndpointRequest(_EndpointRequest):
    """The body of `PUT v1/llm/model-endpoints/{name}`; what is not sent stays as it is."""

    model_name: str | None = Field(default=None, description="The model that it serves.")
    source: LLMSource | None = Field(default=None, description="Where the model comes from.")
    inference_framework_image_tag: str | None = Field(
        default=None, description="The inference framework's version."
    )
    num_shards: Int | None = Field(default=None, ge=1, description="How many GPUs to spread the model over.")
    metadata: dict[str, Any] | None = Field(default=None, description="The owner's notes, kept as sent.")
    min_workers: Int | None = Field(default=None, ge=0, description="How many workers there are at least.")
    max_workers: Int | None = Field(default=None, ge=0, description="How many workers there are at most.")
    per_worker: Int | None = Field(
        default=None, gt=0, description="How many requests at once a worker is meant to have."
    )
    labels: dict[str, str] | None = Field(default=None, description="The owner's labels, kept as sent.")
    public_inference: Bool | None = Field(
        default=None, description="Whether others than the owner may ask for completions."
    )
    force_bundle_recreation: Bool | None = Field(
        default=False, description="Whether to roll to new workers even if nothing else changes."
    )


class UpdateLLMEndpointResponse(Wire):
    """The answer to a request to change an endpoint."""

    endpoint_creation_task_id: str = Field(description=_TASK_ID)


class ModelEndpointDeploymentState(Wire):
    """How many workers an endpoint may have, and has."""

    min_workers: int = Field(ge=0, description="How many workers there are at least.")
    max_workers: int = Field(ge=0, description="How many workers there are at most.")
    per_worker: int = Field(gt=0, description="How many requests at once a worker is meant to have.")
    concurrent_requests_per_worker: int | None = Field(
        default=None, gt=0, description="How many requests at once a worker takes; newer servers send it."
    )
    available_workers: int | None = Field(default=None, ge=0, description="Workers that are ready.")
    unavailable_workers: int | None = Field(default=None, ge=0, description="Workers that are not ready.")


class ModelEndpointResourceState(Wire):
    """What each node of a worker has; a worker is made of `nodes_per_worker` nodes."""

    cpus: CpuSpecificationType = Field(description="CPU cores.")
    gpus: int = Field(ge=0, description="GPUs.")
    memory: StorageSpecificationType = Field(description='Memory: bytes, or text like "24Gi".')
    gpu_type: GpuType | None = Field(default=None, description="Which GPUs.")
    storage: StorageSpecificationType | None = Field(default=None, description="Disk space, like memory.")
    nodes_per_worker: int = Field(default=1, ge=1, description="How many nodes make a worker.")
    optimize_costs: bool | None = None


class GetModelEndpointResponse(Wire):
    """An endpoint in detail: the `spec` of `GetLLMEndpointResponse`."""

    id: str = Field(description="The endpoint's ID, made by the server.")
    name: str = Field(description="The endpoint's name.")
    endpoint_type: ModelEndpointType = Field(description="Always `streaming`.")
    destination: str = Field(description="Where its requests go, in the server's own words.")
    deployment_name: str | None = None
    metadata: dict[str, Any] | None = Field(
        default=None, description="The owner's notes, and what the server adds to them."
    )
    bundle_name: str = Field(description="What the workers run, in the server's own words.")
    status: ModelEndpointStatus = Field(description="The status of the endpoint.")
    post_inference_hooks: list[str] | None = None
    default_callback_url: str | None = None
    default_callback_auth: CallbackAuth | None = None
    labels: dict[str, str] | None = Field(default=None, description="The owner's labels.")
    aws_role: str | None = None
    results_s3_bucket: str | None = None
    created_by: str = Field(description="Whose endpoint it is.")
    created_at: datetime = Field(description="When it was created.")
    last_updated_at: datetime = Field(description="When it was changed last.")
    deployment_state: ModelEndpointDeploymentState | None = Field(
        default=None, description="How many workers it may have, and has."
    )
    resource_state: ModelEndpointResourceState | None = Field(
        default=None, description="What its workers have."
    )
    num_queued_items: int | None = Field(default=None, description="How many requests wait for a worker.")
    public_inference: bool | None = Field(
        default=None, description="Whether others than the owner may ask for completions."
    )


class GetLLMEndpointResponse(Wire):
    """A model endpoint, as get and list answer it."""

    id: str | None = Field(default=None, description="The endpoint's ID, made by the server.")
    name: str = Field(description="The name that inference requests ask for.")
    model_name: str | None = Field(default=None, description="The base model.")
    source: LLMSource = Field(description="Where the model comes from.")
    status: ModelEndpointStatus = Field(description="The status of the model.")
    inference_framework: LLMInferenceFramework = Field(
        description="The inference framework that was asked for."
    )
    inference_framework_tag: str | None = Field(
        default=None, description="The inference framework's version."
    )
    num_shards: int | None = Field(default=None, description="How many GPUs the model is spread over.")
    quantize: Quantization | None = Field(default=None, description="How the model is quantized.")
    spec: GetModelEndpointResponse | None = Field(default=None, description="The endpoint in detail.")
    chat_template_override: str | None = Field(default=None, description=_CHAT_TEMPLATE)


class ListLLMEndpointsResponse(Wire):
    """The answer to `GET v1/llm/model-endpoints`."""

    model_endpoints: list[GetLLMEndpointResponse] = Field(description="The list of models.")


class DeleteLLMEndpointResponse(Wire):
    """The answer to `DELETE v1/llm/model-endpoints/{name}`."""

    deleted: bool = Field(description="Whether deletion was successful.")
