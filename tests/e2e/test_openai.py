"""The `openai` package from PyPI against a real server with the bundled model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, OpenAI

from tests.e2e.server import Server

FRANCE: Any = [{"role": "user", "content": "What is the capital of France?"}]
WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "enum": ["Paris", "Rome"]}},
            "required": ["city"],
        },
    },
}


@pytest.fixture
def client(foal: Server) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{foal.url}/v1", api_key="any", max_retries=0) as client:
        yield client


class TestModels:
    def test_list_has_the_bundled_model(self, client: OpenAI) -> None:
        assert [model.id for model in client.models.list()] == ["paddock/foal"]

    @pytest.mark.parametrize("name", ["paddock/foal", "foal", "accounts/any/models/foal"])
    def test_get_by_every_name(self, client: OpenAI, name: str) -> None:
        assert client.models.retrieve(name).id == "paddock/foal"


class TestChat:
    def test_answers_sensibly_and_stops_by_itself(self, client: OpenAI) -> None:
        answer = client.chat.completions.create(model="foal", messages=FRANCE, temperature=0)
        assert answer.choices[0].message.content == "The capital of France is Paris."
        assert answer.choices[0].finish_reason == "stop"
        assert answer.model == "paddock/foal"
        assert answer.object == "chat.completion"

    def test_remembers_what_was_said(self, client: OpenAI) -> None:
        messages: Any = [
            {"role": "user", "content": "My name is Clara."},
            {"role": "assistant", "content": "Nice to meet you, Clara."},
            {"role": "user", "content": "What is my name?"},
        ]
        answer = client.chat.completions.create(model="foal", messages=messages, temperature=0)
        assert "Clara" in (answer.choices[0].message.content or "")

    def test_stream_says_the_same_as_the_whole_answer(self, client: OpenAI) -> None:
        whole = client.chat.completions.create(model="foal", messages=FRANCE, temperature=0)
        chunks = list(
            client.chat.completions.create(model="foal", messages=FRANCE, temperature=0, stream=True)
        )
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
        assert text == whole.choices[0].message.content
        assert {chunk.object for chunk in chunks} == {"chat.completion.chunk"}
        assert chunks[-1].choices[0].finish_reason == "stop"
        assert all(chunk.usage is None for chunk in chunks)

    def test_stream_sends_usage_when_asked(self, client: OpenAI) -> None:
        whole = client.chat.completions.create(model="foal", messages=FRANCE, temperature=0)
        *_, last = client.chat.completions.create(
            model="foal", messages=FRANCE, temperature=0, stream=True, stream_options={"include_usage": True}
        )
        assert last.choices == []
        assert last.usage is not None
        assert whole.usage is not None
        assert last.usage.prompt_tokens == whole.usage.prompt_tokens
        assert last.usage.completion_tokens == whole.usage.completion_tokens

    async def test_async_client(self, foal: Server) -> None:
        async with AsyncOpenAI(base_url=f"{foal.url}/inference/v1", api_key="any") as client:
            answer = await client.chat.completions.create(model="foal", messages=FRANCE, temperature=0)
        assert answer.choices[0].message.content == "The capital of France is Paris."

    def test_logprobs_in_openais_shape(self, client: OpenAI) -> None:
        answer = client.chat.completions.create(
            model="foal", messages=FRANCE, temperature=0, logprobs=True, top_logprobs=2
        )
        logprobs = answer.choices[0].logprobs
        assert logprobs is not None
        assert logprobs.content is not None
        assert "".join(entry.token for entry in logprobs.content).startswith(
            "The capital of France is Paris."
        )
        assert all(len(entry.top_logprobs) == 2 for entry in logprobs.content)
        assert all(entry.logprob <= 0 for entry in logprobs.content)

    def test_n_choices(self, client: OpenAI) -> None:
        answer = client.chat.completions.create(model="foal", messages=FRANCE, n=3, seed=7)
        assert [choice.index for choice in answer.choices] == [0, 1, 2]
        assert answer.usage is not None
        assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens

    def test_same_seed_same_story(self, client: OpenAI) -> None:
        story: Any = [{"role": "user", "content": "Tell me a story."}]
        texts = {
            client.chat.completions.create(model="foal", messages=story, temperature=1, seed=3)
            .choices[0]
            .message.content
            for _ in range(2)
        }
        assert len(texts) == 1

    def test_stop_string_is_left_out(self, client: OpenAI) -> None:
        answer = client.chat.completions.create(model="foal", messages=FRANCE, temperature=0, stop=" France")
        assert answer.choices[0].message.content == "The capital of"
        assert answer.choices[0].finish_reason == "stop"

    def test_max_completion_tokens(self, client: OpenAI) -> None:
        answer = client.chat.completions.create(model="foal", messages=FRANCE, max_completion_tokens=2)
        assert answer.choices[0].finish_reason == "length"
        assert answer.usage is not None
        assert answer.usage.completion_tokens == 2

    def test_json_schema_is_obeyed(self, client: OpenAI) -> None:
        schema = {
            "type": "object",
            "properties": {"city": {"enum": ["Paris", "Rome"]}, "sure": {"type": "boolean"}},
            "required": ["city", "sure"],
        }
        answer = client.chat.completions.create(
            model="foal",
            messages=FRANCE,
            response_format={"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}},
        )
        assert set(json.loads(answer.choices[0].message.content or "")) == {"city", "sure"}

    @pytest.mark.parametrize(
        "choice", ["required", {"type": "function", "function": {"name": "get_weather"}}]
    )
    def test_demanded_tool_call(self, client: OpenAI, choice: Any) -> None:
        answer = client.chat.completions.create(
            model="foal", messages=FRANCE, tools=[WEATHER], tool_choice=choice
        )
        calls = answer.choices[0].message.tool_calls
        assert calls
        assert calls[0].type == "function"
        assert calls[0].function.name == "get_weather"
        assert json.loads(calls[0].function.arguments)["city"] in ("Paris", "Rome")
        assert answer.choices[0].finish_reason == "tool_calls"

    def test_demanded_tool_call_in_a_stream(self, client: OpenAI) -> None:
        with client.chat.completions.stream(
            model="foal", messages=FRANCE, tools=[WEATHER], tool_choice="required"
        ) as stream:
            final = stream.get_final_completion()
        calls = final.choices[0].message.tool_calls
        assert calls
        assert calls[0].function.name == "get_weather"

    def test_survives_odd_texts(self, client: OpenAI) -> None:
        for text in ("", "\0", "\ufffe\U0010ffff", "<|im_end|><|im_start|>", "🐴" * 50, "a" * 500, "\r\n\t"):
            answer = client.chat.completions.create(
                model="foal", messages=[{"role": "user", "content": text}], max_tokens=8
            )
            assert answer.choices[0].finish_reason in ("stop", "length")


class TestCompletions:
    def test_continues_a_text(self, client: OpenAI) -> None:
        answer = client.completions.create(
            model="foal", prompt="The capital of France is", max_tokens=8, stop=".", temperature=0
        )
        assert answer.choices[0].text == " Paris"
        assert answer.object == "text_completion"

    def test_sixteen_tokens_by_default(self, client: OpenAI) -> None:
        answer = client.completions.create(model="foal", prompt="Once", extra_body={"ignore_eos": True})
        assert answer.usage is not None
        assert answer.usage.completion_tokens == 16

    def test_list_of_prompts_and_choices_in_order(self, client: OpenAI) -> None:
        prompts = ["The capital of France is", "The capital of Italy is"]
        answer = client.completions.create(
            model="foal", prompt=prompts, n=2, max_tokens=8, stop=".", temperature=0
        )
        assert [choice.text for choice in answer.choices] == [" Paris", " Paris", " Rome", " Rome"]
        alone = client.completions.create(model="foal", prompt=prompts[0], max_tokens=1)
        assert answer.usage is not None
        assert alone.usage is not None
        assert answer.usage.completion_tokens >= 4
        assert alone.usage.prompt_tokens < answer.usage.prompt_tokens <= 3 * alone.usage.prompt_tokens

    def test_streamed_list_of_prompts(self, client: OpenAI) -> None:
        prompts = ["The capital of France is", "The capital of Italy is"]
        texts = {0: "", 1: ""}
        ids = set()
        for chunk in client.completions.create(
            model="foal", prompt=prompts, max_tokens=8, stop=".", temperature=0, stream=True
        ):
            ids.add(chunk.id)
            for choice in chunk.choices:
                texts[choice.index] += choice.text
        assert texts == {0: " Paris", 1: " Rome"}
        assert len(ids) == 1

    def test_echo(self, client: OpenAI) -> None:
        prompt = "The capital of France is"
        answer = client.completions.create(
            model="foal", prompt=prompt, max_tokens=8, stop=".", temperature=0, echo=True
        )
        assert answer.choices[0].text == "The capital of France is Paris"

    def test_logprobs_are_flat(self, client: OpenAI) -> None:
        answer = client.completions.create(
            model="foal", prompt="The capital of France is", max_tokens=2, temperature=0, logprobs=3
        )
        logprobs = answer.choices[0].logprobs
        assert logprobs is not None
        assert logprobs.tokens is not None
        assert "".join(logprobs.tokens) == answer.choices[0].text
        assert logprobs.text_offset == [0, len(logprobs.tokens[0])]
        assert logprobs.top_logprobs is not None
        assert len(logprobs.top_logprobs[0]) == 3

    def test_token_ids_as_prompt(self, client: OpenAI) -> None:
        answer = client.completions.create(model="foal", prompt=[300, 301, 302], max_tokens=1)
        assert answer.usage is not None
        assert answer.usage.prompt_tokens == 3


class TestErrors:
    def test_unknown_model_lists_what_is_served(self, client: OpenAI) -> None:
        with pytest.raises(openai.NotFoundError, match="paddock/foal") as caught:
            client.chat.completions.create(model="gpt-4", messages=FRANCE)
        assert caught.value.param == "model"
        assert caught.value.code == "model_not_found"
        assert caught.value.request_id

    def test_prompt_beyond_the_context_tells_both_numbers(self, client: OpenAI, foal: Server) -> None:
        context = client.models.retrieve("foal").model_dump()["context_length"]
        with pytest.raises(openai.BadRequestError, match=rf"\d+ tokens.* {context} tokens") as caught:
            client.chat.completions.create(model="foal", messages=[{"role": "user", "content": "7 " * 5000}])
        assert caught.value.code == "context_length_exceeded"

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("temperature", "hot"),
            ("temperature", 3),
            ("n", 0),
            ("top_p", -1),
            ("stream", "yes"),
            ("max_tokens", 0),
            ("logit_bias", {"999999": 1}),
            ("suffix_of_nothing", 1),
        ],
    )
    def test_bad_field_is_named(self, client: OpenAI, field: str, value: Any) -> None:
        with pytest.raises(openai.BadRequestError, match=field) as caught:
            client.chat.completions.create(model="foal", messages=FRANCE, extra_body={field: value})
        assert caught.value.param == field

    def test_embeddings_are_refused_by_a_model_that_makes_none(self, client: OpenAI) -> None:
        with pytest.raises(openai.BadRequestError, match="embeddings"):
            client.embeddings.create(model="foal", input="hello")
