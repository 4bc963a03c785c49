"""Several replicas behind one name: who gets a request, and what happens when one dies or all are busy."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from bench import stub
from bench.behaviour import Behaviour
from paddock.inference.deployment import Deployment, Replica
from paddock.inference.upstream import Upstream
from tests.api.gateway import BOTH, CHAT, Gateway, eventually, serving

STREAMED = {**CHAT, "stream": True}


def managed(*engines: stub.Engine, **more: Any) -> Deployment:
    """A deployment of the store's, as a gateway sees it."""
    replicas = [
        Replica(Upstream(f"{engine.url}/v1", None, 20.0), f"rep-{number}", limit=more.pop("limit", 100))
        for number, engine in enumerate(engines)
    ]
    values = {"id": "dep-1", "wakes": True, "patience": 5.0, "most_waiting": 10, **more}
    return Deployment("stub", "attached", "stub", replicas=replicas, **values)


@contextlib.asynccontextmanager
async def two(first: Behaviour, second: Behaviour) -> AsyncIterator[tuple[Gateway, stub.Engine, stub.Engine]]:
    async with (
        stub.serving(first) as one,
        stub.serving(second) as other,
        serving(managed(one, other)) as gateway,
    ):
        yield gateway, one, other


class TestALostReplica:
    @pytest.mark.parametrize("mount", BOTH)
    @pytest.mark.parametrize("stream", [False, True])
    @pytest.mark.parametrize("behaviour", [Behaviour(drop=True), Behaviour(die_after=0)], ids=["drop", "die"])
    async def test_what_it_had_not_begun_to_answer_goes_to_another(
        self, mount: str, stream: bool, behaviour: Behaviour
    ) -> None:
        async with two(behaviour, Behaviour()) as (gateway, _, other):
            answers = [
                await gateway.post(f"{mount}/chat/completions", {**CHAT, "stream": stream}) for _ in range(4)
            ]
            assert [answer.status_code for answer in answers] == [200] * 4
            assert all("error" not in answer.text for answer in answers)
            assert other.stats.requests >= 4

    async def test_a_stream_that_has_begun_is_not_begun_again(self) -> None:
        async with two(Behaviour(die_after=2), Behaviour(die_after=2)) as (gateway, one, other):
            answer = await gateway.post("/v1/chat/completions", STREAMED)
            assert answer.text.count('"content"') >= 1
            assert '"engine_lost"' in answer.text
            assert one.stats.requests + other.stats.requests == 1

    async def test_a_request_that_kills_them_all_is_given_up(self) -> None:
        drop = Behaviour(drop=True)
        async with stub.serving(drop) as one, stub.serving(drop) as other:
            async with serving(managed(one, other, patience=0.2)) as gateway:
                answer = await gateway.post("/v1/chat/completions", CHAT)
                assert answer.status_code == 503
                assert one.stats.requests + other.stats.requests <= 3

    async def test_the_one_that_replaces_it_answers_who_waited(self) -> None:
        async with stub.serving(Behaviour(drop=True)) as dead, stub.serving() as fresh:
            deployment = managed(dead)
            async with serving(deployment) as gateway:
                asking = asyncio.create_task(gateway.post("/v1/chat/completions", CHAT))
                await eventually(lambda: deployment.waiting == 1)
                deployment.set_replicas(managed(fresh).replicas)
                assert (await asking).status_code == 200


class TestWaiting:
    async def test_requests_wait_for_the_first_replica(self) -> None:
        async with stub.serving() as engine:
            deployment = managed()
            woken: list[int] = []
            deployment.on_wait = lambda: woken.append(deployment.waiting)
            async with serving(deployment) as gateway:
                asking = [asyncio.create_task(gateway.post("/v1/chat/completions", CHAT)) for _ in range(3)]
                await eventually(lambda: deployment.waiting == 3)
                assert woken == [1, 2, 3]
                deployment.set_replicas(managed(engine).replicas)
                assert [(await one).status_code for one in asking] == [200] * 3
            assert (deployment.waiting, deployment.in_flight) == (0, 0)

    async def test_beyond_the_queue_the_answer_is_429_with_retry_after(self) -> None:
        deployment = managed(most_waiting=2)
        async with serving(deployment) as gateway:
            waiting = [asyncio.create_task(gateway.post("/v1/chat/completions", CHAT)) for _ in range(2)]
            await eventually(lambda: deployment.waiting == 2)
            refused = await gateway.post("/v1/chat/completions", CHAT)
            assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
            assert refused.json()["error"]["code"] == "queue_full"
            deployment.wakes = False
            deployment.ring()
            assert [(await one).status_code for one in waiting] == [503] * 2

    async def test_beyond_what_replicas_may_have_too(self) -> None:
        async with stub.serving(Behaviour(chunk_delay=30.0)) as engine:
            deployment = managed(engine, limit=2)
            async with serving(deployment) as gateway:
                running = [
                    asyncio.create_task(gateway.post("/v1/chat/completions", STREAMED)) for _ in range(2)
                ]
                await eventually(lambda: deployment.in_flight == 2)
                assert (await gateway.post("/v1/chat/completions", CHAT)).status_code == 429
                for one in running:
                    one.cancel()
                await asyncio.gather(*running, return_exceptions=True)
                await eventually(lambda: deployment.in_flight == 0)

    async def test_who_leaves_while_it_waits_is_forgotten(self) -> None:
        deployment = managed()
        async with serving(deployment) as gateway:
            asking = asyncio.create_task(gateway.post("/v1/chat/completions", CHAT))
            await eventually(lambda: deployment.waiting == 1)
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
            await eventually(lambda: deployment.waiting == 0)

    async def test_a_stopped_one_wakes_for_nobody(self) -> None:
        deployment = managed(wakes=False, stopped=True, problem="it was stopped")
        async with serving(deployment) as gateway:
            answer = await gateway.post("/v1/chat/completions", CHAT)
            assert answer.status_code == 503
            assert "it was stopped" in answer.json()["error"]["message"]
            assert (await gateway.client.get("/v1/models")).json()["data"] == []


class TestChoice:
    async def test_the_least_busy_one_gets_the_next(self) -> None:
        async with two(Behaviour(chunk_delay=0.05), Behaviour(chunk_delay=0.05)) as (gateway, one, other):
            requests = [
                gateway.post(
                    "/v1/chat/completions", {**CHAT, "messages": [{"role": "user", "content": str(n)}]}
                )
                for n in range(8)
            ]
            await asyncio.gather(*requests)
            assert (one.stats.requests, other.stats.requests) == (4, 4)

    async def test_a_conversation_goes_on_where_it_began(self) -> None:
        async with two(Behaviour(), Behaviour()) as (gateway, one, other):
            for start in ("a", "b"):
                messages = [{"role": "user", "content": start * 400}]
                before = (one.stats.requests, other.stats.requests)
                for turn in range(4):
                    answer = await gateway.post("/v1/chat/completions", {**CHAT, "messages": messages})
                    assert answer.status_code == 200
                    messages.append({"role": "user", "content": f"and {turn}"})
                after = (one.stats.requests, other.stats.requests)
                assert sorted(now - then for now, then in zip(after, before, strict=True)) == [0, 4]


class TestOneInstance:
    async def test_its_own_address_serves_it_alone(self) -> None:
        async with stub.serving() as engine, serving(managed(engine)) as gateway:
            answer = await gateway.post("/instances/dep-1/v1/chat/completions", CHAT)
            assert answer.status_code == 200
            models = (await gateway.client.get("/instances/dep-1/v1/models")).json()["data"]
            assert [model["id"] for model in models] == ["stub"]
            other = await gateway.post("/instances/dep-1/v1/chat/completions", {**CHAT, "model": "other"})
            unknown = await gateway.post("/instances/dep-2/v1/chat/completions", CHAT)
        assert (other.status_code, unknown.status_code) == (404, 404)
        assert unknown.json()["error"]["code"] == "instance_not_found"
