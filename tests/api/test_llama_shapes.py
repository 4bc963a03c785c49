"""Answers of a llama.cpp model in OpenAI's exact shapes, read by OpenAI's own types."""

from __future__ import annotations

import json
from typing import Any

import pytest
from openai.types import Completion, CreateEmbeddingResponse, Model
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from tests.api import llama
from tests.api.gateway import Gateway, serving
from tests.api.llama import TOKENS, Llama, hosted

CHAT = {"model": "foal", "messages": [{"role": "user", "content": "hi"}]}
TEXT = {"model": "foal", "prompt": "hi"}
SAID = "".join(TOKENS)
ASKED = {"stream": True, "stream_options": {"include_usage": True}}


async def ask(gateway: Gateway, path: str, body: Any) -> Any:
    answer = await gateway.post(f"/v1/{path}", body)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def chunks(gateway: Gateway, path: str, body: Any) -> list[dict[str, Any]]:
    answer = await gateway.post(f"/v1/{path}", {**body, "stream": True})
    *events, done, rest = answer.text.split("\n\n")
    assert (done, rest) == ("data: [DONE]", "")
    return [json.loads(event.removeprefix("data: ")) for event in events if not event.startswith(":")]


def check_text_chunk(chunk: dict[str, Any]) -> None:
    """OpenAI streams null before the end, which its own type of whole and streamed completions leaves out."""
    choices = [{**choice, "finish_reason": choice["finish_reason"] or "stop"} for choice in chunk["choices"]]
    Completion.model_validate({**chunk, "choices": choices}, strict=True)


class TestChat:
    async def test_whole(self) -> None:
        async with llama.serving() as engine, serving(hosted(engine)) as gateway:
            raw = await ask(gateway, "chat/completions", CHAT)
            answer = ChatCompletion.model_validate(raw, strict=True)
            (sent,) = engine.engine.bodies
        assert (sent["stream"], sent["return_progress"], sent.get("n", 1)) == (True, True, 1)
        assert answer.choices[0].message.content == SAID
        assert answer.choices[0].message.role == "assistant"
        assert answer.choices[0].finish_reason == "stop"
        assert (answer.object, answer.model) == ("chat.completion", "paddock/foal")
        assert answer.usage is not None
        assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (
            7,
            5,
            12,
        )
        assert "timings" not in raw

    async def test_streamed(self) -> None:
        async with llama.serving() as engine, serving(hosted(engine)) as gateway:
            raw = await chunks(gateway, "chat/completions", CHAT)
            parsed = [ChatCompletionChunk.model_validate(chunk, strict=True) for chunk in raw]
            (line,) = await gateway.lines()
        assert "prompt_progress" not in json.dumps(raw)
        assert parsed[0].choices[0].delta.role == "assistant"
        assert "".join(chunk.choices[0].delta.content or "" for chunk in parsed) == SAID
        assert parsed[-1].choices[0].finish_reason == "stop"
        assert not any(chunk.usage for chunk in parsed)
        assert (line["prompt_tokens"], line["completion_tokens"]) == ("7", "5")

    async def test_streamed_with_usage(self) -> None:
        async with llama.serving() as engine, serving(hosted(engine)) as gateway:
            raw = await chunks(gateway, "chat/completions", {**CHAT, **ASKED})
        assert (raw[-1]["choices"], raw[-1]["usage"]["completion_tokens"]) == ([], 5)
        assert sum("usage" in chunk for chunk in raw) == 1

    @pytest.mark.parametrize(("top", "entries"), [(None, 0), (0, 0), (2, 2)])
    async def test_logprobs_are_nested_and_trimmed(self, top: int | None, entries: int) -> None:
        body = {**CHAT, "logprobs": True, "top_logprobs": top}
        async with llama.serving() as engine, serving(hosted(engine)) as gateway:
            whole = await ask(gateway, "chat/completions", body)
            streamed = await chunks(gateway, "chat/completions", body)
        content = ChatCompletion.model_validate(whole, strict=True).choices[0].logprobs.content  # type: ignore[union-attr]
        assert content is not None
        assert [entry.token for entry in content] == TOKENS
        assert {len(entry.top_logprobs) for entry in content} == {entries}
        assert [bytes(entry.bytes or []).decode() for entry in content] == TOKENS
        nested = whole["choices"][0]["logprobs"]["content"]
        assert set(nested[0]) == {"token", "logprob", "bytes", "top_logprobs"}
        flat = [
            e for chunk in streamed for e in (chunk["choices"][0].get("logprobs") or {}).get("content", ())
        ]
        assert flat == nested
        for chunk in streamed:
            ChatCompletionChunk.model_validate(chunk, strict=True)

    async def test_each_choice_is_a_request_of_its_own_with_its_own_seed(self) -> None:
        engine_says = Llama(tokens=["seed {seed}"], delays=[0.05, 0.0, 0.02])
        async with llama.serving(engine_says) as engine, serving(hosted(engine)) as gateway:
            raw = await ask(gateway, "chat/completions", {**CHAT, "n": 3, "seed": 2**32 - 2})
            answer = ChatCompletion.model_validate(raw, strict=True)
            assert [body["seed"] for body in engine.engine.bodies] == [2**32 - 2, 0, 1]
        assert [choice.index for choice in answer.choices] == [0, 1, 2]
        assert [choice.message.content for choice in answer.choices] == [
            "seed 4294967294",
            "seed 0",
            "seed 1",
        ]
        # As in OpenAI's API the prompt counts once.
        assert raw["usage"] == {
            "prompt_tokens": 7,
            "completion_tokens": 3,
            "total_tokens": 10,
            "prompt_tokens_details": {"cached_tokens": 3},
        }

    async def test_choices_of_a_stream_share_one_identity(self) -> None:
        async with llama.serving() as engine, serving(hosted(engine)) as gateway:
            raw = await chunks(gateway, "chat/completions", {**CHAT, **ASKED, "n": 2})
            (line,) = await gateway.lines()
        assert len({(chunk["id"], chunk["created"], chunk["model"]) for chunk in raw}) == 1
        for index in (0, 1):
            mine = [c["choices"][0] for c in raw if c["choices"] and c["choices"][0]["index"] == index]
            assert "".join(choice["delta"].get("content") or "" for choice in mine) == SAID
            assert [choice["finish_reason"] for choice in mine if choice["finish_reason"]] == ["stop"]
        assert raw[-1]["usage"] == {
            "prompt_tokens": 7,
            "completion_tokens": 10,
            "total_tokens": 17,
            "prompt_tokens_details": {"cached_tokens": 3},
        }
        assert (line["prompt_tokens"], line["completion_tokens"]) == ("7", "10")


class TestCompletions:
    async def test_whole(self) -> None:
        async with llama.serving() as engine, serving(hosted(engine)) as gateway:
            answer = Completion.model_validate(await ask(gateway, "completions", TEXT), strict=True)
            assert engine.engine.bodies[0]["max_tokens"] == 16
        assert (answer.choices[0].text, answer.object) == (SAID, "text_completion")
        assert answer.choices[0].logprobs is None

    @pytest.mark.parametrize(("top", "entries"), [(0, 0), (1, 1), (3, 3)])
    @pytest.mark.parametrize("cut", [False, True])
    async def test_logprobs_are_flat(self, top: int, entries: int, cut: bool) -> None:
        body = {**TEXT, "logprobs": top}
        async with llama.serving(Llama(cut=cut)) as engine, serving(hosted(engine)) as gateway:
            raw = await ask(gateway, "completions", body)
            streamed = await chunks(gateway, "completions", body)
        answer = Completion.model_validate(raw, strict=True)
        logprobs = answer.choices[0].logprobs
        assert logprobs is not None
        assert logprobs.tokens == TOKENS
        assert logprobs.token_logprobs == [-0.5] * 5
        assert logprobs.text_offset == [0, 3, 8, 12, 13]
        # One more than asked for: the token that was taken is always among them.
        assert [len(one) for one in logprobs.top_logprobs or ()] == ([entries + 1] * 5 if entries else [])
        parts = [chunk["choices"][0].get("logprobs") or {} for chunk in streamed]
        for name in ("tokens", "text_offset"):
            assert [one for part in parts for one in part.get(name, ())] == getattr(logprobs, name)
        for chunk in streamed:
            check_text_chunk(chunk)

    async def test_prompts_and_choices_are_numbered_prompt_first(self) -> None:
        engine_says = Llama(tokens=["{prompt}"], delays=[0.04, 0.02, 0.0, 0.01])
        async with llama.serving(engine_says) as engine, serving(hosted(engine)) as gateway:
            for body in ({**TEXT, "prompt": ["a", "b"], "n": 2}, {**TEXT, "prompt": [[5], [6, 7]], "n": 2}):
                answer = await ask(gateway, "completions", body)
                texts = [(choice["index"], choice["text"]) for choice in answer["choices"]]
                first, second = map(str, body["prompt"])  # type: ignore[arg-type]
                assert texts == [(0, first), (1, first), (2, second), (3, second)]
                assert answer["usage"] == {
                    "prompt_tokens": 14,
                    "completion_tokens": 4,
                    "total_tokens": 18,
                    "prompt_tokens_details": {"cached_tokens": 6},
                }

    async def test_token_ids_are_one_prompt(self) -> None:
        async with llama.serving() as engine, serving(hosted(engine)) as gateway:
            assert len((await ask(gateway, "completions", {**TEXT, "prompt": [5, 6]}))["choices"]) == 1
            assert engine.engine.bodies[0]["prompt"] == [5, 6]

    @pytest.mark.parametrize(
        ("prompt", "text"), [("Hi ", ["Hi "]), ([5, 6], ["<5><6>"]), (["a", "b"], ["a", "b"])]
    )
    async def test_echo_puts_the_prompt_first(self, prompt: Any, text: list[str]) -> None:
        body = {**TEXT, "prompt": prompt, "echo": True}
        async with llama.serving() as engine, serving(hosted(engine)) as gateway:
            whole = await ask(gateway, "completions", body)
            streamed = await chunks(gateway, "completions", body)
        assert [choice["text"] for choice in whole["choices"]] == [one + SAID for one in text]
        for index, one in enumerate(text):
            mine = [c["choices"][0] for c in streamed if c["choices"][0]["index"] == index]
            assert (mine[0]["text"], "".join(choice["text"] for choice in mine)) == (one, one + SAID)
        for chunk in streamed:
            check_text_chunk(chunk)


class TestOthers:
    async def test_models(self) -> None:
        async with llama.serving() as engine, serving(hosted(engine)) as gateway:
            listed = (await gateway.client.get("/v1/models")).json()
            one = (await gateway.client.get("/v1/models/foal")).json()
        assert (listed["object"], listed["data"]) == ("list", [one])
        assert Model.model_validate(one, strict=True).id == "paddock/foal"
        assert one["context_length"] == 512

    @pytest.mark.parametrize("how", ["float", "base64", None])
    async def test_embeddings(self, how: str | None) -> None:
        async with llama.serving() as engine, serving(hosted(engine, embeds=True)) as gateway:
            body = {"model": "foal", "input": ["a", "b"], "encoding_format": how}
            raw = await ask(gateway, "embeddings", body)
            (line,) = await gateway.lines()
        answer = CreateEmbeddingResponse.model_validate(
            raw if how != "base64" else json.loads(json.dumps(raw).replace('"AAAAPwAAgL4="', "[0.5, -0.25]"))
        )
        assert [(item.index, item.embedding) for item in answer.data] == [
            (0, [0.5, -0.25]),
            (1, [0.5, -0.25]),
        ]
        assert (answer.model, answer.usage.prompt_tokens, line["prompt_tokens"]) == ("paddock/foal", 4, "4")

    async def test_a_model_without_embeddings_says_which_has(self) -> None:
        async with llama.serving() as engine, serving(hosted(engine)) as gateway:
            answer = await gateway.post("/v1/embeddings", {"model": "foal", "input": "a"})
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "model")


class TestStops:
    @pytest.mark.parametrize(("path", "body"), [("chat/completions", CHAT), ("completions", TEXT)])
    @pytest.mark.parametrize("more", [{}, {"n": 2}])
    async def test_the_stop_string_that_was_met_is_shown(
        self, path: str, body: dict[str, Any], more: dict[str, Any]
    ) -> None:
        asked = {**body, **more, "stop": ["x", "END"], "include_stop_str_in_output": True}
        async with llama.serving(Llama(stopping_word="END")) as engine, serving(hosted(engine)) as gateway:
            whole = await ask(gateway, path, asked)
            streamed = await chunks(gateway, path, asked)
        assert "__verbose" not in json.dumps([whole, streamed])
        for choice in whole["choices"]:
            assert (choice.get("text") or choice["message"]["content"]) == SAID + "END"
        first = [chunk["choices"][0] for chunk in streamed if chunk["choices"][0]["index"] == 0]
        pieces = [one.get("text") or one.get("delta", {}).get("content") or "" for one in first]
        assert "".join(pieces) == SAID + "END"


class TestSpecialTokens:
    async def test_those_that_the_engine_knows_are_named_to_it(self) -> None:
        """Found by taking a text with every token apart, with and without them; the end is not shown."""
        known = Llama(special={7: "<|tool|>", 9: "<|im_end|>", 11: "<odd>"})
        asked = {**TEXT, "skip_special_tokens": False}
        async with llama.serving(known) as engine, serving(hosted(engine, vocabulary=5000)) as gateway:
            await ask(gateway, "completions", asked)
            await ask(gateway, "completions", {**asked, "include_stop_str_in_output": True})
            first, second = (body for body in engine.engine.bodies if "prompt" in body)
            assert engine.engine.paths.count("/detokenize") == 2
        assert first["preserved_tokens"] == ["<|tool|>", "<odd>"]
        assert second["preserved_tokens"] == ["<|tool|>", "<|im_end|>", "<odd>"]
