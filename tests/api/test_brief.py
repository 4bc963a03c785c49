"""Answers that are soon over: llama.cpp is asked for them whole, and the caller sees no difference."""

from __future__ import annotations

from typing import Any

import pytest

from paddock.inference.pace import Pace
from paddock.inference.routing import Deployment
from tests.api import llama
from tests.api.gateway import BOTH, Gateway, eventually, serving
from tests.api.llama import Llama, hosted
from tests.api.wire import connected, request

CHAT = {"model": "foal", "messages": [{"role": "user", "content": "hi"}]}
TEXT = {"model": "foal", "prompt": "hi"}
BODIES = {"chat/completions": {**CHAT, "max_tokens": 20}, "completions": {**TEXT, "max_tokens": 20}}


def quick(engine: Llama, seconds: float = 0.001, **more: Any) -> Deployment:
    """A deployment whose engine is known to need so many seconds for a token."""
    pace = Pace(2)
    pace.note(100, 100 * seconds, 1)
    return hosted(engine, pace=pace, **more)


def without_identity(answer: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in answer.items() if name not in ("id", "created")}


class TestSameAnswer:
    @pytest.mark.parametrize("mount", BOTH)
    @pytest.mark.parametrize("path", BODIES)
    @pytest.mark.parametrize("more", [{}, {"echo": True}, {"stop": ["x"], "seed": 3}])
    async def test_as_from_a_stream(self, mount: str, path: str, more: dict[str, Any]) -> None:
        chat = path.startswith("chat")
        if chat and "echo" in more:
            more = {}
        answers = []
        async with llama.serving() as engine:
            for deployment in (hosted(engine), quick(engine)):
                async with serving(deployment) as gateway:
                    answer = await gateway.post(f"{mount}/{path}", {**BODIES[path], **more})
                    (line,) = await gateway.lines()
                    answers.append(without_identity(answer.json()))
                    assert answer.status_code == 200
                    assert (line["prompt_tokens"], line["completion_tokens"]) == ("7", "5")
            streamed, whole = (body["stream"] for body in engine.engine.bodies)
        assert (streamed, whole) == (True, False)
        assert answers[0] == answers[1]

    async def test_each_has_an_id_of_ours(self) -> None:
        async with llama.serving() as engine, serving(quick(engine)) as gateway:
            answer = await gateway.post("/v1/chat/completions", BODIES["chat/completions"])
        assert answer.json()["id"] == f"chatcmpl-{answer.headers['x-request-id']}"

    async def test_tool_calls(self) -> None:
        function = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
        async with llama.serving(Llama(calls=2)) as engine, serving(quick(engine, tools=True)) as gateway:
            answer = await gateway.post(
                "/v1/chat/completions", {**BODIES["chat/completions"], "tools": [function]}
            )
        (choice,) = answer.json()["choices"]
        assert [call["id"] for call in choice["message"]["tool_calls"]] == ["call-0", "call-1"]
        assert choice["message"]["content"] is None


class TestWhatIsAskedWhole:
    @pytest.mark.parametrize(
        ("body", "seconds"),
        [
            (CHAT, 0.001),
            ({**CHAT, "max_tokens": 20}, 0.1),
            ({**CHAT, "max_tokens": 20, "messages": [{"role": "user", "content": "word " * 10_000}]}, 0.001),
            ({**CHAT, "max_tokens": 20, "n": 2}, 0.001),
            ({**CHAT, "max_tokens": 20, "stream": True}, 0.001),
            ({**CHAT, "max_tokens": 20, "logprobs": True}, 0.001),
        ],
        ids=["no limit", "slow engine", "long prompt", "several choices", "stream", "logprobs"],
    )
    async def test_not_what_may_take_longer(self, body: dict[str, Any], seconds: float) -> None:
        async with llama.serving() as engine, serving(quick(engine, seconds)) as gateway:
            assert (await gateway.post("/v1/chat/completions", body)).is_success
            assert all(sent["stream"] for sent in engine.engine.bodies)

    async def test_not_what_would_have_to_wait(self) -> None:
        async with llama.serving() as engine:
            deployment = quick(engine)
            for _ in range(deployment.pace.slots):
                deployment.replicas[0].begin()
            async with serving(deployment) as gateway:
                assert (await gateway.post("/v1/chat/completions", {**CHAT, "max_tokens": 20})).is_success
            assert [sent["stream"] for sent in engine.engine.bodies] == [True]

    async def test_what_the_last_answers_took_decides(self) -> None:
        async with llama.serving(Llama(tokens=["a"] * 10)) as engine:
            async with serving(hosted(engine, pace=Pace(2))) as gateway:
                for delay in (0, 0, 2.0, 0):
                    engine.delays = [delay]
                    await gateway.post("/v1/chat/completions", {**CHAT, "max_tokens": 10})
            assert [sent["stream"] for sent in engine.engine.bodies] == [True, False, False, True]


async def leave(gateway: Gateway, engine: Llama) -> None:
    """Asks, and goes away once the engine has the request."""
    async with connected(gateway.port) as wire:
        wire.send(request("POST", "/v1/chat/completions", BODIES["chat/completions"]))
        await eventually(lambda: bool(engine.engine.bodies))


class TestCallerWhoLeaves:
    async def test_is_counted_what_the_engine_made_for_him(self) -> None:
        async with llama.serving(Llama(delays=[0.3])) as engine, serving(quick(engine)) as gateway:
            await leave(gateway, engine)
            (line,) = await gateway.lines()
            assert (line["status"], line["completion_tokens"], line["prompt_tokens"]) == ("499", "5", "7")
            assert engine.engine.left == 0

    async def test_does_not_hold_an_engine_that_is_slower_than_it_was(self) -> None:
        async with llama.serving(Llama(delays=[30])) as engine, serving(quick(engine)) as gateway:
            await leave(gateway, engine)
            await eventually(lambda: engine.engine.left == 1)
            await eventually(lambda: gateway.app.in_flight == 0)


class TestEngineThatFails:
    @pytest.mark.parametrize(
        "answer",
        [{}, {"choices": [{}]}, {"choices": [{"message": 3}]}, {"choices": [{"message": {"content": 5}}]}],
    )
    async def test_an_answer_that_is_none_is_a_502(
        self, answer: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(llama, "_whole", lambda *_, **__: answer)
        async with llama.serving() as engine, serving(quick(engine)) as gateway:
            given = await gateway.post("/v1/chat/completions", BODIES["chat/completions"])
        assert (given.status_code, given.json()["error"]["code"]) == (502, "engine_failed")
