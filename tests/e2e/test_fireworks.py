"""The published `fireworks-ai==0.9.0` and our own client, side by side: the same calls, the same answers."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import fireworks.client
import fireworks.client.error
import pytest

import paddock.clients.fireworks
import paddock.clients.fireworks.error
from tests.e2e.server import Server

FRANCE = [{"role": "user", "content": "What is the capital of France?"}]


@pytest.fixture(params=[fireworks.client, paddock.clients.fireworks], ids=["published", "ours"])
def client(request: pytest.FixtureRequest, foal: Server, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setattr(request.param, "base_url", f"{foal.url}/inference/v1")
    monkeypatch.setattr(request.param, "api_key", "any")
    return request.param


class TestModel:
    def test_list(self, client: Any) -> None:
        assert [model.id for model in client.Model.list().data] == ["paddock/foal"]


class TestChatCompletion:
    def test_answers(self, client: Any) -> None:
        answer = client.ChatCompletion.create("accounts/any/models/foal", FRANCE, temperature=0)
        assert answer.choices[0].message.content == "The capital of France is Paris."
        assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens

    def test_stream_carries_usage_in_its_last_chunk(self, client: Any) -> None:
        chunks = list(client.ChatCompletion.create(model="foal", messages=FRANCE, temperature=0, stream=True))
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
        assert text == "The capital of France is Paris."
        assert {chunk.object for chunk in chunks} == {"chat.completion.chunk"}
        assert chunks[-1].choices[0].finish_reason == "stop"
        assert chunks[-1].usage.completion_tokens > 0

    def test_logprobs_are_flat(self, client: Any) -> None:
        answer = client.ChatCompletion.create(
            model="foal", messages=FRANCE, temperature=0, logprobs=True, top_logprobs=2
        )
        logprobs = answer.choices[0].logprobs
        assert "".join(logprobs.tokens).startswith("The capital of France is Paris.")
        assert len(logprobs.top_logprobs[0]) == 2

    def test_demanded_tool_call(self, client: Any) -> None:
        tool = {
            "type": "function",
            "function": {
                "name": "pick",
                "description": "Pick one.",
                "parameters": {
                    "type": "object",
                    "properties": {"which": {"enum": ["a", "b"]}},
                    "required": ["which"],
                },
            },
        }
        arguments: dict[str, Any] = {
            "model": "foal",
            "messages": FRANCE,
            "tools": [tool],
            "tool_choice": "required",
        }
        whole = client.ChatCompletion.create(**arguments)
        assert whole.choices[0].message.tool_calls[0].function.name == "pick"
        first = next(iter(client.ChatCompletion.create(**arguments, stream=True)))
        assert first.choices[0].delta.tool_calls[0].function.name == "pick"

    async def test_acreate(self, client: Any) -> None:
        answer = await client.ChatCompletion.acreate("foal", FRANCE, temperature=0)
        assert answer.choices[0].message.content == "The capital of France is Paris."

    async def test_acreate_stream_is_not_awaited(self, client: Any) -> None:
        text = ""
        async for chunk in client.ChatCompletion.acreate("foal", messages=FRANCE, temperature=0, stream=True):
            text += chunk.choices[0].delta.content or ""
        assert text == "The capital of France is Paris."


class TestCompletion:
    def test_answers(self, client: Any) -> None:
        answer = client.Completion.create(
            "foal", "The capital of France is", max_tokens=8, stop=".", temperature=0, logprobs=1
        )
        assert answer.choices[0].text == " Paris"
        assert "".join(answer.choices[0].logprobs.tokens).startswith(" Paris")

    def test_stream_with_several_choices(self, client: Any) -> None:
        texts = {0: "", 1: ""}
        for chunk in client.Completion.create(
            model="foal",
            prompt="The capital of France is",
            n=2,
            max_tokens=8,
            stop=".",
            temperature=0,
            stream=True,
        ):
            for choice in chunk.choices:
                texts[choice.index] += choice.text
        assert texts == {0: " Paris", 1: " Paris"}


class TestErrors:
    def test_unknown_model(self, client: Any) -> None:
        with pytest.raises(self._errors(client).InvalidRequestError, match="paddock/foal"):
            client.Completion.create("nope", "Hello")

    def test_bad_value(self, client: Any) -> None:
        with pytest.raises(self._errors(client).InvalidRequestError, match="temperature"):
            client.Completion.create("foal", "Hello", temperature="hot")

    def _errors(self, client: Any) -> Any:
        return fireworks.client.error if client is fireworks.client else paddock.clients.fireworks.error
