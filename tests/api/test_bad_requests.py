"""Whatever is sent, the answer is a 4xx in OpenAI's shape that says what would be right; never a 500."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bench import stub
from tests.api import llama
from tests.api.errors import error_of
from tests.api.gateway import BOTH, attached, serving
from tests.api.llama import hosted
from tests.api.wire import connected, request

CHAT = {"model": "foal", "messages": [{"role": "user", "content": "hi"}]}
TEXT = {"model": "foal", "prompt": "hi"}
POSTS = ("chat/completions", "completions", "embeddings")


class TestNames:
    @pytest.mark.parametrize(
        "name", ["org/foal", "foal", "accounts/fireworks/models/foal", "accounts/x/models/org/foal"]
    )
    @pytest.mark.parametrize("mount", BOTH)
    async def test_every_name_of_a_model(self, mount: str, name: str) -> None:
        async with stub.serving() as engine, serving(attached(engine.url, "org/foal")) as gateway:
            answer = await gateway.post(f"{mount}/chat/completions", {**CHAT, "model": name})
            assert answer.json()["model"] == "org/foal"
            one = await gateway.client.get(f"{mount}/models/{name}")
            assert one.json()["id"] == "org/foal"

    @pytest.mark.parametrize(
        "name", ["bar", "other/foal", "org/foal/", "/", "accounts/x/foal", "FOAL", "fo", " foal"]
    )
    async def test_what_is_not_served_is_404_with_what_is(self, name: str) -> None:
        served = [attached("http://127.0.0.1:9", one) for one in ("org/foal", "second")]
        async with serving(*served) as gateway:
            for answer in (
                await gateway.post("/v1/chat/completions", {**CHAT, "model": name}),
                await gateway.post("/inference/v1/completions", {**TEXT, "model": name}),
                await gateway.post("/v1/embeddings", {"model": name, "input": "x"}),
            ):
                error = error_of(answer, 404)
                assert (error["code"], error["param"]) == ("model_not_found", "model")
                assert "org/foal, second" in error["message"]
                assert repr(name) in error["message"]
            assert await gateway.metric("paddock_requests_total", model="") == 3

    async def test_a_short_name_of_two_is_400_with_both(self) -> None:
        served = [attached("http://127.0.0.1:9", one) for one in ("a/foal", "b/foal")]
        async with serving(*served) as gateway:
            error = error_of(await gateway.post("/v1/chat/completions", CHAT), 400)
            assert (error["code"], error["param"]) == ("model_ambiguous", "model")
            assert "a/foal, b/foal" in error["message"]
            assert (await gateway.client.get("/v1/models/b/foal")).status_code == 200

    async def test_a_full_name_wins_over_a_short_one(self) -> None:
        served = [attached("http://127.0.0.1:9", one) for one in ("a/foal", "foal")]
        async with serving(*served) as gateway:
            assert (await gateway.client.get("/v1/models/foal")).json()["id"] == "foal"


class TestRoutes:
    @pytest.mark.parametrize(
        "path", ["/v1/nothing", "/inference/v1/chat", "/v2/models", "/v1/chat/completions/x", "//", "/%00"]
    )
    async def test_an_unknown_route_is_404_with_those_there_are(self, path: str) -> None:
        async with serving() as gateway, connected(gateway.port) as wire:
            wire.send(request("GET", path))
            answer = await wire.answer()
            error = answer.json()["error"]
            assert (answer.status, error["code"]) == (404, "unknown_route")
            prefix = next((mount for mount in BOTH if path.startswith(mount)), "")
            assert f"GET {prefix}/{'models' if prefix else 'healthz'}" in error["message"]
            assert await gateway.metric("paddock_requests_total", route="unknown", status="404") == 1

    async def test_a_wrong_method_is_405_with_the_right_ones(self) -> None:
        async with serving() as gateway:
            for method, path, right in (
                ("GET", "/v1/chat/completions", "POST"),
                ("DELETE", "/v1/models/x/y", "GET"),
                ("POST", "/healthz", "GET"),
                ("OPTIONS", "/v1/completions", "POST"),
            ):
                answer = await gateway.client.request(method, path)
                assert answer.headers["allow"] == right
                assert right in error_of(answer, 405)["message"]

    async def test_a_body_over_the_limit(self) -> None:
        async with serving(max_body=1000) as gateway:
            error = error_of(await gateway.post("/v1/completions", {**TEXT, "prompt": "x" * 2000}), 413)
            assert "1000 bytes" in error["message"]


class TestBodies:
    @pytest.mark.parametrize("mount", BOTH)
    @pytest.mark.parametrize("path", POSTS)
    async def test_every_route_refuses_alike(self, mount: str, path: str) -> None:
        async with serving() as gateway:
            for body in (
                b"",
                b"x",
                b"[]",
                b"{}",
                b"\xff",
                b'{"model": 5}',
                b'{"model": "m"}',
                b"[" * 100_000,
            ):
                error_of(await gateway.client.post(f"{mount}/{path}", content=body), 400)

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("seed", 10**400),
            ("max_tokens", 10**400),
            ("top_k", 10**30),
            ("future", 10**30),
            ("future", {"deep": json.loads("[" * 190 + "]" * 190)}),
            ("future", [10**400]),
        ],
    )
    async def test_numbers_and_nesting_beyond_what_an_engine_could_read(self, field: str, value: Any) -> None:
        async with stub.serving() as engine, serving(attached(engine.url, "foal")) as gateway:
            answer = await gateway.post("/v1/chat/completions", {**CHAT, field: value})
            if answer.status_code != 200:
                assert error_of(answer, 400)["param"] == field

    async def test_more_choices_than_one_request_may_ask_for(self) -> None:
        async with llama.serving() as engine, serving(hosted(engine)) as gateway:
            error = error_of(
                await gateway.post("/v1/completions", {**TEXT, "prompt": ["a"] * 600, "n": 4}), 400
            )
            assert "2400 choices" in error["message"]
            assert error["param"] == "prompt"
            assert not engine.engine.bodies
