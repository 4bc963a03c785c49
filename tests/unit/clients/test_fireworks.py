"""What a user of the published client relies on, on both sides."""

from __future__ import annotations

import asyncio
import inspect
import pickle
from collections.abc import Callable
from typing import Any

import pytest

import paddock.clients.fireworks as fireworks
from paddock.clients.fireworks import ChatCompletion, Completion, api, error
from tests.unit.clients.both import Async, Sync
from tests.unit.clients.server import Exchange, Server
from tests.unit.clients.shapes import CHAT, COMPLETION, ERROR, MODELS, chat_chunk, text_chunk

Side = Sync | Async
Serve = Callable[..., Server]
HI = [{"role": "user", "content": "What do you eat?"}]


def answering(body: Any, status: int = 200, **headers: str) -> Callable[[Exchange], None]:
    return lambda exchange: exchange.answer(body, status, **headers)


def streaming(*events: Any) -> Callable[[Exchange], None]:
    def respond(exchange: Exchange) -> None:
        exchange.begin_stream(x_request_id="req-7")
        for event in events:
            exchange.event(event)
        exchange.end_stream()

    return respond


class TestCreate:
    def test_chat(self, side: Side, serve: Serve) -> None:
        server = serve(answering(CHAT))
        response = side.create(ChatCompletion, "foal", HI, temperature=0.5)
        assert isinstance(response, api.ChatCompletionResponse)
        assert response.choices[0].message.content == "Hay."
        assert response.usage is not None
        assert response.usage.completion_tokens == 2
        sent = server.exchanges[0]
        assert (sent.method, sent.path) == ("POST", "/inference/v1/chat/completions")
        assert sent.json() == {"model": "foal", "messages": HI, "stream": False, "temperature": 0.5}

    def test_completion_with_every_documented_field(self, side: Side, serve: Serve) -> None:
        server = serve(answering(COMPLETION))
        response = side.create(Completion, "foal", "I am", logprobs=1)
        choice = response.choices[0]
        assert choice.text == " a horse"
        assert choice.logprobs.token_logprobs == [None, -0.5]
        assert choice.logprobs.token_ids == [4, 5]
        assert response.model_dump(exclude_unset=True) == COMPLETION
        assert server.exchanges[0].path == "/inference/v1/completions"

    @pytest.mark.parametrize("name", ["prompt_or_messages", "messages"])
    def test_messages_by_name(self, name: str, side: Side, serve: Serve) -> None:
        server = serve(answering(CHAT))
        side.create(ChatCompletion, "foal", **{name: HI})
        assert server.exchanges[0].json()["messages"] == HI

    def test_prompts_of_every_kind(self, side: Side, serve: Serve) -> None:
        server = serve(answering(COMPLETION))
        prompts: list[Any] = ["a", ["a", "b"], [1, 2], [[1], [2]], ""]
        for prompt in prompts:
            side.create(Completion, "foal", prompt=prompt)
        assert [sent.json()["prompt"] for sent in server.exchanges] == prompts

    def test_message_objects(self, side: Side, serve: Serve) -> None:
        server = serve(answering(CHAT))
        side.create(ChatCompletion, "foal", [api.ChatMessage(role="user", content="What do you eat?")])
        assert server.exchanges[0].json()["messages"] == HI

    def test_positional_timeout_and_stream(self, serve: Serve) -> None:
        serve(streaming(text_chunk("x")))
        assert [piece.choices[0].text for piece in Completion.create("foal", "a", 30, True)] == ["x"]

    def test_unknown_fields_are_kept(self, side: Side, serve: Serve) -> None:
        serve(answering({**CHAT, "perf_metrics": {"ms": 3}}))
        assert side.create(ChatCompletion, "foal", HI).perf_metrics == {"ms": 3}

    def test_logprobs_in_openai_shape(self, side: Side, serve: Serve) -> None:
        content = [{"token": "Hay", "logprob": -0.1, "top_logprobs": [{"token": "Hay", "logprob": -0.1}]}]
        serve(answering({**CHAT, "choices": [{**CHAT["choices"][0], "logprobs": {"content": content}}]}))
        logprobs = side.create(ChatCompletion, "foal", HI).choices[0].logprobs
        assert (logprobs.tokens, logprobs.token_logprobs) == (["Hay"], [-0.1])
        assert logprobs.top_logprobs == [{"Hay": -0.1}]

    def test_tool_calls(self, side: Side, serve: Serve) -> None:
        call = {"id": "c1", "type": "function", "function": {"name": "feed", "arguments": "{}"}}
        message = {"role": "assistant", "content": None, "tool_calls": [call]}
        serve(
            answering({**CHAT, "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]})
        )
        parsed = side.create(ChatCompletion, "foal", HI).choices[0].message.tool_calls[0]
        assert (parsed.index, parsed.id, parsed.function.name) == (0, "c1", "feed")

    def test_models(self, side: Side, serve: Serve) -> None:
        server = serve(answering(MODELS))
        assert [model.id for model in side.models().data] == ["foal"]
        assert server.exchanges[0].line == "GET /inference/v1/models HTTP/1.1"


class TestStream:
    def test_pieces(self, side: Side, serve: Serve) -> None:
        usage = {"prompt_tokens": 1, "total_tokens": 3, "completion_tokens": 2}
        server = serve(streaming(chat_chunk("Ha"), chat_chunk("y"), chat_chunk(None, "stop", usage=usage)))
        pieces = side.pieces(ChatCompletion, "foal", HI)
        assert all(isinstance(piece, api.ChatCompletionStreamResponse) for piece in pieces)
        assert "".join(piece.choices[0].delta.content or "" for piece in pieces) == "Hay"
        assert pieces[-1].choices[0].finish_reason == "stop"
        assert pieces[-1].usage.completion_tokens == 2
        assert server.exchanges[0].json()["stream"] is True

    def test_kinds(self, serve: Serve) -> None:
        serve(streaming(text_chunk("x")))
        assert inspect.isgenerator(Completion.create("foal", "a", stream=True))
        assert inspect.isasyncgen(Completion.acreate("foal", "a", stream=True))
        coroutine = Completion.acreate("foal", "a")
        assert inspect.iscoroutine(coroutine)
        coroutine.close()

    def test_error_in_the_middle(self, side: Side, serve: Serve) -> None:
        broken = {"error": {"message": "the engine died", "type": "server_error", "code": "engine_failed"}}
        serve(streaming(chat_chunk("Ha"), broken))
        with pytest.raises(
            error.BadGatewayError, match=r"the engine died \(status 502, request req-7\)"
        ) as caught:
            side.pieces(ChatCompletion, "foal", HI)
        assert caught.value.args[0] == broken

    def test_connection_lost_in_the_middle(self, side: Side, serve: Serve) -> None:
        def respond(exchange: Exchange) -> None:
            exchange.begin_stream()
            exchange.event(chat_chunk("Ha"))
            exchange.hang_up()

        server = serve(respond)
        with pytest.raises(error.APIConnectionError, match=server.url):
            side.pieces(ChatCompletion, "foal", HI)
        assert len(server.exchanges) == 1  # a stream that has begun is never begun again

    def test_abandoned_stream_closes_its_connection(self, side: Side, serve: Serve) -> None:
        closed: list[bool] = []

        def respond(exchange: Exchange) -> None:
            exchange.begin_stream()
            exchange.event(chat_chunk("Ha"))
            closed.append(exchange.wait_for_close())

        with serve(respond):
            assert side.first_piece(ChatCompletion, "foal", HI).choices[0].delta.content == "Ha"
        assert closed == [True]

    def test_refused_stream(self, side: Side, serve: Serve) -> None:
        serve(answering(ERROR, 404))
        with pytest.raises(error.InvalidRequestError, match="no such model"):
            side.pieces(ChatCompletion, "none", HI)

    def test_answer_that_is_no_stream(self, side: Side, serve: Serve) -> None:
        serve(answering(CHAT, content_type="application/json"))
        with pytest.raises(error.InternalServerError, match="not a stream of events but application/json"):
            side.pieces(ChatCompletion, "foal", HI)


class TestErrors:
    @pytest.mark.parametrize(
        ("status", "kind"),
        [
            (400, error.InvalidRequestError),
            (401, error.AuthenticationError),
            (403, error.PermissionError),
            (404, error.InvalidRequestError),
            (408, error.APITimeoutError),
            (413, error.InvalidRequestError),
            (422, error.InvalidRequestError),
            (429, error.RateLimitError),
            (500, error.InternalServerError),
            (502, error.BadGatewayError),
            (503, error.ServiceUnavailableError),
            (504, error.APITimeoutError),
            (507, error.InternalServerError),
        ],
    )
    @pytest.mark.usefixtures("quick_retries")
    def test_by_status(self, status: int, kind: type[error.FireworksError], side: Side, serve: Serve) -> None:
        serve(answering(ERROR, status, x_request_id="req-1"))
        with pytest.raises(error.FireworksError) as caught:
            side.create(ChatCompletion, "foal", HI)
        assert type(caught.value) is kind
        assert caught.value.args == (ERROR,)
        assert caught.value.body == ERROR
        assert (caught.value.status_code, caught.value.request_id) == (status, "req-1")
        assert str(caught.value) == f"no such model (status {status}, request req-1)"

    def test_body_that_is_not_json(self, side: Side, serve: Serve) -> None:
        serve(answering(b"<html>Bad Gateway</html>", 502))
        with pytest.raises(error.BadGatewayError, match="<html>Bad Gateway</html>"):
            side.create(ChatCompletion, "foal", HI)

    def test_redirect_names_its_target(self, side: Side, serve: Serve) -> None:
        serve(answering(b"", 308, location="https://other/v1"))
        with pytest.raises(error.FireworksError, match="redirects to https://other/v1"):
            side.models()

    @pytest.mark.parametrize("body", [b"not json", b'{"choices": 3}', b"[]"])
    def test_answers_that_are_not_understood(self, body: bytes, side: Side, serve: Serve) -> None:
        serve(answering(body))
        with pytest.raises(error.InternalServerError, match="is not understood"):
            side.create(ChatCompletion, "foal", HI)

    def test_survive_pickling(self) -> None:
        before = error.RateLimitError(ERROR, message="slow", status_code=429, body=ERROR, retry_after=2.0)
        after = pickle.loads(pickle.dumps(before))
        assert (type(after), str(after), after.args, after.retry_after) == (
            error.RateLimitError,
            "slow (status 429)",
            (ERROR,),
            2.0,
        )


class TestBadArguments:
    """Refused before anything is sent, and at the call: not at the first piece, not when awaited."""

    @pytest.mark.parametrize("create", [ChatCompletion.create, ChatCompletion.acreate])
    @pytest.mark.parametrize(
        ("args", "kwargs", "said"),
        [
            ((), {}, "messages must be provided"),
            ((HI,), {"messages": HI}, "given twice"),
            ((), {"prompt": "a"}, "ChatCompletion takes messages, not prompt"),
            ((HI,), {"stream": "yes"}, "not a valid boolean"),
            ((HI,), {"request_timeout": 0}, "above 0"),
            ((HI,), {"request_timeout": "1"}, "number of seconds"),
        ],
    )
    def test_refused(self, create: Any, args: tuple[Any, ...], kwargs: dict[str, Any], said: str) -> None:
        with pytest.raises(error.InvalidRequestError, match=said):
            create("foal", *args, **kwargs)

    def test_not_json(self, side: Side, serve: Serve) -> None:
        serve(answering(CHAT))
        with pytest.raises(error.InvalidRequestError, match="cannot be written as JSON"):
            side.create(ChatCompletion, "foal", HI, temperature=float("nan"))
        with pytest.raises(error.InvalidRequestError, match="object is not JSON serializable"):
            side.create(ChatCompletion, "foal", HI, user=object())

    @pytest.mark.parametrize("url", ["", "127.0.0.1:8800", None, "http://"])
    def test_base_url(self, url: Any, side: Side, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(fireworks, "base_url", url)
        with pytest.raises(error.InvalidRequestError):
            side.models()


class TestKey:
    def test_is_read_at_each_call(self, side: Side, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
        server = serve(answering(MODELS))
        for key in ("first", "second"):
            monkeypatch.setattr(fireworks, "api_key", key)
            side.models()
        sent = [exchange.headers["authorization"] for exchange in server.exchanges]
        assert sent == ["Bearer first", "Bearer second"]

    def test_none_is_sent_without_one(
        self, side: Side, serve: Serve, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(fireworks, "api_key", None)
        server = serve(answering(MODELS))
        side.models()
        assert "authorization" not in server.exchanges[0].headers

    def test_that_no_header_may_have(self, side: Side, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(fireworks, "api_key", "schlüssel\n")
        serve(answering(MODELS))
        with pytest.raises(error.InvalidRequestError):
            side.models()


def test_concurrent_calls(serve: Serve) -> None:
    serve(answering(CHAT))

    async def many() -> list[Any]:
        return await asyncio.gather(*(ChatCompletion.acreate("foal", HI) for _ in range(150)))

    assert len(asyncio.run(many())) == 150
