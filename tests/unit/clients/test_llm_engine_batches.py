"""`Completion.batch_create` and what asks after its jobs, as a user of the published client calls them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

import paddock.clients.llm_engine as llm_engine
from paddock.clients.llm_engine import (
    BatchCompletionsJob,
    BatchCompletionsJobStatus,
    Completion,
    CreateBatchCompletionsModelConfig,
    CreateBatchCompletionsRequestContent,
    CreateBatchCompletionsV1Response,
    FilteredChatCompletionV2Request,
    FilteredCompletionV2Request,
    GetBatchCompletionV2Response,
    ToolConfig,
    errors,
)
from tests.unit.clients.server import Exchange, Respond, Server

Serve = Callable[..., Server]
CONFIG = CreateBatchCompletionsModelConfig(model="foal", labels={"team": "stable"})
CONTENT = CreateBatchCompletionsRequestContent(prompts=["A horse", "A goat"], max_new_tokens=5, temperature=0)
SENT = {"prompts": ["A horse", "A goat"], "max_new_tokens": 5, "temperature": 0.0}
CHAT: Any = {"messages": [{"role": "user", "content": "Hi"}], "logprobs": True}
JOB = {
    "job_id": "batch_1",
    "input_data_path": None,
    "output_data_path": "answers.json",
    "model_config": {"model": "foal"},
    "status": "running",
    "created_at": "2025-01-02T03:04:05Z",
    "expires_at": "2025-01-03T03:04:05Z",
    "completed_at": None,
    "metadata": None,
    "request_counts": {"total": 2, "completed": 1, "failed": 0},
}


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Starts a server and points the client to it."""
    with ExitStack() as stack:

        def start(*responses: Respond) -> Server:
            server = stack.enter_context(Server(*responses))
            monkeypatch.setattr(llm_engine, "base_url", server.url + "/llm-engine/")
            return server

        yield start


def answering(body: Any, status: int = 200) -> Respond:
    return lambda exchange: exchange.answer(body, status)


class TestCreate:
    def test_the_first_version(self, serve: Serve) -> None:
        server = serve(answering({"job_id": "batch_1"}))
        response = Completion.batch_create("answers.json", CONFIG, CONTENT)
        assert isinstance(response, CreateBatchCompletionsV1Response)
        assert response.job_id == "batch_1"
        sent = server.exchanges[0]
        assert (sent.method, sent.path) == ("POST", "/llm-engine/v1/llm/batch-completions")
        assert sent.json() == {
            "model_config": {"model": "foal", "labels": {"team": "stable"}},
            "content": SENT,
            "output_data_path": "answers.json",
            "data_parallelism": 1,
            "max_runtime_sec": 86_400,
            "labels": {"team": "stable"},
        }

    def test_every_argument(self, serve: Serve) -> None:
        server = serve(answering({"job_id": "batch_1"}))
        Completion.batch_create(
            output_data_path="answers.json",
            model_config=CONFIG,
            input_data_path="file-1",
            data_parallelism=2,
            max_runtime_sec=60,
            labels={"team": "other"},
            priority="high",
            tool_config=ToolConfig(name="code_evaluator"),
            cpus=2,
            gpus=1,
            memory="1Gi",
            gpu_type="nvidia-tesla-t4",
            storage=1.5,
            nodes_per_worker=1,
            something_new=True,
        )
        assert server.exchanges[0].json() == {
            "model_config": {"model": "foal", "labels": {"team": "stable"}},
            "input_data_path": "file-1",
            "output_data_path": "answers.json",
            "data_parallelism": 2,
            "max_runtime_sec": 60,
            "labels": {"team": "other"},
            "priority": "high",
            "tool_config": {"name": "code_evaluator"},
            "cpus": 2,
            "gpus": 1,
            "memory": "1Gi",
            "gpu_type": "nvidia-tesla-t4",
            "storage": 1.5,
            "nodes_per_worker": 1,
            "something_new": True,
        }

    @pytest.mark.parametrize(
        ("content", "sent"),
        [
            ([FilteredChatCompletionV2Request(**CHAT)], [CHAT]),
            ([FilteredCompletionV2Request(prompt="A horse", top_k=1)], [{"prompt": "A horse", "top_k": 1}]),
            (CONTENT, SENT),
            ([CHAT], [CHAT]),
        ],
        ids=["chat", "completions", "prompts", "dictionaries"],
    )
    def test_the_second_version(self, serve: Serve, content: Any, sent: Any) -> None:
        server = serve(answering(JOB))
        response = Completion.batch_create("answers.json", CONFIG, content, use_v2=True)
        assert isinstance(response, BatchCompletionsJob)
        assert (response.job_id, response.status) == ("batch_1", BatchCompletionsJobStatus.Running)
        assert response.model_settings.model == "foal"
        assert server.exchanges[0].path == "/llm-engine/v2/batch-completions"
        assert server.exchanges[0].json()["content"] == sent

    def test_wrong_arguments_send_nothing(self, serve: Serve) -> None:
        server = serve(answering({"job_id": "batch_1"}))
        not_messages: Any = [{"messages": 3}]
        calls: dict[str, Callable[[], Any]] = {
            "either content or input_data_path must be given": lambda: Completion.batch_create("a", CONFIG),
            "data_parallelism must be less than or equal to 64": lambda: Completion.batch_create(
                "a", CONFIG, CONTENT, data_parallelism=65
            ),
            "content must be a valid dictionary": lambda: Completion.batch_create(
                "a", CONFIG, [FilteredChatCompletionV2Request(**CHAT)]
            ),
            "content.0.messages must": lambda: Completion.batch_create(
                "a",
                CONFIG,
                not_messages,
                use_v2=True,
            ),
            "model_config must": lambda: Completion.batch_create("a", "foal", CONTENT),  # type: ignore[arg-type]
        }
        for said, call in calls.items():
            with pytest.raises(errors.ValidationError) as caught:
                call()
            assert str(caught.value).startswith(said)
        assert server.exchanges == []

    def test_it_is_not_sent_twice(self, serve: Serve) -> None:
        server = serve(Exchange.hang_up)
        with pytest.raises(errors.APIConnectionError):
            Completion.batch_create("answers.json", CONFIG, CONTENT)
        assert len(server.exchanges) == 1

    def test_refused(self, serve: Serve) -> None:
        serve(answering({"detail": "output_data_path: there is a file 'answers.json'"}, 400))
        with pytest.raises(errors.BadRequestError, match="there is a file"):
            Completion.batch_create("answers.json", CONFIG, CONTENT)


class TestJobs:
    def test_get(self, serve: Serve) -> None:
        server = serve(answering({"job": JOB}))
        answer = Completion.get_batch_completion("batch_1", request_headers={"x-api-key": "mine"})
        assert answer == {"job": JOB}
        job = GetBatchCompletionV2Response.model_validate(answer).job
        assert job.model_extra == {"request_counts": JOB["request_counts"]}
        sent = server.exchanges[0]
        assert (sent.method, sent.path) == ("GET", "/llm-engine/v2/batch-completions/batch_1")
        assert sent.headers["x-api-key"] == "mine"

    def test_cancel(self, serve: Serve) -> None:
        server = serve(answering({"success": True}))
        assert Completion.cancel_batch_completion("batch 1/?") == {"success": True}
        sent = server.exchanges[0]
        assert (sent.method, sent.json()) == ("POST", {})
        assert sent.path == "/llm-engine/v2/batch-completions/batch%201%2F%3F/actions/cancel"

    @pytest.mark.parametrize("job_id", ["", ".", "..", None])
    def test_what_is_no_id(self, serve: Serve, job_id: Any) -> None:
        server = serve(answering({}))
        for method in (Completion.get_batch_completion, Completion.cancel_batch_completion):
            with pytest.raises(errors.ValidationError, match="job_id must be an ID"):
                method(job_id)
        assert server.exchanges == []

    def test_an_answer_that_is_no_object(self, serve: Serve) -> None:
        serve(answering([JOB]))
        with pytest.raises(errors.UnknownError, match="not understood"):
            Completion.get_batch_completion("batch_1")
