"""The rows of an OpenAI batch against engines: each answer is the very one that `/v1` gives."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from paddock.errors import EngineFailed, EngineLost, InvalidRequest, PaddockError, RateLimited
from paddock.gateway.openai.batch_rows import OpenAIRows
from paddock.inference.routing import Deployment
from paddock.inference.rows import Answer
from tests.api import llama, scripted
from tests.api.gateway import attached, eventually, serving
from tests.api.llama import Llama, hosted

CHAT, TEXT, EMBED = "/v1/chat/completions", "/v1/completions", "/v1/embeddings"
HELLO = {"messages": [{"role": "user", "content": "hi"}]}
BODIES: list[tuple[str, dict[str, Any]]] = [
    (CHAT, HELLO),
    (CHAT, {**HELLO, "n": 2, "max_tokens": 5, "temperature": None}),
    (CHAT, {**HELLO, "logprobs": True, "top_logprobs": 2}),
    (CHAT, {**HELLO, "stream": False, "stop": ["x"]}),
    (TEXT, {"prompt": "hi"}),
    (TEXT, {"prompt": ["hi", "ho"], "logprobs": 1}),
    (TEXT, {"prompt": ["hi", "ho"], "echo": True, "max_tokens": 5}),
    (EMBED, {"input": ["a", "b"]}),
    (EMBED, {"input": "a", "encoding_format": "base64"}),
]
BAD: list[tuple[str, dict[str, Any]]] = [
    (CHAT, {}),
    (CHAT, {**HELLO, "temperature": 99}),
    (CHAT, {**HELLO, "colour": 1}),
    (CHAT, {"messages": [{"role": "bob"}]}),
    (CHAT, {**HELLO, "stream_options": {}}),
    (CHAT, {**HELLO, "tools": [{"type": "function", "function": {"name": "f"}}]}),
    (TEXT, {"prompt": 5}),
    (TEXT, {"prompt": "hi", "n": 3, "best_of": 2}),
    (EMBED, {"input": ""}),
    (EMBED, {"input": "a", "dimensions": 5}),
]


@pytest.fixture
async def foal() -> AsyncIterator[tuple[Llama, Deployment]]:
    async with llama.serving() as engine:
        deployment = hosted(engine, embeds=True)
        yield engine, deployment
        close(deployment)


def close(deployment: Deployment) -> None:
    for replica in deployment.replicas:
        replica.upstream.close()


def row(body: Any, custom_id: str = "request-1", url: str = CHAT, model: str = "foal") -> bytes:
    line = {"custom_id": custom_id, "method": "POST", "url": url, "body": {"model": model, **body}}
    return json.dumps(line).encode()


async def ask(deployment: Deployment, body: Any, url: str = CHAT, **more: Any) -> Answer:
    return await OpenAIRows().ask({"endpoint": url}, deployment, row(body, url=url, **more), 0)


def content(answer: Answer) -> Any:
    """The line, which has exactly OpenAI's fields."""
    assert b"\n" not in answer.body
    line = json.loads(answer.body)
    assert list(line) == ["id", "custom_id", "response", "error"]
    assert line["id"].startswith("batch_req_")
    return line


def same(body: Any) -> Any:
    """An answer without what differs each time."""
    return {name: value for name, value in body.items() if name not in ("id", "created")}


class TestAsk:
    @pytest.mark.parametrize(("url", "body"), BODIES)
    async def test_the_answer_is_that_of_the_endpoint(
        self, foal: tuple[Llama, Deployment], url: str, body: dict[str, Any]
    ) -> None:
        engine, deployment = foal
        answer = await ask(deployment, body, url)
        async with serving(deployment) as gateway:
            online = await gateway.post(url, {"model": "foal", **body})
        line = content(answer)
        assert (line["custom_id"], line["error"]) == ("request-1", None)
        assert list(line["response"]) == ["status_code", "request_id", "body"]
        assert line["response"]["status_code"] == online.status_code == 200
        assert len(line["response"]["request_id"]) == 32
        assert same(line["response"]["body"]) == same(online.json())
        sent = [json.dumps(one, sort_keys=True) for one in engine.engine.bodies]
        assert sorted(sent[: len(sent) // 2]) == sorted(sent[len(sent) // 2 :])
        assert not answer.failed

    @pytest.mark.parametrize(("url", "body"), BAD)
    async def test_the_error_is_that_of_the_endpoint(
        self, foal: tuple[Llama, Deployment], url: str, body: dict[str, Any]
    ) -> None:
        _, deployment = foal
        with pytest.raises(InvalidRequest) as caught:
            await ask(deployment, body, url)
        answer = OpenAIRows().error({"endpoint": url}, row(body, url=url), 0, caught.value)
        async with serving(deployment) as gateway:
            online = await gateway.post(url, {"model": "foal", **body})
        line = content(answer)
        assert answer.failed
        assert line["response"]["status_code"] == online.status_code == 400
        assert line["response"]["body"] == online.json()

    async def test_its_work_is_counted(self, foal: tuple[Llama, Deployment]) -> None:
        _, deployment = foal
        answer = await ask(deployment, HELLO)
        assert answer.tokens == llama.PROMPT_TOKENS + len(llama.TOKENS)
        assert (await ask(deployment, {"input": "a"}, EMBED)).tokens == 4

    @pytest.mark.parametrize("model", ["foal", "accounts/any/models/foal", "what was served before"])
    async def test_whatever_it_calls_the_model(self, foal: tuple[Llama, Deployment], model: str) -> None:
        _, deployment = foal
        line = content(await ask(deployment, HELLO, model=model))
        assert line["response"]["body"]["model"] == "paddock/foal"

    @pytest.mark.parametrize("custom_id", ['"quoted"', "line\nend", "é\u2028", "x" * 512])
    async def test_any_id_comes_back(self, foal: tuple[Llama, Deployment], custom_id: str) -> None:
        _, deployment = foal
        answer = await ask(deployment, HELLO, custom_id=custom_id)
        assert content(answer)["custom_id"] == custom_id
        failed = OpenAIRows().error({"endpoint": CHAT}, row(HELLO, custom_id), 0, EngineLost("it died"))
        assert content(failed)["custom_id"] == custom_id

    async def test_an_engine_that_writes_several_lines(self) -> None:
        said = {"choices": [{"index": 0, "message": {"content": "a\nb"}}], "model": "stub", "usage": None}
        pretty = json.dumps(said, indent=2).replace("\n", "\r\n").encode()
        async with scripted.serving(scripted.answering(scripted.plain(pretty))) as engine:
            deployment = attached(engine.url)
            line = content(await ask(deployment, HELLO))
            close(deployment)
        assert line["response"]["body"] == said

    async def test_an_engine_that_refuses_for_load_is_told_as_such(self) -> None:
        busy = scripted.plain({"error": {"message": "busy"}}, "429 Too Many Requests", "Retry-After: 3")
        async with scripted.serving(scripted.answering(busy)) as engine:
            deployment = attached(engine.url)
            with pytest.raises(RateLimited) as caught:
                await ask(deployment, HELLO)
            close(deployment)
        assert caught.value.retry_after == 3

    async def test_an_answer_that_nobody_understands(self) -> None:
        async with scripted.serving(scripted.answering(scripted.plain(b"<html>"))) as engine:
            deployment = attached(engine.url)
            with pytest.raises(EngineFailed):
                await ask(deployment, HELLO)
            close(deployment)

    @pytest.mark.parametrize(
        ("url", "body"), [(CHAT, HELLO), (CHAT, {**HELLO, "n": 3}), (EMBED, {"input": "a"})]
    )
    async def test_to_give_it_up_cancels_the_engine(self, url: str, body: dict[str, Any]) -> None:
        async def never(writer: asyncio.StreamWriter, body: dict[str, Any]) -> None:
            await asyncio.Event().wait()

        async with scripted.serving(never) as engine:
            deployment = hosted(Llama(engine=engine), embeds=True)
            asking = asyncio.create_task(ask(deployment, body, url))
            await eventually(lambda: len(engine.bodies) == body.get("n", 1))
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
            await eventually(lambda: engine.left == body.get("n", 1))
            assert deployment.in_flight == 0
            close(deployment)


class TestError:
    def line(self, error: PaddockError) -> Any:
        answer = OpenAIRows().error({"endpoint": CHAT}, row(HELLO), 0, error)
        assert answer.failed
        return content(answer)

    @pytest.mark.parametrize(
        ("error", "status", "kind"),
        [
            (EngineLost("it died"), 502, "server_error"),
            (InvalidRequest("no", param="n"), 400, "invalid_request_error"),
            (PaddockError("a bug"), 500, "server_error"),
        ],
    )
    def test_one_that_was_answered_keeps_its_response(
        self, error: PaddockError, status: int, kind: str
    ) -> None:
        line = self.line(error)
        assert line["error"] is None
        assert line["response"] == {
            "status_code": status,
            "request_id": line["response"]["request_id"],
            "body": {
                "error": {"message": error.message, "type": kind, "param": error.param, "code": error.code}
            },
        }

    @pytest.mark.parametrize("code", ["batch_expired", "batch_cancelled"])
    def test_one_that_was_never_asked_has_none(self, code: str) -> None:
        line = self.line(PaddockError("too late", code=code))
        assert line["response"] is None
        assert line["error"] == {"code": code, "message": "too late"}

    def test_ids_differ(self) -> None:
        lines = [self.line(EngineLost("it died")) for _ in range(2)]
        assert lines[0]["id"] != lines[1]["id"]
        assert lines[0]["response"]["request_id"] != lines[1]["response"]["request_id"]
