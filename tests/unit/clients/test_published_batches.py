"""What the published client's batch types write parses here, and what ours write parses there."""

from __future__ import annotations

import json
import os
import sys
import warnings
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
    theirs = pytest.importorskip("llmengine.data_types")

PROMPTS = {"prompts": ["A horse", "A goat"], "max_new_tokens": 5, "temperature": 0.5, "top_k": 3}
CHAT = [{"role": "system", "content": "Be short."}, {"role": "user", "content": "Hi"}]
JOB = {
    "job_id": "batch_1",
    "output_data_path": "answers.json",
    "model_config": {"model": "foal", "labels": {"team": "stable"}, "seed": 3},
    "status": "running",
    "created_at": "2025-01-02T03:04:05Z",
    "expires_at": "2025-01-03T03:04:05Z",
}


def sent(request: Any) -> str:
    """What the published client puts on the wire."""
    return json.dumps(request.dict())


def v2(**fields: Any) -> ours.CreateBatchCompletionsV2Request:
    """A request as the published client sends it and this side reads it."""
    config = theirs.CreateBatchCompletionsModelConfig(model="foal", seed=3)
    request = theirs.CreateBatchCompletionsV2Request(model_config=config, output_data_path="a.json", **fields)
    return ours.CreateBatchCompletionsV2Request.model_validate_json(sent(request))


class TestWhatItSends:
    def test_the_first_version(self) -> None:
        config = theirs.CreateBatchCompletionsModelConfig(model="foal", labels={"team": "stable"}, seed=3)
        content = theirs.CreateBatchCompletionsRequestContent(**PROMPTS)
        tool = theirs.ToolConfig(name="code_evaluator")
        request = ours.CreateBatchCompletionsV1Request.model_validate_json(
            sent(
                theirs.CreateBatchCompletionsV1Request(
                    model_config=config, content=content, output_data_path="a.json", tool_config=tool
                )
            )
        )
        assert request.model_settings.labels == {"team": "stable"}
        assert (request.model_settings.model, request.model_settings.seed) == ("foal", 3)
        assert request.content is not None
        said = request.content.model_dump(exclude_unset=True)
        assert {name: said[name] for name in PROMPTS} == PROMPTS
        assert request.tool_config is not None
        assert request.tool_config.max_iterations == 10
        assert request.model_extra == request.content.model_extra == request.model_settings.model_extra == {}
        # Its nulls count as not sent.
        assert not {"priority", "cpus", "input_data_path"} & request.model_fields_set

    def test_chat_requests(self) -> None:
        row = theirs.FilteredChatCompletionV2Request(
            messages=CHAT, max_tokens=5, stop=["."], logprobs=True, guided_regex="a+"
        )
        request = v2(content=[row, row], labels={"team": "stable"}, priority="high")
        assert isinstance(request.content, list)
        assert [type(each) for each in request.content] == [ours.FilteredChatCompletionV2Request] * 2
        said = request.content[0]
        assert isinstance(said, ours.FilteredChatCompletionV2Request)
        assert [message["content"] for message in said.messages] == ["Be short.", "Hi"]
        assert (said.max_tokens, said.stop, said.logprobs, said.guided_regex) == (5, ["."], True, "a+")
        assert (said.model, said.model_extra) == (None, {})
        assert (request.labels, request.priority) == ({"team": "stable"}, "high")

    def test_completion_requests(self) -> None:
        request = v2(content=[theirs.FilteredCompletionV2Request(prompt=p) for p in ("A horse", ["A", "B"])])
        assert isinstance(request.content, list)
        rows = [each for each in request.content if isinstance(each, ours.FilteredCompletionV2Request)]
        assert [row.prompt for row in rows] == ["A horse", ["A", "B"]]
        assert [row.max_tokens for row in rows] == [16, 16]

    def test_prompts_in_the_second_version(self) -> None:
        content = v2(content=theirs.CreateBatchCompletionsV1RequestContent(**PROMPTS)).content
        assert isinstance(content, ours.CreateBatchCompletionsV1RequestContent)
        assert content.prompts == PROMPTS["prompts"]

    def test_a_path(self) -> None:
        request = v2(input_data_path="file-1")
        assert (request.input_data_path, request.content) == ("file-1", None)


class TestWhatItReads:
    def test_a_job(self) -> None:
        job = ours.BatchCompletionsJob.model_validate({**JOB, "request_counts": {"total": 2}})
        answer = ours.GetBatchCompletionV2Response(job=job).model_dump_json()
        parsed = theirs.GetBatchCompletionV2Response.parse_raw(answer).job
        assert (parsed.job_id, parsed.status.value, parsed.completed_at) == ("batch_1", "running", None)
        assert (parsed.model_config.model, parsed.model_config.seed) == ("foal", 3)
        listed = ours.ListBatchCompletionV2Response(jobs=[job, job]).model_dump_json()
        assert len(theirs.ListBatchCompletionV2Response.parse_raw(listed).jobs) == 2
        assert theirs.CreateBatchCompletionsV2Response.parse_raw(job.model_dump_json()).job_id == "batch_1"
        updated = ours.UpdateBatchCompletionsV2Response.model_validate({**JOB, "success": True})
        assert theirs.UpdateBatchCompletionsV2Response.parse_raw(updated.model_dump_json()).success

    @pytest.mark.parametrize(
        ("name", "fields"),
        [
            ("CreateBatchCompletionsV1Response", {"job_id": "batch_1"}),
            ("CancelBatchCompletionsV2Response", {"success": True}),
            ("UploadFileResponse", {"id": "file-1"}),
            ("GetFileResponse", {"id": "file-1", "filename": "a.json", "size": 3}),
            ("GetFileContentResponse", {"id": "file-1", "content": "[1]"}),
            ("ListFilesResponse", {"files": [{"id": "file-1", "filename": "a.json", "size": 3}]}),
            ("DeleteFileResponse", {"deleted": True}),
        ],
    )
    def test_answers(self, name: str, fields: dict[str, Any]) -> None:
        answer = getattr(ours, name).model_validate(fields)
        assert getattr(theirs, name).parse_raw(answer.model_dump_json()).dict() == fields

    def test_requests_of_ours_are_requests_of_theirs(self) -> None:
        config = ours.CreateBatchCompletionsModelConfig(model="foal", labels={"team": "stable"})
        request = ours.CreateBatchCompletionsV1Request(
            model_config=config,
            output_data_path="a.json",
            content=ours.CreateBatchCompletionsRequestContent(
                prompts=["A horse"], max_new_tokens=5, temperature=0
            ),
        )
        parsed = theirs.CreateBatchCompletionsV1Request.parse_raw(request.model_dump_json())
        assert (parsed.model_config.labels, parsed.content.prompts) == ({"team": "stable"}, ["A horse"])
        rows = [
            ours.FilteredChatCompletionV2Request.model_validate({"messages": CHAT, "seed": n}) for n in (1, 2)
        ]
        second = ours.CreateBatchCompletionsV2Request(
            model_config=config, output_data_path="a.json", content=rows
        )
        wire = second.model_dump_json(exclude_unset=True)
        assert [row.seed for row in theirs.CreateBatchCompletionsV2Request.parse_raw(wire).content] == [1, 2]
