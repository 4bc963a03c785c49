"""Draining: what runs finishes, what comes is told when to come back."""

from __future__ import annotations

import asyncio

import pytest

from bench import answers, stub
from bench.behaviour import Behaviour
from paddock.errors import Unavailable
from tests.api.gateway import BOTH, CHAT, Gateway, attached, eventually, serving
from tests.api.wire import connected, request

STREAMED = {**CHAT, "stream": True}


def drain(gateway: Gateway) -> None:
    """What main.py does at the first signal."""
    gateway.app.refusal = Unavailable("the server is shutting down", code="draining", retry_after=5)
    gateway.http.drain()


class TestDrain:
    @pytest.mark.parametrize("stream", [False, True])
    async def test_a_running_request_finishes_and_its_connection_ends(self, stream: bool) -> None:
        behaviour = Behaviour(first_delay=0.1, chunk_delay=0.001)
        async with stub.serving(behaviour) as engine, serving(attached(engine.url)) as gateway:
            async with connected(gateway.port) as wire:
                wire.send(request("POST", "/v1/chat/completions", {**CHAT, "stream": stream}))
                await eventually(lambda: engine.stats.in_flight == 1)
                drain(gateway)
                answer = await wire.answer()
                assert answer.status == 200
                whole = b"".join(answers.events("chat")) if stream else answers.plain("chat")
                assert answer.body == whole
                assert answer.headers["connection"] == "close"
                assert await wire.ended()
            await eventually(lambda: gateway.app.in_flight == 0)

    @pytest.mark.parametrize("mount", BOTH)
    async def test_a_new_request_is_503_with_a_time_to_come_back(self, mount: str) -> None:
        async with stub.serving() as engine, serving(attached(engine.url)) as gateway:
            drain(gateway)
            async with connected(gateway.port) as wire:
                wire.send(request("POST", f"{mount}/chat/completions", STREAMED))
                answer = await wire.answer()
                error = answer.json()["error"]
                assert (answer.status, answer.headers["retry-after"]) == (503, "5")
                assert (error["code"], error["type"]) == ("draining", "server_error")
                assert answer.headers["connection"] == "close"
                assert await wire.ended()
            assert engine.stats.requests == 0

    async def test_a_request_on_an_old_connection_too(self) -> None:
        """Its sender had begun before the drain, so that its connection was not idle."""
        async with serving() as gateway, connected(gateway.port) as wire:
            whole = request("GET", "/v1/models")
            wire.send(whole[:10])
            await eventually(lambda: any(not one.idle for one in gateway.http.connections))
            drain(gateway)
            wire.send(whole[10:])
            assert (await wire.answer()).status == 503
            assert await wire.ended()

    async def test_an_idle_connection_is_told_and_not_cut_off(self) -> None:
        async with serving() as gateway, connected(gateway.port) as wire:
            wire.send(request("GET", "/v1/models"))
            assert (await wire.answer()).status == 200
            drain(gateway)
            wire.send(request("GET", "/v1/models"))
            answer = await wire.answer()
            assert (answer.status, answer.headers["retry-after"]) == (503, "5")
            assert await wire.ended()

    async def test_probes_are_told(self) -> None:
        async with serving() as gateway:
            assert (await gateway.client.get("/healthz")).json() == {"status": "ok"}
            assert (await gateway.client.get("/readyz")).status_code == 200
            drain(gateway)
            health = await gateway.client.get("/healthz")
            assert (health.status_code, health.json()["status"]) == (503, "draining")
            assert (await gateway.client.get("/readyz")).status_code == 503
            # What an operator looks at stays.
            assert (await gateway.client.get("/metrics")).status_code == 200
            assert (await gateway.client.get("/docs")).status_code == 200

    async def test_close_cancels_what_is_left(self) -> None:
        async with stub.serving(Behaviour(hang=True)) as engine, serving(attached(engine.url)) as gateway:
            async with connected(gateway.port) as wire:
                wire.send(request("POST", "/v1/chat/completions", CHAT))
                await eventually(lambda: engine.stats.in_flight == 1)
                async with asyncio.timeout(2):
                    await gateway.http.close()
                await eventually(lambda: engine.stats.disconnects == 1, 1.0)
                assert await wire.ended()
            assert gateway.app.in_flight == 0
