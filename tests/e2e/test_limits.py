"""What a key may use, met by a real client."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
from openai import OpenAI

from tests.e2e.server import Server, serving, until

HELLO: Any = [{"role": "user", "content": "Tell me a story about a fox."}]
PRICES = """
[models."*"]
prompt = 1000
completion = 1000
"""
A_TOKEN = 0.001


@dataclass
class Place:
    server: Server
    data: Path

    @contextlib.contextmanager
    def client(self, name: str, *options: str) -> Iterator[OpenAI]:
        """With a new key."""
        command = [sys.executable, "-m", "paddock", "keys", "create", "--name", name, "--project", "shop"]
        command += [*options, "--json", "--data-dir", str(self.data)]
        made = json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout)
        client = OpenAI(base_url=f"{self.server.url}/v1", api_key=made["secret"], max_retries=0)
        # Known to both processes within a tenth of a second or two.
        until(lambda: all(self._knows(made["secret"]) for _ in range(8)), 5)
        with client:
            yield client

    def _knows(self, secret: str) -> bool:
        headers = {"authorization": f"Bearer {secret}"}
        return httpx2.get(f"{self.server.url}/v1/models", headers=headers).status_code == 200


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("limits")
    (folder / "data").mkdir()
    (folder / "data" / "prices.toml").write_text(PRICES)
    with serving(folder, "--require-keys", "--workers", "2") as server:
        yield Place(server, folder / "data")


class TestLimits:
    def test_requests_per_minute(self, place: Place) -> None:
        with place.client("three", "--rpm", "3") as client:
            for _ in range(3):
                client.chat.completions.create(model="foal", messages=HELLO, max_tokens=2)
            with pytest.raises(openai.RateLimitError) as caught:
                client.chat.completions.create(model="foal", messages=HELLO, max_tokens=2)
            headers = caught.value.response.headers
            assert caught.value.code == "rate_limit_exceeded"
            assert 50 <= int(headers["retry-after"]) <= 61
            assert headers["x-ratelimit-limit-requests"] == "3"
            assert headers["x-ratelimit-remaining-requests"] == "0"

    def test_good_answers_say_what_is_left(self, place: Place) -> None:
        with place.client("many", "--rpm", "500", "--tpm", "100000") as client:
            raw = client.chat.completions.with_raw_response.create(model="foal", messages=HELLO, max_tokens=2)
            assert raw.headers["x-ratelimit-limit-requests"] == "500"
            assert int(raw.headers["x-ratelimit-remaining-requests"]) <= 499
            assert int(raw.headers["x-ratelimit-remaining-tokens"]) < 100_000
            with client.chat.completions.with_streaming_response.create(
                model="foal", messages=HELLO, max_tokens=2, stream=True
            ) as streamed:
                assert streamed.headers["x-ratelimit-limit-tokens"] == "100000"

    def test_a_stream_ends_with_the_budget(self, place: Place) -> None:
        with place.client("poor", "--budget", str(60 * A_TOKEN), "--budget-period", "total") as client:
            with pytest.raises(openai.APIError, match="budget") as caught:
                _tell_stories(client)
            assert caught.value.code == "insufficient_quota"
            with pytest.raises(openai.RateLimitError) as again:
                client.chat.completions.create(model="foal", messages=HELLO, max_tokens=2)
            assert again.value.code == "insufficient_quota"
            headers = {"authorization": f"Bearer {client.api_key}"}
            usage = httpx2.get(f"{place.server.url}/api/v1/usage?group_by=key", headers=headers).json()
            (own,) = [one for one in usage["data"] if one["key"] == _id(place, client)]
            spent = own["cost"]["amount"]
            assert spent == pytest.approx((own["prompt_tokens"] + own["completion_tokens"]) * A_TOKEN)
            # The last prompt, and what comes before the engine knows that it is to stop, counts too.
            assert 55 * A_TOKEN <= spent <= 90 * A_TOKEN


def _tell_stories(client: OpenAI) -> None:
    for _ in range(20):
        with client.chat.completions.create(
            model="foal", messages=HELLO, stream=True, temperature=1, max_tokens=400
        ) as stream:
            for _ in stream:
                pass


def _id(place: Place, client: OpenAI) -> str:
    headers = {"authorization": f"Bearer {client.api_key}"}
    return str(httpx2.get(f"{place.server.url}/api/v1/keys/self", headers=headers).json()["id"])
