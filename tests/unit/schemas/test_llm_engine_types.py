"""Requests say what is wrong with them, and answers of older servers parse as those of newer ones."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from paddock.schemas.llm_engine import (
    CallbackAuth,
    CallbackmTLSAuth,
    CompletionStreamResponse,
    CompletionStreamV1Request,
    CompletionStreamV1Response,
    CompletionSyncRequest,
    CompletionSyncResponse,
    CompletionSyncV1Request,
    CreateLLMEndpointRequest,
    GetLLMEndpointResponse,
    GpuType,
    LLMInferenceFramework,
    LLMSource,
    ModelEndpointStatus,
    UpdateLLMEndpointRequest,
    VLLMEndpointAdditionalArgs,
)

COMPLETION: dict[str, Any] = {"prompt": "A horse", "max_new_tokens": 5, "temperature": 0}
ENDPOINT: dict[str, Any] = {
    "name": "stable/pony",
    "model_name": "paddock/foal",
    "min_workers": 0,
    "max_workers": 1,
    "per_worker": 2,
}
SPEC: dict[str, Any] = {
    "id": "end_1",
    "name": "pony",
    "endpoint_type": "streaming",
    "destination": "pony",
    "bundle_name": "foal",
    "status": "READY",
    "created_by": "local",
    "created_at": "2025-01-02T03:04:05Z",
    "last_updated_at": "2025-01-02T03:04:05.5Z",
    "deployment_state": {"min_workers": 0, "max_workers": 1, "per_worker": 2, "available_workers": 1},
    "resource_state": {"cpus": "2", "gpus": 0, "memory": "1Gi"},
}
ANSWER: dict[str, Any] = {
    "name": "pony",
    "source": "hugging_face",
    "status": "READY",
    "inference_framework": "vllm",
    "spec": SPEC,
}


def wrong(kind: Any, **fields: Any) -> list[str]:
    """Where pydantic finds fault."""
    with pytest.raises(ValidationError) as caught:
        kind.model_validate_json(json.dumps(fields))
    return [str(detail["loc"][0]) for detail in caught.value.errors()]


def sync_answer(**output: Any) -> CompletionSyncResponse:
    return CompletionSyncResponse.model_validate({"request_id": "r", "output": output})


def stream_answer(**fields: Any) -> CompletionStreamResponse:
    return CompletionStreamResponse.model_validate({"request_id": "r", **fields})


class TestCompletionRequest:
    def test_names(self) -> None:
        assert CompletionSyncRequest is CompletionSyncV1Request
        assert CompletionStreamResponse is CompletionStreamV1Response

    def test_all_nulls_as_the_published_client_sends_them(self) -> None:
        nulls = dict.fromkeys(set(CompletionSyncV1Request.model_fields) - set(COMPLETION))
        request = CompletionSyncV1Request.model_validate_json(json.dumps({**COMPLETION, **nulls}))
        assert request.model_fields_set == set(COMPLETION)
        assert request.skip_special_tokens is True
        assert request.guided_json is None

    def test_whole_numbers_do_for_floats(self) -> None:
        request = CompletionStreamV1Request(**COMPLETION, top_p=1, presence_penalty=2)
        assert (request.temperature, request.top_p, request.presence_penalty) == (0.0, 1.0, 2.0)

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("prompt", 3),
            ("prompt", ["A horse"]),
            ("max_new_tokens", "5"),
            ("max_new_tokens", 5.0),
            ("max_new_tokens", True),
            ("max_new_tokens", 0),
            ("temperature", "0.5"),
            ("temperature", 1.1),
            ("temperature", -0.1),
            ("temperature", float("nan")),
            ("stop_sequences", "."),
            ("return_token_log_probs", 1),
            ("return_token_log_probs", "yes"),
            ("presence_penalty", 2.1),
            ("frequency_penalty", -0.1),
            ("top_k", -2),
            ("top_k", 1.5),
            ("top_p", 0),
            ("top_p", 1.01),
            ("include_stop_str_in_output", "true"),
            ("guided_json", "{}"),
            ("guided_regex", ["a"]),
            ("guided_choice", "a"),
            ("guided_grammar", {}),
            ("skip_special_tokens", 0),
        ],
    )
    def test_wrong_values(self, field: str, value: Any) -> None:
        assert wrong(CompletionSyncV1Request, **{**COMPLETION, field: value}) == [field]

    @pytest.mark.parametrize("field", list(COMPLETION))
    def test_required(self, field: str) -> None:
        assert wrong(CompletionSyncV1Request, **{**COMPLETION, field: None}) == [field]

    def test_unknown_fields_are_kept_unless_null(self) -> None:
        request = CompletionSyncV1Request.model_validate({**COMPLETION, "best_of": 2, "min_p": None})
        assert request.model_extra == {"best_of": 2}

    def test_nulls_inside_a_schema_stay(self) -> None:
        request = CompletionSyncV1Request(**COMPLETION, guided_json={"const": None})
        assert request.model_dump(exclude_unset=True)["guided_json"] == {"const": None}


class TestEndpointRequests:
    def test_defaults(self) -> None:
        request = CreateLLMEndpointRequest(**ENDPOINT)
        assert request.inference_framework is LLMInferenceFramework.VLLM
        assert request.source is LLMSource.HUGGING_FACE
        assert (request.inference_framework_image_tag, request.num_shards) == ("latest", 1)
        assert (request.metadata, request.labels, request.public_inference) == ({}, {}, True)

    @pytest.mark.parametrize("kind", [CreateLLMEndpointRequest, UpdateLLMEndpointRequest])
    def test_all_nulls_as_the_published_client_sends_them(self, kind: Any) -> None:
        request = kind(**{**dict.fromkeys(kind.model_fields), **ENDPOINT})
        assert request.model_fields_set == set(ENDPOINT)

    def test_amounts_are_text_or_numbers(self) -> None:
        request = CreateLLMEndpointRequest(**ENDPOINT, cpus=2, memory="1Gi", storage=1.5)
        assert (request.cpus, request.memory, request.storage) == (2, "1Gi", 1.5)

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("min_workers", -1),
            ("max_workers", "1"),
            ("per_worker", 0),
            ("num_shards", 0),
            ("nodes_per_worker", 0),
            ("gpus", -1),
            ("gpus", "1"),
            ("cpus", True),
            ("gpu_type", "nvidia-l4"),
            ("inference_framework", "llama.cpp"),
            ("quantize", "q8_0"),
            ("source", "local"),
            ("endpoint_type", "sync"),
            ("labels", {"team": 1}),
            ("max_model_len", "2048"),
            ("default_callback_url", "ftp://stable"),
            ("default_callback_url", "stable"),
            ("default_callback_url", "http://stable:port/"),
            ("default_callback_auth", {"kind": "bearer"}),
        ],
    )
    def test_wrong_values(self, field: str, value: Any) -> None:
        assert set(wrong(CreateLLMEndpointRequest, **{**ENDPOINT, field: value})) == {field}

    def test_a_callback_is_echoed_as_it_was_sent(self) -> None:
        auth = {"kind": "mtls", "cert": "c", "key": "k"}
        request = CreateLLMEndpointRequest.model_validate(
            {
                **ENDPOINT,
                "default_callback_url": "http://stable.example",
                "default_callback_auth": auth,
            }
        )
        assert isinstance(request.default_callback_auth, CallbackAuth)
        assert isinstance(request.default_callback_auth.root, CallbackmTLSAuth)
        dumped = request.model_dump(mode="json", exclude_unset=True)
        assert dumped["default_callback_url"] == "http://stable.example"
        assert dumped["default_callback_auth"] == auth

    def test_engine_arguments_are_told_from_unknown_fields(self) -> None:
        request = CreateLLMEndpointRequest.model_validate(
            {**ENDPOINT, "max_model_len": 2048, "seed": 1, "wings": 2}
        )
        assert (request.max_model_len, request.seed, request.model_extra) == (2048, 1, {"wings": 2})
        assert set(VLLMEndpointAdditionalArgs.model_fields) >= {"max_model_len", "attention_backend"}


class TestAnswers:
    def test_completion_in_both_shapes(self) -> None:
        older = sync_answer(text=" eats", num_completion_tokens=1)
        assert (older.output.num_prompt_tokens, older.output.tokens) == (None, None)
        tokens = [{"token": " eats", "log_prob": -0.5}]
        newer = sync_answer(text=" eats", num_prompt_tokens=2, num_completion_tokens=1, tokens=tokens)
        assert newer.output.tokens is not None
        assert newer.output.tokens[0].log_prob == -0.5

    def test_absent_tokens_are_written_as_null(self) -> None:
        # The published client expects the field to be there.
        answer = sync_answer(text="", num_completion_tokens=0)
        assert json.loads(answer.model_dump_json())["output"]["tokens"] is None

    def test_stream_events(self) -> None:
        older = stream_answer(output={"text": " eats", "finished": False})
        assert older.output is not None
        assert (older.output.token, older.error) == (None, None)
        error = {"status_code": 500, "content": {"error": "the engine died", "timestamp": "now"}}
        broken = stream_answer(error=error)
        assert broken.error is not None
        assert broken.error.content.error == "the engine died"

    def test_endpoint(self) -> None:
        answer = GetLLMEndpointResponse.model_validate(ANSWER)
        assert answer.status is ModelEndpointStatus.READY
        assert answer.spec is not None
        assert answer.spec.deployment_state is not None
        assert answer.spec.deployment_state.available_workers == 1
        assert answer.spec.resource_state is not None
        assert answer.spec.resource_state.nodes_per_worker == 1

    def test_an_older_endpoint_has_no_spec(self) -> None:
        assert GetLLMEndpointResponse.model_validate({**ANSWER, "spec": None}).spec is None

    def test_unknown_fields_are_kept(self) -> None:
        answer = GetLLMEndpointResponse.model_validate({**ANSWER, "task_types": ["chat"]})
        assert answer.model_extra == {"task_types": ["chat"]}

    def test_words(self) -> None:
        assert GpuType("nvidia-hopper-h100") is GpuType.NVIDIA_HOPPER_H100
        assert [str(each) for each in LLMInferenceFramework] == [
            "deepspeed",
            "text_generation_inference",
            "vllm",
            "lightllm",
            "tensorrt_llm",
        ]
