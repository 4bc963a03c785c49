"""Embeddings of a server that was asked to make them."""

from __future__ import annotations

from collections.abc import Iterator

import openai
import pytest
from openai import OpenAI

from tests.e2e.server import serving


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenAI]:
    with serving(tmp_path_factory.mktemp("embeddings"), "--embeddings") as server:
        with OpenAI(base_url=f"{server.url}/v1", api_key="any", max_retries=0) as client:
            yield client


def test_one_vector_for_each_text_in_order(client: OpenAI) -> None:
    both = client.embeddings.create(model="foal", input=["hello", "the capital of France"])
    alone = client.embeddings.create(model="foal", input="the capital of France")
    assert [item.index for item in both.data] == [0, 1]
    assert both.data[1].embedding == pytest.approx(alone.data[0].embedding, abs=0.01)
    assert both.data[0].embedding != pytest.approx(both.data[1].embedding, abs=0.01)
    assert both.usage.prompt_tokens > alone.usage.prompt_tokens > 0
    assert both.model == "paddock/foal"


def test_base64_is_the_same_vector_as_floats(client: OpenAI) -> None:
    # The package asks for base64 unless told otherwise, and decodes it.
    packed = client.embeddings.create(model="foal", input="hello")
    plain = client.embeddings.create(model="foal", input="hello", encoding_format="float")
    assert packed.data[0].embedding == pytest.approx(plain.data[0].embedding, abs=1e-5)


def test_too_long_an_input_tells_both_numbers(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match=r"\d+ tokens.* \d+ ") as caught:
        client.embeddings.create(model="foal", input="7 " * 5000)
    assert caught.value.code == "context_length_exceeded"


def test_empty_input_is_refused(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="input"):
        client.embeddings.create(model="foal", input="")


def test_the_same_server_still_chats(client: OpenAI) -> None:
    answer = client.chat.completions.create(model="foal", messages=[{"role": "user", "content": "Hello!"}])
    assert answer.choices[0].message.content
