"""Answers in exactly the fields that the published Fireworks client knows: its types forbid all others."""

from __future__ import annotations

import json
from typing import Any

import pytest
from fireworks.client import api

from bench import answers, stub
from tests.api import llama, scripted
from tests.api.gateway import Gateway, attached, serving
from tests.api.llama import TOKENS, Llama, hosted
from tests.api.scripted import event

CHAT = {"model": "foal", "messages": [{"role": "user", "content": "hi"}]}
TEXT = {"model": "foal", "prompt": "hi"}
SAID = "".join(TOKENS)
USAGE = {"prompt_tokens": 7, "total_tokens": 12, "completion_tokens": 5}


async def ask(gateway: Gateway, body: dict[str, Any]) -> Any:
    """The whole answer, parsed by the client's own type."""
    chat = "messages" in body
    answer = await gateway.post(f"/inference/v1/{'chat/' if chat else ''}completions", body)
    assert answer.status_code == 200, answer.text
    kind = api.ChatCompletionResponse if chat else api.CompletionResponse
    return kind.model_validate(answer.json(), strict=True)


async def stream(gateway: Gateway, body: dict[str, Any]) -> list[Any]:
    chat = "messages" in body
    path = f"/inference/v1/{'chat/' if chat else ''}completions"
    answer = await gateway.post(path, {**body, "stream": True})
    *events, done, rest = answer.text.split("\n\n")
    assert (done, rest) == ("data: [DONE]", "")
    kind = api.ChatCompletionStreamResponse if chat else api.CompletionStreamResponse
    return [kind.model_validate(json.loads(one[6:]), strict=True) for one in events]


class TestLlama:
    async def test_chat(self) -> None:
        async with llama.serving() as engine, serving(hosted(engine)) as gateway:
            answer = await ask(gateway, CHAT)
            chunks = await stream(gateway, CHAT)
        assert answer.choices[0].message.content == SAID
        assert answer.usage.model_dump() == USAGE
        assert answer.model == "paddock/foal"
        assert {chunk.object for chunk in chunks} == {"chat.completion.chunk"}
        assert chunks[0].choices[0].delta.role == "assistant"
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == SAID

    async def test_usage_is_in_the_chunk_with_the_finish_reason(self) -> None:
        async with llama.serving() as engine, serving(hosted(engine)) as gateway:
            for body in (CHAT, TEXT):
                *others, last = await stream(gateway, {**body, "stream_options": {"include_usage": True}})
                assert last.choices[0].finish_reason == "stop"
                assert last.usage.model_dump() == USAGE
                assert not any(chunk.usage or chunk.choices[0].finish_reason for chunk in others)

    async def test_of_several_choices_the_one_that_ends_last_has_the_usage_of_all(self) -> None:
        async with llama.serving(Llama(delays=[0.04, 0, 0.02])) as engine, serving(hosted(engine)) as gateway:
            for body in (CHAT, TEXT):
                chunks = await stream(gateway, {**body, "n": 3})
                ends = [chunk for chunk in chunks if chunk.choices[0].finish_reason]
                assert sorted(chunk.choices[0].index for chunk in ends) == [0, 1, 2]
                assert [chunk.usage for chunk in ends[:-1]] == [None, None]
                assert ends[-1].usage.model_dump() == {
                    "prompt_tokens": 7,
                    "total_tokens": 22,
                    "completion_tokens": 15,
                }
                assert ends[-1] is chunks[-1]

    @pytest.mark.parametrize("body", [{**CHAT, "logprobs": True, "top_logprobs": 2}, {**TEXT, "logprobs": 2}])
    async def test_logprobs_are_flat_on_both(self, body: dict[str, Any]) -> None:
        async with llama.serving() as engine, serving(hosted(engine)) as gateway:
            logprobs = (await ask(gateway, body)).choices[0].logprobs
            chunks = [chunk.choices[0].logprobs for chunk in await stream(gateway, body)]
        assert (logprobs.tokens, logprobs.token_logprobs) == (TOKENS, [-0.5] * 5)
        assert logprobs.text_offset == [0, 3, 8, 12, 13]
        assert logprobs.top_logprobs == [{"t0": -1.0, "t1": -2.0, token: -0.5} for token in TOKENS]
        parts = [part for part in chunks if part is not None]
        assert [token for part in parts for token in part.tokens] == TOKENS
        assert [offset for part in parts for offset in part.text_offset] == [0, 3, 8, 12, 13]

    async def test_completion_with_echo(self) -> None:
        async with llama.serving() as engine, serving(hosted(engine)) as gateway:
            answer = await ask(gateway, {**TEXT, "echo": True})
            chunks = await stream(gateway, {**TEXT, "echo": True})
        assert answer.choices[0].text == "hi" + SAID
        assert "".join(chunk.choices[0].text for chunk in chunks) == "hi" + SAID

    async def test_models(self) -> None:
        async with llama.serving() as engine, serving(hosted(engine)) as gateway:
            listed = (await gateway.client.get("/inference/v1/models")).json()
            one = (await gateway.client.get("/inference/v1/models/accounts/x/models/foal")).json()
        assert api.ListModelsResponse.model_validate(listed, strict=True).data[0].id == "paddock/foal"
        assert api.Model.model_validate(one, strict=True).id == "paddock/foal"


class TestAttached:
    """Engines of any make send more than the client lets through."""

    async def given(self, answer: dict[str, Any], body: dict[str, Any]) -> Any:
        async with scripted.serving(scripted.answering(scripted.plain(answer))) as engine:
            async with serving(attached(engine.url, "foal")) as gateway:
                return await ask(gateway, body)

    async def test_the_stub_s_extra_fields_are_left_out(self) -> None:
        async with stub.serving() as engine, serving(attached(engine.url, "foal")) as gateway:
            for body in (CHAT, TEXT):
                assert (await ask(gateway, body)).usage.total_tokens == 21
                assert (await stream(gateway, body))[-1].usage.total_tokens == 73

    @pytest.mark.parametrize("reason", ["abort", "content_filter", "eos_token", None])
    async def test_reasons_that_it_does_not_know(self, reason: str | None) -> None:
        choice = {"index": 0, "text": "x", "finish_reason": reason, "stop_reason": 5}
        answer = await self.given({"id": "1", "created": 1, "model": "stub", "choices": [choice]}, TEXT)
        assert answer.choices[0].finish_reason == ("stop" if reason else None)
        assert answer.usage.total_tokens == 0

    async def test_tool_calls(self) -> None:
        call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}", "extra": 1}}
        message = {"role": "assistant", "content": None, "tool_calls": [call], "reasoning_content": "hm"}
        choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
        answer = await self.given({"id": "1", "created": 1, "choices": [choice], "usage": USAGE}, CHAT)
        (parsed,) = answer.choices[0].message.tool_calls
        assert (parsed.id, parsed.function.name, parsed.function.arguments) == ("c1", "f", "{}")

    async def test_streamed_tool_calls(self) -> None:
        pieces = [
            {"tool_calls": [{"index": 0, "id": "c1", "type": "function", "function": {"name": "f"}}]},
            {"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}], "role": None},
            {"reasoning_content": "hm"},
            {},
        ]
        head = {"id": "1", "created": 1, "model": "stub", "object": "chat.completion.chunk"}
        events = [
            event(
                {
                    **head,
                    "choices": [
                        {"index": 0, "delta": piece, "finish_reason": "tool_calls" if not piece else None}
                    ],
                }
            )
            for piece in pieces
        ]
        whole = scripted.streamed(*events, answers.DONE)
        async with scripted.serving(scripted.answering(whole)) as engine:
            async with serving(attached(engine.url, "foal")) as gateway:
                chunks = await stream(gateway, CHAT)
        calls = [call for chunk in chunks for call in chunk.choices[0].delta.tool_calls or ()]
        assert [call.function.name for call in calls] == ["f", ""]
        assert "".join(call.function.arguments for call in calls) == "{}"
        assert chunks[-1].choices[0].finish_reason == "tool_calls"

    async def test_logprobs_with_null_where_nothing_is_known(self) -> None:
        """OpenAI and vLLM have null for the first token of an echo."""
        flat = {"tokens": ["a", "b"], "token_logprobs": [None, -1.0], "top_logprobs": [None, {"b": -1.0}]}
        choice = {
            "index": 0,
            "text": "ab",
            "finish_reason": "length",
            "logprobs": {**flat, "text_offset": [0, 1]},
        }
        answer = await self.given({"id": "1", "created": 1, "choices": [choice]}, {**TEXT, "logprobs": 1})
        assert answer.choices[0].logprobs.token_logprobs == [0.0, -1.0]
        assert answer.choices[0].logprobs.top_logprobs == [{}, {"b": -1.0}]

    async def test_a_probability_of_zero(self) -> None:
        """JSON has no minus infinity: llama.cpp sends null."""
        content = [{"token": "a", "logprob": None, "bytes": [97], "top_logprobs": []}]
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": "a"},
            "logprobs": {"content": content},
        }
        answer = await self.given({"id": "1", "created": 1, "choices": [choice]}, {**CHAT, "logprobs": True})
        assert answer.choices[0].logprobs.token_logprobs == [-9999.0]
