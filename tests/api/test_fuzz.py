"""Thousands of requests that are nearly right: none may be a 500, each refusal is in OpenAI's shape."""

from __future__ import annotations

import copy
import random
from typing import Any

import pytest

from bench import stub
from bench.behaviour import Behaviour
from tests.api import llama
from tests.api.errors import error_of
from tests.api.gateway import BOTH, Gateway, attached, serving
from tests.api.llama import hosted

CHAT = {"model": "foal", "messages": [{"role": "user", "content": "hi"}]}
TEXT = {"model": "foal", "prompt": "hi"}
SEEDS: list[tuple[str, dict[str, Any]]] = [
    (
        "chat/completions",
        {
            **CHAT,
            "stream": False,
            "n": 1,
            "temperature": 1,
            "stop": ["x"],
            "logit_bias": {"5": 1},
            "seed": 5,
            "logprobs": True,
            "top_logprobs": 2,
            "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {}}},
            "tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}],
            "tool_choice": {"type": "function", "function": {"name": "f"}},
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "hi"}]},
                {"role": "assistant", "content": None, "tool_calls": [{}]},
            ],
        },
    ),
    (
        "completions",
        {
            **TEXT,
            "prompt": ["a", "b"],
            "n": 2,
            "best_of": 2,
            "logprobs": 2,
            "logit_bias": {"7": 2},
            "max_tokens": 5,
        },
    ),
    (
        "completions",
        {
            **TEXT,
            "prompt": [[1, 2], [3]],
            "echo": True,
            "stream": True,
            "stream_options": {"include_usage": True},
        },
    ),
    ("embeddings", {"model": "foal", "input": ["a"], "encoding_format": "base64", "dimensions": 5}),
]
ODD: list[Any] = [
    None,
    True,
    False,
    0,
    -1,
    1,
    2.5,
    1e308,
    10**30,
    -(10**30),
    "",
    "x",
    "\x00",
    "é" * 50,
    [],
    {},
    [[]],
    [None],
    {"": None},
    ["x", 1],
    {"type": "x"},
    {"type": "function", "function": "f"},
    {"type": "json_schema"},
    [{"role": "user"}],
    "none",
    "required",
    "9" * 5000,
    {"9" * 5000: 1},
    {"x": "y"},
    [1, [2]],
    [""],
    {"function": {"name": 5}, "type": "function"},
]


def places(value: Any, way: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to everything inside."""
    found = [way] if way else []
    steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, inner in steps:
        found += places(inner, (*way, step))
    return found


def mutated(dice: random.Random, body: dict[str, Any]) -> dict[str, Any]:
    body = copy.deepcopy(body)
    for _ in range(dice.choice((1, 1, 1, 2, 3))):
        ways = places(body)
        if not ways:
            break
        *way, last = dice.choice(ways)
        target: Any = body
        for step in way:
            target = target[step]
        what = dice.random()
        if what < 0.15:
            del target[last]
        elif what < 0.25 and isinstance(target, dict):
            target[str(last)[:20] + "x"] = target.pop(last)
        else:
            target[last] = copy.deepcopy(dice.choice(ODD))
    return body


class TestFuzz:
    async def hammer(self, gateway: Gateway, seed: int, rounds: int) -> None:
        dice = random.Random(seed)
        statuses: dict[int, int] = {}
        for _ in range(rounds):
            path, base = dice.choice(SEEDS)
            body = mutated(dice, base)
            answer = await gateway.post(f"{dice.choice(BOTH)}/{path}", body)
            statuses[answer.status_code] = statuses.get(answer.status_code, 0) + 1
            assert answer.status_code in (200, 400, 404), (path, body, answer.text[:300])
            if answer.status_code != 200:
                error_of(answer, answer.status_code)
        assert min(statuses.get(200, 0), statuses.get(400, 0)) > rounds // 50, statuses

    @pytest.mark.parametrize("seed", range(3))
    async def test_a_llama_cpp_model_with_tools(self, seed: int) -> None:
        async with llama.serving() as engine, serving(hosted(engine, tools=True, embeds=True)) as gateway:
            await self.hammer(gateway, seed, 300)

    @pytest.mark.parametrize("seed", range(3, 5))
    async def test_an_attached_server(self, seed: int) -> None:
        async with stub.serving(Behaviour(chunks=2)) as engine:
            deployment = attached(engine.url, "foal", embeds=False)
            async with serving(deployment) as gateway:
                await self.hammer(gateway, seed, 300)
