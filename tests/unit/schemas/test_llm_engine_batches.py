"""Batches and files of the LLM Engine dialect: what is wrong with a request, and the field `model_config`."""

from __future__ import annotations

import copy
import json
import pickle
import time
from typing import Any

import pytest
from pydantic import ValidationError

from paddock.schemas.llm_engine import (
    BatchCompletionsJob,
    BatchCompletionsJobStatus,
    BatchCompletionsModelConfig,
    ChatCompletionV2Response,
    CompletionV2Response,
    CreateBatchCompletionsModelConfig,
    CreateBatchCompletionsV1Request,
    CreateBatchCompletionsV1RequestContent,
    CreateBatchCompletionsV2Request,
    FilteredChatCompletionV2Request,
    FilteredCompletionV2Request,
    GetBatchCompletionV2Response,
)

CONTENT: dict[str, Any] = {"prompts": ["A horse"], "max_new_tokens": 5, "temperature": 0}
REQUEST: dict[str, Any] = {
    "model_config": {"model": "foal"},
    "output_data_path": "answers.json",
    "content": CONTENT,
}
JOB: dict[str, Any] = {
    "job_id": "batch_1",
    "model_config": {"model": "foal", "labels": {"team": "stable"}},
    "output_data_path": "answers.json",
    "status": "queued",
    "created_at": "2025-01-02T03:04:05Z",
    "expires_at": "2025-01-03T03:04:05Z",
}
CHAT: dict[str, Any] = {"messages": [{"role": "user", "content": "Hi"}]}


def wrong(kind: Any, **fields: Any) -> list[str]:
    """Where pydantic finds fault, dotted."""
    with pytest.raises(ValidationError) as caught:
        kind.model_validate_json(json.dumps(fields))
    return [".".join(str(part) for part in detail["loc"]) for detail in caught.value.errors()]


def job(**fields: Any) -> BatchCompletionsJob:
    return BatchCompletionsJob.model_validate({**JOB, **fields})


class TestModelConfig:
    def test_an_instance_has_it_under_both_names(self) -> None:
        found = job()
        config: Any = found.model_config
        assert isinstance(config, BatchCompletionsModelConfig)
        assert config is found.model_settings
        assert config.model == "foal"

    def test_it_is_given_and_written_by_the_dialect_name(self) -> None:
        settings = CreateBatchCompletionsModelConfig(model="foal", labels={"team": "stable"})
        request = CreateBatchCompletionsV1Request(model_config=settings, output_data_path="answers.json")
        config = {"model": "foal", "labels": {"team": "stable"}}
        written = {"model_config": config, "output_data_path": "answers.json"}
        assert request.model_dump(exclude_unset=True) == written
        assert json.loads(request.model_dump_json(exclude_unset=True)) == written

    def test_inside_of_another_type(self) -> None:
        answer = GetBatchCompletionV2Response(job=job())
        assert json.loads(answer.model_dump_json(exclude_unset=True)) == {"job": JOB}

    @pytest.mark.parametrize("by_alias", [True, False, None])
    def test_whatever_is_said_of_aliases(self, by_alias: bool | None) -> None:
        answer = GetBatchCompletionV2Response(job=job())
        assert answer.model_dump(by_alias=by_alias, exclude_unset=True, mode="json") == {"job": JOB}
        assert json.loads(answer.model_dump_json(by_alias=by_alias, exclude_unset=True)) == {"job": JOB}
        assert answer.model_dump(exclude={"job": {"model_settings"}})["job"].get("model_config") is None

    def test_our_name_is_not_the_wire_name(self) -> None:
        fields = {"model_settings": {"model": "foal"}, "output_data_path": "answers.json"}
        assert wrong(CreateBatchCompletionsV1Request, **fields) == ["model_config"]

    def test_copies(self) -> None:
        found = job(request_counts={"total": 2})
        assert copy.deepcopy(found) == found
        assert pickle.loads(pickle.dumps(found)) == found
        changed = found.model_copy(update={"priority": "high", "reason": "why"}, deep=True)
        assert (changed.priority, changed.model_extra) == (
            "high",
            {"request_counts": {"total": 2}, "reason": "why"},
        )
        assert changed.model_settings is not found.model_settings


class TestContent:
    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("prompts", "A horse"),
            ("max_new_tokens", 0),
            ("max_new_tokens", "5"),
            ("temperature", 1.1),
            ("temperature", None),
            ("presence_penalty", 2.1),
            ("frequency_penalty", -0.1),
            ("top_k", -2),
            ("top_p", 0),
            ("stop_sequences", "."),
            ("return_token_log_probs", 1),
            ("skip_special_tokens", 0),
        ],
    )
    def test_wrong_values(self, field: str, value: Any) -> None:
        assert wrong(CreateBatchCompletionsV1RequestContent, **{**CONTENT, field: value}) == [field]

    def test_the_first_prompt_that_is_wrong(self) -> None:
        prompts = ["A horse", 3, *[None] * 1000]
        assert wrong(CreateBatchCompletionsV1RequestContent, **{**CONTENT, "prompts": prompts}) == [
            "prompts.1"
        ]

    def test_unknown_fields_are_kept(self) -> None:
        content = CreateBatchCompletionsV1RequestContent.model_validate({**CONTENT, "guided_regex": "a"})
        assert content.model_extra == {"guided_regex": "a"}

    def test_many_prompts_take_no_time(self) -> None:
        prompts = [f"What does horse number {number} eat?" for number in range(100_000)]
        body = json.dumps({**REQUEST, "content": {**CONTENT, "prompts": prompts}})
        for kind in (CreateBatchCompletionsV1Request, CreateBatchCompletionsV2Request):
            kind.model_validate(REQUEST)
            began = time.process_time()
            request = kind.model_validate_json(body)
            assert time.process_time() - began < 0.5
            assert isinstance(request.content, CreateBatchCompletionsV1RequestContent)
            assert len(request.content.prompts) == 100_000


class TestRequests:
    def test_defaults(self) -> None:
        request = CreateBatchCompletionsV1Request.model_validate(REQUEST)
        assert (request.data_parallelism, request.max_runtime_sec, request.labels) == (1, 86_400, {})
        assert request.model_settings.num_shards == 1

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("model_config", None),
            ("model_config", "foal"),
            ("output_data_path", None),
            ("input_data_path", 3),
            ("data_parallelism", 0),
            ("data_parallelism", 65),
            ("max_runtime_sec", 0),
            ("max_runtime_sec", 172_801),
            ("labels", {"team": 1}),
            ("priority", 1),
            ("gpus", "1"),
            ("gpu_type", "nvidia-l4"),
            ("nodes_per_worker", 1.5),
        ],
    )
    @pytest.mark.parametrize("kind", [CreateBatchCompletionsV1Request, CreateBatchCompletionsV2Request])
    def test_wrong_values(self, kind: Any, field: str, value: Any) -> None:
        assert [where.partition(".")[0] for where in wrong(kind, **{**REQUEST, field: value})] == [field]

    def test_wrong_values_within(self) -> None:
        config = {"model": "foal", "max_context_length": 0}
        assert wrong(CreateBatchCompletionsV2Request, **{**REQUEST, "model_config": config}) == [
            "model_config.max_context_length"
        ]
        tool = {"name": "code_evaluator", "max_iterations": "10"}
        assert wrong(CreateBatchCompletionsV2Request, **REQUEST, tool_config=tool) == [
            "tool_config.max_iterations"
        ]

    @pytest.mark.parametrize(
        ("content", "where"),
        [
            ({**CONTENT, "max_new_tokens": "5"}, "content.max_new_tokens"),
            ("prompts", "content"),
            ([CHAT, {"messages": []}], "content.1.messages"),
            ([CHAT, {"messages": [{"role": "horse", "content": "Hi"}]}], "content.1.messages.0.role"),
            ([CHAT, {"prompt": "A horse"}], "content.1.messages"),
            ([{"prompt": "A horse"}, {**CHAT, "top_p": 0.5}], "content.1.prompt"),
            ([{"prompt": "A horse", "temperature": 2.5}, 3], "content.0.temperature"),
            ([3], "content.0"),
        ],
    )
    def test_only_the_kind_that_is_meant_is_found_fault_with(self, content: Any, where: str) -> None:
        assert wrong(CreateBatchCompletionsV2Request, **{**REQUEST, "content": content}) == [where]

    def test_the_first_version_takes_prompts_only(self) -> None:
        assert wrong(CreateBatchCompletionsV1Request, **{**REQUEST, "content": [CHAT]}) == ["content"]

    def test_rows_that_are_objects_already(self) -> None:
        rows: list[Any] = [FilteredChatCompletionV2Request.model_validate(CHAT)]
        assert CreateBatchCompletionsV2Request.model_validate({**REQUEST, "content": rows}).content == rows
        rows = [FilteredCompletionV2Request(prompt=[1, 2]), FilteredCompletionV2Request(prompt="A horse")]
        assert CreateBatchCompletionsV2Request.model_validate({**REQUEST, "content": rows}).content == rows

    def test_nothing_at_all_is_a_list_of_no_rows(self) -> None:
        assert CreateBatchCompletionsV2Request.model_validate({**REQUEST, "content": []}).content == []


class TestAnswers:
    def test_a_job_may_say_more(self) -> None:
        found = job(request_counts={"total": 2}, reason="the disk is full", status="failed")
        assert found.status is BatchCompletionsJobStatus.Failed
        assert found.model_extra == {"request_counts": {"total": 2}, "reason": "the disk is full"}
        assert (found.completed_at, found.metadata) == (None, None)

    def test_outputs(self) -> None:
        common: dict[str, Any] = {"id": "x", "created": 1, "model": "foal"}
        choice: dict[str, Any] = {"index": 0, "finish_reason": "stop", "logprobs": None}
        text = CompletionV2Response.model_validate(
            {**common, "object": "text_completion", "choices": [{**choice, "text": " hay"}]}
        )
        assert text.choices[0].text == " hay"
        message = {"role": "assistant", "content": "Hay.", "reasoning": "It is a horse."}
        chat = ChatCompletionV2Response.model_validate(
            {**common, "object": "chat.completion", "choices": [{**choice, "message": message}]}
        )
        assert chat.choices[0].message.content == "Hay."
        assert chat.choices[0].message.model_extra == {"reasoning": "It is a horse."}
