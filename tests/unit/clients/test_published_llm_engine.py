"""Whoever replaces `llmengine` by `paddock.clients.llm_engine` finds the same names there."""

from __future__ import annotations

import enum
import inspect
import json
import os
import sys
import warnings
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import paddock.clients.llm_engine as ours

# It cannot be installed beside the newer openai package.
sys.path.append(str(Path(sys.prefix) / "scale-llm-engine==0.0.0b45"))
# Its import asks the internet for a newer version otherwise.
os.environ["LLM_ENGINE_DISABLE_VERSION_CHECK"] = "1"
with warnings.catch_warnings():
    # It builds its types with what its dependencies call outdated.
    warnings.simplefilter("ignore")
    published = pytest.importorskip("llmengine")
    data_types = pytest.importorskip("llmengine.data_types")

TYPES = [
    "BatchCompletionsJob",
    "BatchCompletionsModelConfig",
    "CallbackBasicAuth",
    "CallbackmTLSAuth",
    "CancelBatchCompletionsV2Request",
    "CancelBatchCompletionsV2Response",
    "ChatCompletionV2Request",
    "ChatCompletionV2Response",
    "CompletionOutput",
    "CompletionStreamOutput",
    "CompletionStreamV1Request",
    "CompletionStreamV1Response",
    "CompletionSyncV1Request",
    "CompletionSyncV1Response",
    "CompletionV2Request",
    "CompletionV2Response",
    "CreateBatchCompletionsV1ModelConfig",
    "CreateBatchCompletionsV1Request",
    "CreateBatchCompletionsV1RequestContent",
    "CreateBatchCompletionsV1Response",
    "CreateBatchCompletionsV2Request",
    "CreateLLMEndpointRequest",
    "CreateLLMEndpointResponse",
    "DeleteFileResponse",
    "DeleteLLMEndpointResponse",
    "FilteredChatCompletionV2Request",
    "FilteredCompletionV2Request",
    "GetBatchCompletionV2Response",
    "GetFileContentResponse",
    "GetFileResponse",
    "GetLLMEndpointResponse",
    "GetModelEndpointResponse",
    "ListBatchCompletionV2Response",
    "ListFilesResponse",
    "ListLLMEndpointsResponse",
    "ModelEndpointDeploymentState",
    "ModelEndpointResourceState",
    "StreamError",
    "StreamErrorContent",
    "TokenOutput",
    "ToolConfig",
    "UpdateBatchCompletionsV2Request",
    "UpdateBatchCompletionsV2Response",
    "UpdateLLMEndpointRequest",
    "UpdateLLMEndpointResponse",
    "UploadFileResponse",
    "VLLMEndpointAdditionalArgs",
    "VLLMEngineAdditionalArgs",
    "VLLMModelConfig",
]
WORDS = [
    "BatchCompletionsJobStatus",
    "GpuType",
    "LLMInferenceFramework",
    "LLMSource",
    "ModelEndpointStatus",
    "ModelEndpointType",
    "PostInferenceHooks",
    "Quantization",
]


def fields(name: str) -> dict[str, Any]:
    """Our type's fields, as they are called on the wire."""
    return {field.alias or own: field for own, field in getattr(ours, name).model_fields.items()}


@pytest.mark.parametrize("name", TYPES)
def test_every_field_of_every_type(name: str) -> None:
    theirs = getattr(data_types, name).__fields__
    assert set(fields(name)) == set(theirs)


@pytest.mark.parametrize("name", TYPES)
def test_defaults(name: str) -> None:
    mine = fields(name)
    for field, their in getattr(data_types, name).__fields__.items():
        if not their.required:
            assert mine[field].get_default(call_default_factory=True) == their.get_default()


def test_it_parses_what_our_types_write() -> None:
    now = datetime(2025, 1, 2, 3, 4, 5, tzinfo=UTC)
    state = ours.ModelEndpointDeploymentState(
        min_workers=0, max_workers=1, per_worker=2, concurrent_requests_per_worker=2, available_workers=0
    )
    spec = ours.GetModelEndpointResponse(
        id="end-1",
        name="stable/pony",
        endpoint_type=ours.ModelEndpointType.STREAMING,
        destination="pony",
        bundle_name="foal",
        status=ours.ModelEndpointStatus.READY,
        created_by="local",
        created_at=now,
        last_updated_at=now,
        deployment_state=state,
        resource_state=ours.ModelEndpointResourceState(cpus=2, gpus=0, memory="1Gi"),
        public_inference=True,
    )
    answer = ours.GetLLMEndpointResponse(
        name="stable/pony",
        source=ours.LLMSource.HUGGING_FACE,
        status=ours.ModelEndpointStatus.READY,
        inference_framework=ours.LLMInferenceFramework.VLLM,
        spec=spec,
    )
    parsed = data_types.GetLLMEndpointResponse.parse_obj(json.loads(answer.model_dump_json()))
    assert parsed.spec.created_at == now
    assert parsed.spec.deployment_state.available_workers == 0
    assert parsed.spec.resource_state.nodes_per_worker == 1


@pytest.mark.parametrize("name", WORDS)
def test_words(name: str) -> None:
    theirs: type[enum.Enum] = getattr(data_types, name)
    assert {(each.name, each.value) for each in theirs} == {
        (each.name, each.value) for each in getattr(ours, name)
    }


@pytest.mark.parametrize(
    "name",
    [
        "CompletionStreamRequest",
        "CompletionStreamResponse",
        "CompletionSyncRequest",
        "CompletionSyncResponse",
        "CompletionV1Output",
        "CreateBatchCompletionsModelConfig",
        "CreateBatchCompletionsRequest",
        "CreateBatchCompletionsRequestContent",
        "CreateBatchCompletionsResponse",
        "CreateBatchCompletionsV2ModelConfig",
        "CreateBatchCompletionsV2Response",
    ],
)
def test_aliases(name: str) -> None:
    assert getattr(ours, name).__name__ == getattr(data_types, name).__name__


def test_names_of_the_package() -> None:
    later = {name for name in published.__all__ if "FineTune" in name or "Download" in name}
    assert set(published.__all__) - later <= set(ours.__all__)


@pytest.mark.parametrize(
    "method",
    [
        "Completion.acreate",
        "Completion.batch_create",
        "Completion.cancel_batch_completion",
        "Completion.create",
        "Completion.get_batch_completion",
        "File.delete",
        "File.download",
        "File.get",
        "File.list",
        "File.upload",
        "Model.create",
        "Model.delete",
        "Model.get",
        "Model.list",
        "Model.update",
    ],
)
def test_parameters(method: str) -> None:
    kind, name = method.split(".")
    theirs = list(inspect.signature(getattr(getattr(published, kind), name)).parameters.values())
    mine = list(inspect.signature(getattr(getattr(ours, kind), name)).parameters.values())
    added = {parameter.name for parameter in mine} - {parameter.name for parameter in theirs}
    assert added <= {"timeout", "request_headers"}
    kept = [parameter for parameter in mine if parameter.name not in added]
    assert [parameter.name for parameter in kept] == [parameter.name for parameter in theirs]
    for their, my in zip(theirs, kept, strict=True):
        # Theirs must be given; here it may be left out.
        if their.name != "inference_framework_image_tag":
            assert plain(my.default) == plain(their.default)


def plain(default: Any) -> Any:
    return default.value if isinstance(default, enum.Enum) else default


@pytest.mark.parametrize(
    "name",
    [
        "BadRequestError",
        "NotFoundError",
        "RateLimitExceededError",
        "ServerError",
        "UnauthorizedError",
        "UnknownError",
        "ValidationError",
    ],
)
def test_errors(name: str) -> None:
    assert issubclass(getattr(ours.errors, name), ours.errors.LLMEngineError)
    assert hasattr(published.errors, name)
