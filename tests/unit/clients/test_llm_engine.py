"""What a user of the published LLM Engine client relies on, on both sides."""

from __future__ import annotations

import asyncio
import base64
import inspect
import pickle
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

import paddock.clients.llm_engine as llm_engine
from paddock.clients.llm_engine import (
    Completion,
    CompletionStreamResponse,
    CompletionSyncResponse,
    LLMInferenceFramework,
    Model,
    ModelEndpointStatus,
    PostInferenceHooks,
    errors,
)
from paddock.settings import llm_engine_defaults
from tests.unit.clients.server import Exchange, Respond, Server

Serve = Callable[..., Server]
HI = "A horse eats"
OUTPUT = {"text": " hay.", "num_prompt_tokens": 3, "num_completion_tokens": 2, "tokens": None}
COMPLETION = {"request_id": "req-7", "output": OUTPUT}
TASK = {"endpoint_creation_task_id": "task-1"}
ENDPOINT = {
    "id": "end-1",
    "name": "stable/pony",
    "model_name": "paddock/foal",
    "source": "hugging_face",
    "status": "READY",
    "inference_framework": "vllm",
    "spec": None,
}
DEFAULTS = {"prompt": HI, "max_new_tokens": 20, "temperature": 0.2, "return_token_log_probs": False}


class Sync:
    """`create` as it is."""

    def create(self, *args: Any, **kwargs: Any) -> Any:
        return Completion.create(*args, **kwargs)

    def pieces(self, *args: Any, **kwargs: Any) -> list[Any]:
        return list(Completion.create(*args, stream=True, **kwargs))

    def first_piece(self, *args: Any, **kwargs: Any) -> Any:
        """The first piece of a stream that is then abandoned."""
        for piece in Completion.create(*args, stream=True, **kwargs):
            return piece
        return None


class Async:
    """`acreate`, each call in an event loop of its own."""

    def create(self, *args: Any, **kwargs: Any) -> Any:
        return asyncio.run(Completion.acreate(*args, **kwargs))

    def pieces(self, *args: Any, **kwargs: Any) -> list[Any]:
        async def collect() -> list[Any]:
            return [piece async for piece in await Completion.acreate(*args, stream=True, **kwargs)]

        return asyncio.run(collect())

    def first_piece(self, *args: Any, **kwargs: Any) -> Any:
        async def first() -> Any:
            stream = await Completion.acreate(*args, stream=True, **kwargs)
            piece = await anext(stream)
            await stream.aclose()
            return piece

        return asyncio.run(first())


Side = Sync | Async


@pytest.fixture(params=[Sync(), Async()], ids=["sync", "async"])
def side(request: pytest.FixtureRequest) -> Side:
    return request.param


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Starts a server and points the client to it."""
    with ExitStack() as stack:

        def start(*responses: Respond) -> Server:
            server = stack.enter_context(Server(*responses))
            monkeypatch.setattr(llm_engine, "base_url", server.url + "/llm-engine/")
            return server

        yield start


def answering(body: Any, status: int = 200, **headers: str) -> Respond:
    return lambda exchange: exchange.answer(body, status, **headers)


def event(text: str, finished: bool = False, **more: Any) -> dict[str, Any]:
    return {"request_id": "req-7", "output": {"text": text, "finished": finished, **more}, "error": None}


def streaming(*events: Any) -> Respond:
    def respond(exchange: Exchange) -> None:
        exchange.begin_stream()
        for each in events:
            exchange.event(each)
        # This dialect's streams end without a mark of their own.
        exchange.send(b"0\r\n\r\n")

    return respond


def hanging_up(exchange: Exchange) -> None:
    exchange.hang_up()


class TestCompletion:
    def test_defaults(self, side: Side, serve: Serve) -> None:
        server = serve(answering(COMPLETION))
        response = side.create("pony", HI)
        assert isinstance(response, CompletionSyncResponse)
        assert (response.output.text, response.output.num_completion_tokens) == (" hay.", 2)
        sent = server.exchanges[0]
        assert sent.line.startswith("POST /llm-engine/v1/llm/completions-sync?model_endpoint_name=pony ")
        assert sent.json() == DEFAULTS

    def test_every_argument(self, side: Side, serve: Serve) -> None:
        server = serve(answering(COMPLETION))
        given: dict[str, Any] = {
            "max_new_tokens": 3,
            "temperature": 1,
            "stop_sequences": ["."],
            "return_token_log_probs": True,
            "presence_penalty": 0.5,
            "frequency_penalty": 1.5,
            "top_k": -1,
            "top_p": 0.9,
            "include_stop_str_in_output": True,
            "guided_json": {"type": "object", "default": None},
            "guided_regex": "Sean.*",
            "guided_choice": ["hay", "oats"],
            "guided_grammar": 'start: "John"',
            "skip_special_tokens": False,
            "something_new": 1,
        }
        side.create("pony", HI, **given)
        assert server.exchanges[0].json() == {"prompt": HI, **given}

    def test_by_position_as_published(self, serve: Serve) -> None:
        server = serve(answering(COMPLETION))
        Completion.create("pony", HI, 3, 0.5, ["."], True)
        sent = server.exchanges[0].json()
        assert (sent["max_new_tokens"], sent["temperature"], sent["stop_sequences"]) == (3, 0.5, ["."])

    def test_the_name_is_encoded(self, side: Side, serve: Serve) -> None:
        server = serve(answering(COMPLETION))
        side.create("stable/my pony&x=1", HI)
        assert server.exchanges[0].path.partition("?")[2] in (
            "model_endpoint_name=stable/my+pony%26x%3D1",
            "model_endpoint_name=stable%2Fmy+pony%26x%3D1",
        )

    def test_tokens(self, side: Side, serve: Serve) -> None:
        output = {**OUTPUT, "tokens": [{"token": " hay", "log_prob": -0.5}]}
        serve(answering({**COMPLETION, "output": output}))
        assert side.create("pony", HI).output.tokens[0].log_prob == -0.5

    def test_the_older_shape(self, side: Side, serve: Serve) -> None:
        serve(answering({"request_id": "r", "output": {"text": "", "num_completion_tokens": 0}}))
        assert side.create("pony", HI).output.num_prompt_tokens is None

    def test_request_headers(self, side: Side, serve: Serve) -> None:
        server = serve(answering(COMPLETION))
        side.create("pony", HI, request_headers={"X-Api-Key": "mine", "traceparent": "00-1"})
        headers = server.exchanges[0].headers
        assert (headers["x-api-key"], headers["traceparent"]) == ("mine", "00-1")


class TestStream:
    def test_pieces(self, side: Side, serve: Serve) -> None:
        last = event(".", True, num_prompt_tokens=3, num_completion_tokens=2)
        server = serve(streaming(event(" hay"), last))
        pieces = side.pieces("pony", HI)
        assert all(isinstance(piece, CompletionStreamResponse) for piece in pieces)
        assert "".join(piece.output.text for piece in pieces) == " hay."
        assert [piece.output.finished for piece in pieces] == [False, True]
        assert pieces[-1].output.num_completion_tokens == 2
        sent = server.exchanges[0]
        assert sent.path == "/llm-engine/v1/llm/completions-stream?model_endpoint_name=pony"
        assert sent.json() == DEFAULTS
        assert sent.headers["accept"] == "text/event-stream"

    def test_kinds(self, serve: Serve) -> None:
        serve(streaming(event("x")))
        assert inspect.isgenerator(Completion.create("pony", HI, stream=True))

        async def kind() -> bool:
            return inspect.isasyncgen(await Completion.acreate("pony", HI, stream=True))

        assert asyncio.run(kind())

    def test_connections_are_used_again(self, serve: Serve) -> None:
        server = serve(streaming(event("x", True)))
        for _ in range(3):
            list(Completion.create("pony", HI, stream=True))
        assert (server.connections, len(server.exchanges)) == (1, 3)

    @pytest.mark.parametrize(
        ("status", "kind"),
        [(500, errors.ServerError), (429, errors.RateLimitExceededError), (400, errors.BadRequestError)],
    )
    def test_error_in_the_middle(
        self, status: int, kind: type[errors.LLMEngineError], side: Side, serve: Serve
    ) -> None:
        content = {"error": "the engine died", "timestamp": "2025-01-02 03:04:05"}
        broken = {
            "request_id": "req-7",
            "output": None,
            "error": {"status_code": status, "content": content},
        }
        serve(streaming(event(" hay"), broken))
        with pytest.raises(kind, match=rf"the engine died \(status {status}, request req-7\)") as caught:
            side.pieces("pony", HI)
        assert caught.value.body == broken

    def test_abandoned_stream_closes_its_connection(self, side: Side, serve: Serve) -> None:
        closed: list[bool] = []

        def respond(exchange: Exchange) -> None:
            exchange.begin_stream()
            exchange.event(event(" hay"))
            closed.append(exchange.wait_for_close())

        with serve(respond):
            assert side.first_piece("pony", HI).output.text == " hay"
        assert closed == [True]

    def test_refused(self, side: Side, serve: Serve) -> None:
        serve(answering({"detail": "there is no model 'pony'"}, 404))
        with pytest.raises(errors.NotFoundError, match="no model 'pony'"):
            side.pieces("pony", HI)

    def test_lost_in_the_middle(self, side: Side, serve: Serve) -> None:
        def respond(exchange: Exchange) -> None:
            exchange.begin_stream()
            exchange.event(event(" hay"))
            exchange.hang_up()

        server = serve(respond)
        with pytest.raises(errors.APIConnectionError, match=server.url):
            side.pieces("pony", HI)
        assert len(server.exchanges) == 1


class TestModel:
    def test_create(self, serve: Serve) -> None:
        server = serve(answering(TASK))
        response = Model.create("stable/pony", "paddock/foal", memory="1Gi", max_model_len=2048)
        assert response.endpoint_creation_task_id == "task-1"
        sent = server.exchanges[0]
        assert (sent.method, sent.path) == ("POST", "/llm-engine/v1/llm/model-endpoints")
        assert sent.json() == {
            "name": "stable/pony",
            "model_name": "paddock/foal",
            "inference_framework_image_tag": "latest",
            "source": "hugging_face",
            "inference_framework": "vllm",
            "num_shards": 1,
            "max_model_len": 2048,
            "memory": "1Gi",
            "nodes_per_worker": 1,
            "min_workers": 0,
            "max_workers": 1,
            "per_worker": 2,
            "endpoint_type": "streaming",
            "high_priority": False,
            "public_inference": True,
            "labels": {},
            "metadata": {},
        }

    def test_create_with_words_of_the_dialect(self, serve: Serve) -> None:
        server = serve(answering(TASK))
        Model.create(
            name="pony",
            model="foal",
            inference_framework_image_tag="1.0",
            inference_framework=LLMInferenceFramework.LIGHTLLM,
            quantize="awq",
            gpu_type="nvidia-hopper-h100",
            gpus=1,
            post_inference_hooks=[PostInferenceHooks.CALLBACK],
            default_callback_url="http://stable.example/hook",
            labels={"team": "stable"},
            metadata={"note": 1},
            chat_template_override="{{ messages }}",
        )
        sent = server.exchanges[0].json()
        assert (sent["inference_framework"], sent["quantize"]) == ("lightllm", "awq")
        assert (sent["gpu_type"], sent["post_inference_hooks"]) == ("nvidia-hopper-h100", ["callback"])
        assert (sent["labels"], sent["metadata"]) == ({"team": "stable"}, {"note": 1})
        assert sent["chat_template_override"] == "{{ messages }}"

    @pytest.mark.parametrize("name", ["pony", "stable/pony", "my pony?", "ponyä"])
    def test_get(self, name: str, serve: Serve) -> None:
        server = serve(answering({**ENDPOINT, "name": name}))
        found = Model.get(name)
        assert (found.name, found.status) == (name, ModelEndpointStatus.READY)
        path = {"my pony?": "my%20pony%3F", "ponyä": "pony%C3%A4"}.get(name, name)
        assert server.exchanges[0].line == f"GET /llm-engine/v1/llm/model-endpoints/{path} HTTP/1.1"

    def test_list(self, serve: Serve) -> None:
        server = serve(answering({"model_endpoints": [ENDPOINT, ENDPOINT]}))
        assert [each.model_name for each in Model.list().model_endpoints] == ["paddock/foal"] * 2
        assert server.exchanges[0].line == "GET /llm-engine/v1/llm/model-endpoints HTTP/1.1"

    def test_update_sends_what_changes(self, serve: Serve) -> None:
        server = serve(answering(TASK))
        Model.update("stable/pony", max_workers=3, force_bundle_recreation=True)
        sent = server.exchanges[0]
        assert (sent.method, sent.path) == ("PUT", "/llm-engine/v1/llm/model-endpoints/stable/pony")
        assert sent.json() == {"max_workers": 3, "force_bundle_recreation": True}

    def test_delete(self, serve: Serve) -> None:
        server = serve(answering({"deleted": True}))
        assert Model.delete("pony", request_headers={"traceparent": "00-1"}).deleted is True
        sent = server.exchanges[0]
        assert (sent.method, sent.path) == ("DELETE", "/llm-engine/v1/llm/model-endpoints/pony")
        assert sent.headers["traceparent"] == "00-1"


class TestErrors:
    @pytest.mark.parametrize(
        ("status", "kind"),
        [
            (400, errors.BadRequestError),
            (401, errors.UnauthorizedError),
            (403, errors.UnknownError),
            (404, errors.NotFoundError),
            (409, errors.UnknownError),
            (429, errors.RateLimitExceededError),
            (500, errors.ServerError),
            (502, errors.ServerError),
            (503, errors.ServerError),
            (507, errors.ServerError),
        ],
    )
    @pytest.mark.usefixtures("quick_retries")
    def test_by_status(
        self, status: int, kind: type[errors.LLMEngineError], side: Side, serve: Serve
    ) -> None:
        body = {"detail": "that is not possible"}
        serve(answering(body, status, x_request_id="req-1", retry_after="0"))
        with pytest.raises(errors.LLMEngineError) as caught:
            side.create("pony", HI)
        error = caught.value
        assert type(error) is kind
        assert (error.args, error.body, error.retry_after) == (("that is not possible",), body, 0)
        assert str(error) == f"that is not possible (status {status}, request req-1)"

    @pytest.mark.parametrize(
        ("body", "said"),
        [
            (b"<html>Bad Gateway</html>", "<html>Bad Gateway</html>"),
            ({"detail": [{"loc": ["body"], "msg": "wrong"}]}, '"msg": "wrong"'),
            ({"detail": "this", "error": "that"}, "this"),
            (b"", "answered with 502"),
        ],
    )
    def test_bodies_of_other_kinds(self, body: Any, said: str, side: Side, serve: Serve) -> None:
        serve(answering(body, 502))
        with pytest.raises(errors.ServerError, match=said):
            side.create("pony", HI)

    @pytest.mark.parametrize("body", [b"not json", b'{"output": 3}', b"[]"])
    def test_answers_that_are_not_understood(self, body: bytes, side: Side, serve: Serve) -> None:
        serve(answering(body))
        with pytest.raises(errors.UnknownError, match="is not understood"):
            side.create("pony", HI)

    def test_too_slow(self, side: Side, serve: Serve) -> None:
        serve(lambda exchange: exchange.wait_for_close() and None)
        with pytest.raises(errors.APITimeoutError, match=r"sent nothing for 0.2 seconds"):
            side.create("pony", HI, timeout=0.2)

    @pytest.mark.usefixtures("quick_retries")
    def test_nobody_listens(self, side: Side, monkeypatch: pytest.MonkeyPatch) -> None:
        with socket.create_server(("127.0.0.1", 0)) as closed:
            url = f"http://127.0.0.1:{closed.getsockname()[1]}/llm-engine"
        monkeypatch.setattr(llm_engine, "base_url", url)
        with pytest.raises(errors.APIConnectionError, match=f"cannot connect to {url}/v1/llm"):
            side.create("pony", HI)

    def test_survive_pickling(self) -> None:
        before = errors.RateLimitExceededError("slow", status_code=429, retry_after=2.0)
        after = pickle.loads(pickle.dumps(before))
        assert type(after) is errors.RateLimitExceededError
        assert (str(after), after.retry_after) == ("slow (status 429)", 2.0)


@pytest.mark.usefixtures("quick_retries")
class TestRetries:
    def test_completions_after_a_broken_connection(self, side: Side, serve: Serve) -> None:
        server = serve(hanging_up, answering(COMPLETION))
        assert side.create("pony", HI).output.text == " hay."
        assert len(server.exchanges) == 2

    def test_busy(self, side: Side, serve: Serve) -> None:
        busy = answering({"detail": "full"}, 503, retry_after="0")
        server = serve(busy, streaming(event(" hay", True)))
        assert [piece.output.text for piece in side.pieces("pony", HI)] == [" hay"]
        assert len(server.exchanges) == 2

    @pytest.mark.parametrize(
        "change",
        [
            lambda: Model.create("pony", "foal"),
            lambda: Model.delete("pony"),
            lambda: Model.update("pony", force_bundle_recreation=True),
        ],
        ids=["create", "delete", "update"],
    )
    def test_not_of_what_may_have_worked(self, change: Callable[[], Any], serve: Serve) -> None:
        server = serve(hanging_up, answering(TASK))
        with pytest.raises(errors.APIConnectionError):
            change()
        assert len(server.exchanges) == 1

    def test_of_a_change_that_may_come_twice(self, serve: Serve) -> None:
        server = serve(hanging_up, answering(TASK))
        Model.update("pony", max_workers=2)
        assert len(server.exchanges) == 2


class TestBadArguments:
    """Refused before anything is sent, and at the call: not at the first piece."""

    @pytest.mark.parametrize("stream", [False, True])
    @pytest.mark.parametrize(
        ("kwargs", "said"),
        [
            ({"temperature": 1.5}, "temperature must be less than or equal to 1, not 1.5"),
            ({"max_new_tokens": "5"}, "max_new_tokens must be a valid integer, not '5'"),
            ({"max_new_tokens": None}, "max_new_tokens must be given"),
            ({"prompt": ["a"]}, "prompt must be a valid string"),
            ({"guided_choice": "hay"}, "guided_choice must be a valid list"),
            ({"model": ""}, "model must be the name of a model endpoint"),
            ({"model": None}, "model must be the name of a model endpoint"),
            ({"timeout": 0}, "timeout must be a number of seconds above 0"),
            ({"timeout": "1"}, "timeout must be a number of seconds above 0"),
            ({"something_new": object()}, "cannot be written as JSON"),
        ],
    )
    def test_of_completions(self, stream: bool, kwargs: dict[str, Any], said: str) -> None:
        given = {"model": "pony", "prompt": HI, "stream": stream, **kwargs}
        with pytest.raises(errors.ValidationError, match=said):
            Completion.create(**given)
        with pytest.raises(errors.ValidationError, match=said):
            asyncio.run(Completion.acreate(**given))

    def test_stream(self) -> None:
        with pytest.raises(errors.ValidationError, match="stream must be True or False, not 'yes'"):
            Completion.create(**{"model": "pony", "prompt": HI, "stream": "yes"})

    @pytest.mark.parametrize(
        ("kwargs", "said"),
        [
            ({"min_workers": -1}, "min_workers must be greater than or equal to 0, not -1"),
            ({"inference_framework": "mine"}, "inference_framework must be 'deepspeed'"),
            ({"default_callback_url": "stable"}, "default_callback_url must be an http:// or https:// URL"),
            ({"model": None}, "model_name must be given"),
        ],
    )
    def test_of_endpoints(self, kwargs: dict[str, Any], said: str) -> None:
        with pytest.raises(errors.ValidationError, match=said):
            Model.create(**{"name": "pony", "model": "foal", **kwargs})

    @pytest.mark.parametrize("name", ["", "/", "..", "stable/../pony", "stable//pony", None])
    def test_names_that_would_be_another_path(self, name: Any) -> None:
        for call in (Model.get, Model.delete, Model.update):
            with pytest.raises(errors.ValidationError, match="name of a model endpoint must be like"):
                call(name)

    @pytest.mark.parametrize("url", ["", "127.0.0.1:8800", 3, "http://"])
    def test_base_url(self, url: Any, side: Side, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(llm_engine, "base_url", url)
        with pytest.raises(errors.ValidationError):
            side.create("pony", HI)

    def test_are_value_errors_and_bad_requests(self) -> None:
        # The published client raises pydantic's error for these, which is a ValueError.
        assert issubclass(errors.ValidationError, ValueError)
        assert issubclass(errors.ValidationError, errors.BadRequestError)


class TestSettings:
    def test_both_headers_carry_the_key(
        self, side: Side, serve: Serve, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        server = serve(answering(COMPLETION))
        for key in ("first", "second"):
            monkeypatch.setattr(llm_engine, "api_key", key)
            side.create("pony", HI)
        for key, exchange in zip(("first", "second"), server.exchanges, strict=True):
            basic = base64.b64encode(f"{key}:".encode()).decode()
            assert exchange.headers["authorization"] == f"Basic {basic}"
            assert exchange.headers["x-api-key"] == key

    def test_key_that_no_header_may_have(self, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(llm_engine, "api_key", "schlüssel\n")
        serve(answering(COMPLETION))
        with pytest.raises(errors.ValidationError):
            Model.get("pony")

    def test_a_base_path_without_a_slash_at_its_end(
        self, side: Side, serve: Serve, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        server = serve(answering(COMPLETION))
        monkeypatch.setattr(llm_engine, "base_url", server.url + "/llm-engine")
        side.create("pony", HI)
        assert server.exchanges[0].path.startswith("/llm-engine/v1/llm/completions-sync?")

    def test_set_and_get(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(llm_engine, "base_url", None)
        monkeypatch.setattr(llm_engine, "api_key", None)
        llm_engine.set_base_path("http://stable/llm-engine/")
        llm_engine.set_api_key("k")
        assert (llm_engine.base_url, llm_engine.api_key) == ("http://stable/llm-engine/", "k")
        assert (llm_engine.get_base_path(), llm_engine.get_api_key()) == ("http://stable/llm-engine/", "k")

    def test_environment_at_each_call(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(llm_engine, "base_url", None)
        monkeypatch.setattr(llm_engine, "api_key", None)
        monkeypatch.setenv("LLM_ENGINE_BASE_PATH", "http://stable/llm-engine/")
        monkeypatch.setenv("SCALE_API_KEY", "k")
        assert (llm_engine.get_base_path(), llm_engine.get_api_key()) == ("http://stable/llm-engine/", "k")

    def test_defaults_are_the_published_ones(self) -> None:
        assert llm_engine_defaults({}) == ("root", "https://api.spellbook.scale.com/llm-engine/")
        assert llm_engine_defaults({"SCALE_API_KEY": ""})[0] == "root"


def test_everything_of_the_data_types_is_here() -> None:
    for name in llm_engine.data_types.__all__:
        assert getattr(llm_engine, name) is getattr(llm_engine.data_types, name)
        assert name in llm_engine.__all__


def test_concurrent_calls(serve: Serve) -> None:
    serve(answering(COMPLETION))

    async def many() -> list[Any]:
        return await asyncio.gather(*(Completion.acreate("pony", HI) for _ in range(100)))

    assert len(asyncio.run(many())) == 100
