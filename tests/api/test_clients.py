"""The published clients themselves against the gateway: their parsing, their errors, their streams."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from fireworks import client as fireworks
from fireworks.client import error as fireworks_error

from bench import answers, stub
from bench.behaviour import Behaviour
from tests.api import llama
from tests.api.gateway import Gateway, attached, eventually, serving
from tests.api.llama import TOKENS, Llama, hosted

MESSAGES: Any = [{"role": "user", "content": "hi"}]
SAID = "".join(TOKENS)


def official(gateway: Gateway) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(
        base_url=f"http://127.0.0.1:{gateway.port}/v1", api_key="any", max_retries=0, timeout=10
    )


class TestOpenAI:
    async def test_chat_completions_models_and_embeddings(self) -> None:
        async with llama.serving() as engine, serving(hosted(engine, embeds=True)) as gateway:
            async with official(gateway) as client:
                chat = await client.chat.completions.create(
                    model="foal", messages=MESSAGES, logprobs=True, top_logprobs=1, n=2
                )
                assert [choice.message.content for choice in chat.choices] == [SAID, SAID]
                text = await client.completions.create(model="foal", prompt="hi", logprobs=1)
                assert text.choices[0].logprobs.tokens == TOKENS  # type: ignore[union-attr]
                assert [model.id async for model in client.models.list()] == ["paddock/foal"]
                assert (await client.models.retrieve("paddock/foal")).id == "paddock/foal"
                # It asks for base64 by itself and decodes it.
                vectors = await client.embeddings.create(model="foal", input=["a", "b"])
                assert [item.embedding for item in vectors.data] == [[0.5, -0.25]] * 2

    async def test_streams(self) -> None:
        async with llama.serving() as engine, serving(hosted(engine)) as gateway, official(gateway) as client:
            stream = await client.chat.completions.create(
                model="foal", messages=MESSAGES, stream=True, stream_options={"include_usage": True}
            )
            chunks = [chunk async for chunk in stream]
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
        assert text == SAID
        assert chunks[-1].usage is not None
        assert chunks[-1].usage.completion_tokens == 5

    async def test_errors_have_its_classes(self) -> None:
        async with stub.serving(Behaviour(status=429)) as engine:
            async with serving(attached(engine.url, "foal")) as gateway, official(gateway) as client:
                with pytest.raises(openai.NotFoundError) as missing:
                    await client.chat.completions.create(model="nothing", messages=MESSAGES)
                assert (missing.value.code, missing.value.param) == ("model_not_found", "model")
                with pytest.raises(openai.BadRequestError, match="temperature must be at most 2"):
                    await client.chat.completions.create(model="foal", messages=MESSAGES, temperature=9)
                with pytest.raises(openai.RateLimitError):
                    await client.chat.completions.create(model="foal", messages=MESSAGES)

    async def test_an_engine_that_dies_raises_within_the_stream(self) -> None:
        async with stub.serving(Behaviour(die_after=3)) as engine:
            async with serving(attached(engine.url, "foal")) as gateway, official(gateway) as client:
                stream = await client.chat.completions.create(model="foal", messages=MESSAGES, stream=True)
                seen = [await anext(stream) for _ in range(3)]
                assert seen[0].choices[0].delta.content == "A "
                with pytest.raises(openai.APIError, match="middle of its answer"):
                    await anext(stream)

    async def test_a_stream_that_is_left_stops_the_engine(self) -> None:
        async with stub.serving(Behaviour(chunk_delay=0.01)) as engine:
            async with serving(attached(engine.url, "foal")) as gateway, official(gateway) as client:
                stream = await client.chat.completions.create(model="foal", messages=MESSAGES, stream=True)
                async for _ in stream:
                    break
                await stream.close()
                await eventually(lambda: engine.stats.disconnects == 1, 1.0)


@pytest.fixture
def published() -> Iterator[Any]:
    before = fireworks.base_url, fireworks.api_key
    fireworks.api_key = "any"
    yield fireworks
    fireworks.base_url, fireworks.api_key = before


class TestFireworks:
    def point(self, client: Any, gateway: Gateway) -> None:
        client.base_url = f"http://127.0.0.1:{gateway.port}/inference/v1"

    async def test_chat_and_completion(self, published: Any) -> None:
        name = "accounts/fireworks/models/foal"
        async with llama.serving() as engine, serving(hosted(engine)) as gateway:
            self.point(published, gateway)
            chat = await published.ChatCompletion.acreate(name, messages=MESSAGES, logprobs=True, n=2)
            assert [choice.message.content for choice in chat.choices] == [SAID, SAID]
            text = await asyncio.to_thread(published.Completion.create, name, "hi", logprobs=2, echo=False)
            assert text.choices[0].logprobs.tokens == TOKENS

    async def test_streams(self, published: Any) -> None:
        async with llama.serving(Llama(delays=[0.02, 0])) as engine, serving(hosted(engine)) as gateway:
            self.point(published, gateway)
            stream = published.ChatCompletion.acreate("foal", messages=MESSAGES, stream=True)
            chunks = [chunk async for chunk in stream]
            assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == SAID
            assert chunks[-1].usage.completion_tokens == 5

            def collect() -> list[Any]:
                return list(published.Completion.create("foal", "hi", stream=True, logprobs=1))

            texts = await asyncio.to_thread(collect)
            assert "".join(chunk.choices[0].text for chunk in texts) == SAID

    async def test_an_attached_engine_of_another_make(self, published: Any) -> None:
        async with stub.serving() as engine, serving(attached(engine.url, "foal")) as gateway:
            self.point(published, gateway)
            stream = published.ChatCompletion.acreate("foal", messages=MESSAGES, stream=True)
            text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
            assert text == answers.STREAMED

    async def test_models_and_errors(self, published: Any) -> None:
        async with llama.serving() as engine, serving(hosted(engine)) as gateway:
            self.point(published, gateway)
            listed = await asyncio.to_thread(published.Model.list)
            assert [model.id for model in listed.data] == ["paddock/foal"]
            with pytest.raises(fireworks_error.InvalidRequestError, match="temperature must be at most 2"):
                await published.Completion.acreate("foal", "hi", temperature=9)
