"""`FineTune` and `Model.download`, as a user of the published client calls them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

import paddock.clients.llm_engine as llm_engine
from paddock.clients.llm_engine import BatchJobStatus, FineTune, Model, errors
from tests.unit.clients.server import Respond, Server

Serve = Callable[..., Server]
PATH = "/llm-engine/v1/llm/fine-tunes"
JOB = {"id": "ft-1", "fine_tuned_model": "foal.hay.250102-030405", "status": "SUCCESS"}
EVENT = {"timestamp": 1689665099.67, "message": "{'loss': 2.1, 'epoch': 0.7}", "level": "info"}
REFERENCE = [
    "CancelFineTuneResponse",
    "CompletionOutput",
    "CompletionStreamOutput",
    "CompletionStreamResponse",
    "CompletionSyncResponse",
    "CreateBatchCompletionsModelConfig",
    "CreateBatchCompletionsRequest",
    "CreateBatchCompletionsRequestContent",
    "CreateBatchCompletionsResponse",
    "CreateFineTuneResponse",
    "DeleteFileResponse",
    "DeleteLLMEndpointResponse",
    "GetFileContentResponse",
    "GetFileResponse",
    "GetFineTuneResponse",
    "GetLLMEndpointResponse",
    "ListFilesResponse",
    "ListFineTunesResponse",
    "ListLLMEndpointsResponse",
    "ModelDownloadRequest",
    "ModelDownloadResponse",
    "UploadFileResponse",
]


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


@pytest.mark.parametrize("name", REFERENCE)
def test_every_name_of_the_reference(name: str) -> None:
    assert isinstance(getattr(llm_engine, name), type)
    assert getattr(llm_engine.data_types, name) is getattr(llm_engine, name)
    assert name in llm_engine.__all__


class TestCreate:
    def test_only_what_must_be_given(self, serve: Serve) -> None:
        server = serve(answering({"id": "ft-1"}))
        assert FineTune.create("paddock/foal", "file-1").id == "ft-1"
        sent = server.exchanges[0]
        assert (sent.method, sent.path) == ("POST", PATH)
        assert sent.json() == {"model": "paddock/foal", "training_file": "file-1"}

    def test_every_argument(self, serve: Serve) -> None:
        server = serve(answering({"id": "ft-1"}))
        arguments = {
            "model": "paddock/foal",
            "training_file": "file-1",
            "validation_file": "https://stable.example/rows.csv",
            "hyperparameters": {"lr": 0.002, "epochs": 3, "peft_config": {"r": 8, "target_modules": None}},
            "wandb_config": {"api_key": "secret", "base_url": None},
            "suffix": "my-Experiment-2",
        }
        FineTune.create(**arguments, request_headers={"x-team": "stable"}, timeout=5)  # type: ignore[arg-type]
        assert server.exchanges[0].json() == arguments
        assert server.exchanges[0].headers["x-team"] == "stable"

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            ({"model": 3}, "model must be a valid string, not 3"),
            ({"training_file": ""}, "training_file String should have at least 1 character, not ''"),
            ({"hyperparameters": "fast"}, "hyperparameters must be a valid dictionary"),
            ({"wandb_config": ["secret"]}, "wandb_config must be an object"),
            (
                {"suffix": "my_model"},
                "suffix must be 1 to 28 letters .A-Z, a-z., digits and hyphens, not 'my_model'",
            ),
        ],
    )
    def test_what_is_wrong_is_said_before_it_is_sent(
        self, serve: Serve, arguments: dict[str, Any], said: str
    ) -> None:
        server = serve(answering({"id": "ft-1"}))
        with pytest.raises(errors.ValidationError, match=said):
            FineTune.create(**{"model": "paddock/foal", "training_file": "file-1", **arguments})
        assert server.exchanges == []

    def test_what_the_server_refuses(self, serve: Serve) -> None:
        serve(answering({"detail": "hyperparameters.lr must be above 0, not -1"}, 400))
        with pytest.raises(errors.BadRequestError, match="lr must be above 0"):
            FineTune.create("paddock/foal", "file-1", hyperparameters={"lr": -1})


class TestJobs:
    def test_get_and_list(self, serve: Serve) -> None:
        running = {"id": "ft-2", "status": "RUNNING", "progress": 0.25, "suffix": "hay", "eta": 30}
        server = serve(answering(JOB), answering({"jobs": [JOB, running]}))
        found = FineTune.get("ft-1")
        assert (found.fine_tuned_model, found.status) == (JOB["fine_tuned_model"], BatchJobStatus.SUCCESS)
        assert (found.progress, found.suffix, found.reason) == (None, None, None)
        second = FineTune.list().jobs[1]
        assert (second.fine_tuned_model, second.progress, second.suffix) == (None, 0.25, "hay")
        assert second.model_extra == {"eta": 30}
        paths = [f"{sent.method} {sent.path}" for sent in server.exchanges]
        assert paths == [f"GET {PATH}/ft-1", f"GET {PATH}"]

    def test_a_server_that_says_no_status(self, serve: Serve) -> None:
        serve(answering({"id": "ft-1", "fine_tuned_model": None}))
        assert FineTune.get("ft-1").status is None

    def test_a_status_that_nobody_knows(self, serve: Serve) -> None:
        serve(answering({"id": "ft-1", "status": "GALLOPING"}))
        with pytest.raises(errors.UnknownError, match="PENDING"):
            FineTune.get("ft-1")

    def test_cancel(self, serve: Serve) -> None:
        server = serve(answering({"success": True}), answering({"success": False}))
        assert [FineTune.cancel("ft-1").success, FineTune.cancel("ft-1").success] == [True, False]
        sent = server.exchanges[0]
        assert (sent.method, sent.path, sent.body) == ("PUT", f"{PATH}/ft-1/cancel", b"")

    def test_events(self, serve: Serve) -> None:
        server = serve(answering({"events": [EVENT, {"message": "done", "level": "info"}]}))
        first, second = FineTune.get_events("ft-1").events
        assert (first.timestamp, first.level) == (1689665099.67, "info")
        assert (second.timestamp, second.message) == (None, "done")
        assert server.exchanges[0].line == f"GET {PATH}/ft-1/events HTTP/1.1"

    def test_no_such_job(self, serve: Serve) -> None:
        serve(answering({"detail": "there is no fine-tune 'ft-9'"}, 404))
        calls: list[Callable[[str], Any]] = [FineTune.get, FineTune.cancel, FineTune.get_events]
        for call in calls:
            with pytest.raises(errors.NotFoundError, match="no fine-tune 'ft-9'"):
                call("ft-9")

    @pytest.mark.parametrize("fine_tune_id", ["", ".", "..", None, 3])
    def test_what_is_no_id(self, fine_tune_id: Any) -> None:
        calls: list[Callable[[Any], Any]] = [FineTune.get, FineTune.cancel, FineTune.get_events]
        for call in calls:
            with pytest.raises(errors.ValidationError, match="fine_tune_id must be an ID"):
                call(fine_tune_id)

    def test_an_id_stays_one_part_of_the_path(self, serve: Serve) -> None:
        server = serve(answering(JOB))
        FineTune.get("ft-1/../x?y")
        assert server.exchanges[0].path == f"{PATH}/ft-1%2F..%2Fx%3Fy"


class TestDownload:
    def test_as_published(self, serve: Serve) -> None:
        urls = {"adapter_model.safetensors": "http://stable.example/1?signature=x"}
        server = serve(answering({"urls": urls}))
        assert Model.download("foal.hay.250102-030405").urls == urls
        sent = server.exchanges[0]
        assert (sent.method, sent.path) == ("POST", "/llm-engine/v1/llm/model-endpoints/download")
        name = "foal.hay.250102-030405"
        assert sent.json() == {"model_name": name, "download_format": "hugging_face"}

    def test_another_format(self, serve: Serve) -> None:
        server = serve(answering({"urls": {}}))
        assert Model.download("pony", download_format="gguf", timeout=5).urls == {}
        assert server.exchanges[0].json() == {"model_name": "pony", "download_format": "gguf"}

    @pytest.mark.parametrize("name", ["", 3, None])
    def test_what_is_no_name(self, serve: Serve, name: Any) -> None:
        server = serve(answering({"urls": {}}))
        with pytest.raises(errors.ValidationError, match="model_name"):
            Model.download(name)
        assert server.exchanges == []

    def test_no_such_model(self, serve: Serve) -> None:
        serve(answering({"detail": "there is no model 'pony'"}, 404))
        with pytest.raises(errors.NotFoundError, match="no model 'pony'"):
            Model.download("pony")
