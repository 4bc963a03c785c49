"""Traces: one for each request under its id, which says where the time went and nothing of what was said."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from bench import stub
from bench.behaviour import Behaviour
from paddock.inference.deployment import Deployment, Replica
from paddock.inference.upstream import Upstream
from tests.api import otlp
from tests.api.gateway import CHAT, TEXT, Gateway, attached, eventually, serving
from tests.api.wire import connected, request

CALLERS = "0af7651916cd43dd8448eb211c80319c"


@contextlib.asynccontextmanager
async def traced(
    collector: otlp.Collector, *deployments: Deployment, **settings: Any
) -> AsyncIterator[Gateway]:
    """A gateway whose traces have all been collected when the block is over."""
    level = logging.getLogger("opentelemetry").level
    async with serving(*deployments, otlp_endpoint=collector.url, **settings) as gateway:
        try:
            yield gateway
        finally:
            assert gateway.app.tracer is not None
            await gateway.app.tracer.close()
            logging.getLogger("opentelemetry").setLevel(level)


class TestTrace:
    @pytest.mark.parametrize("stream", [False, True])
    @pytest.mark.parametrize(
        ("path", "body", "operation"),
        [
            ("/v1/chat/completions", CHAT, "chat"),
            ("/inference/v1/completions", TEXT, "text_completion"),
        ],
    )
    async def test_spans_of_a_request(
        self, path: str, body: dict[str, Any], operation: str, stream: bool
    ) -> None:
        before = time.time_ns()
        behaviour = Behaviour(first_delay=0.05, chunk_delay=0.001)
        with otlp.collecting() as collector:
            async with stub.serving(behaviour) as engine:
                async with traced(collector, attached(engine.url)) as gateway:
                    answer = await gateway.post(path, {**body, "stream": stream})
        spans = collector.of(answer.headers["x-request-id"])
        names = [f"POST {path}", "engine", *(["first token"] if stream else [])]
        assert sorted(spans) == sorted(names)
        whole, attempt = spans[f"POST {path}"], spans["engine"]
        assert (whole.parent, attempt.parent) == ("", whole.id)
        assert before < whole.start <= attempt.start < attempt.end <= whole.end < time.time_ns()
        if stream:
            first = spans["first token"]
            assert (first.parent, first.start) == (attempt.id, attempt.start)
            assert 0.05 <= (first.end - first.start) / 1e9 < (attempt.end - attempt.start) / 1e9
        assert whole.attributes == {
            "http.request.method": "POST",
            "http.route": path,
            "http.response.status_code": 200,
            "url.path": path,
            "url.scheme": "http",
            "gen_ai.operation.name": operation,
            "gen_ai.request.model": "stub",
            "gen_ai.usage.input_tokens": 9,
            "gen_ai.usage.output_tokens": 64 if stream else 12,
            "paddock.deployment": "stub",
            "paddock.project": "local",
        }
        assert not whole.failed
        assert collector.requests[0][0] == "/v1/traces"
        assert collector.resources[0].keys() >= {"service.name", "service.instance.id"}
        assert collector.resources[0]["service.name"] == "paddock"

    async def test_prompts_and_answers_are_in_none(self) -> None:
        body = {**CHAT, "messages": [{"role": "user", "content": "PRIVATE"}]}
        with otlp.collecting() as collector:
            async with stub.serving() as engine, traced(collector, attached(engine.url)) as gateway:
                for stream in (False, True):
                    await gateway.post("/v1/chat/completions?PRIVATE", {**body, "stream": stream})
        sent = b"".join(data for _, _, data in collector.requests)
        assert b"engine" in sent
        assert b"PRIVATE" not in sent
        assert b"foal" not in sent

    async def test_a_request_that_is_refused(self) -> None:
        with otlp.collecting() as collector:
            async with traced(collector) as gateway:
                answer = await gateway.post("/v1/chat/completions", {**CHAT, "model": "nothing"})
                await gateway.client.get("/healthz")
        (span,) = collector.spans
        assert span.trace == answer.headers["x-request-id"]
        assert span.attributes["error.type"] == "model_not_found"
        assert not span.failed

    async def test_engines_that_fail_and_the_one_that_answers(self) -> None:
        with otlp.collecting() as collector:
            async with stub.serving(Behaviour(drop=True)) as broken, stub.serving() as sound:
                replicas = [
                    Replica(Upstream(f"{engine.url}/v1", None, 20), id=name)
                    for name, engine in (("broken", broken), ("sound", sound))
                ]
                deployment = attached(broken.url, id="d", wakes=True, patience=5, most_waiting=5)
                deployment.replicas = replicas[:1]
                async with traced(collector, deployment) as gateway:
                    asking = asyncio.ensure_future(gateway.post("/v1/chat/completions", CHAT))
                    await eventually(lambda: deployment.waiting == 1)
                    deployment.set_replicas(replicas)
                    await asking
        attempts = sorted((one for one in collector.spans if one.name == "engine"), key=lambda one: one.start)
        assert [
            (one.attributes["paddock.replica"], one.attributes.get("error.type"), one.failed)
            for one in attempts
        ] == [("broken", "engine_lost", True), ("sound", None, False)]
        (queue,) = [one for one in collector.spans if one.name == "queue"]
        assert attempts[0].end <= queue.start < queue.end <= attempts[1].start

    async def test_the_wait_for_an_engine_that_wakes(self) -> None:
        with otlp.collecting() as collector:
            async with stub.serving() as engine:
                deployment = attached(engine.url)
                replicas, deployment.replicas = deployment.replicas, []
                deployment = dataclasses.replace(
                    deployment, replicas=[], asleep=True, wakes=True, patience=5, most_waiting=5
                )
                async with traced(collector, deployment) as gateway:
                    asking = asyncio.ensure_future(gateway.post("/v1/chat/completions", CHAT))
                    await eventually(lambda: deployment.waiting == 1)
                    await asyncio.sleep(0.05)
                    deployment.set_replicas(replicas)
                    identity = (await asking).headers["x-request-id"]
        spans = collector.of(identity)
        assert spans["wake"].end - spans["wake"].start >= 0.05e9
        assert spans["wake"].end <= spans["engine"].start

    async def test_a_caller_who_leaves(self) -> None:
        with otlp.collecting() as collector:
            async with stub.serving(Behaviour(hang=True)) as engine:
                async with traced(collector, attached(engine.url)) as gateway:
                    async with connected(gateway.port) as wire:
                        wire.send(request("POST", "/v1/chat/completions", CHAT))
                        await eventually(lambda: engine.stats.in_flight == 1)
                    await eventually(lambda: gateway.app.in_flight == 0)
        assert {(one.attributes["error.type"], one.failed) for one in collector.spans} == {("aborted", False)}
        assert {one.attributes.get("http.response.status_code", 499) for one in collector.spans} == {499}

    async def test_a_caller_who_leaves_within_a_stream(self) -> None:
        with otlp.collecting() as collector:
            async with stub.serving(Behaviour(chunks=2000, chunk_delay=0.001)) as engine:
                async with traced(collector, attached(engine.url)) as gateway:
                    async with connected(gateway.port) as wire:
                        wire.send(request("POST", "/v1/chat/completions", {**CHAT, "stream": True}))
                        await wire.reader.readuntil(b"data: ")
                    await eventually(lambda: gateway.app.in_flight == 0)
        spans = {one.name: one for one in collector.spans}
        first, attempt = spans["first token"], spans["engine"]
        assert (first.parent, attempt.attributes["error.type"]) == (attempt.id, "aborted")
        assert first.start == attempt.start < first.end < attempt.end


class TestLink:
    async def test_the_callers_trace_is_a_link_and_no_parent(self) -> None:
        headers = {"traceparent": f"00-{CALLERS}-b7ad6b7169203331-01", "tracestate": "shop=1"}
        with otlp.collecting() as collector:
            async with stub.serving() as engine, traced(collector, attached(engine.url)) as gateway:
                answer = await gateway.post("/v1/chat/completions", CHAT, headers=headers)
        whole = collector.of(answer.headers["x-request-id"])["POST /v1/chat/completions"]
        assert whole.trace != CALLERS
        assert whole.parent == ""
        assert whole.links == [(CALLERS, "b7ad6b7169203331")]

    @pytest.mark.parametrize(
        "header",
        [
            "",
            "x",
            f"00-{CALLERS}-b7ad6b7169203331",
            f"ff-{CALLERS}-b7ad6b7169203331-01",
            f"00-{'0' * 32}-b7ad6b7169203331-01",
            f"00-{CALLERS}-{'0' * 16}-01",
            f"00-{CALLERS.upper()}-b7ad6b7169203331-0",
            "é" * 40,
            "0" * 5000,
        ],
    )
    async def test_a_malformed_one_is_ignored(self, header: str) -> None:
        headers = {b"traceparent": header.encode("latin-1"), b"tracestate": b"=,=\xff,,,"}
        with otlp.collecting() as collector:
            async with traced(collector) as gateway:
                answer = await gateway.client.get("/v1/models", headers=headers)
        assert answer.status_code == 200
        assert [span.links for span in collector.spans] == [[]]


class TestCollector:
    async def test_one_that_is_not_there_costs_no_answer_and_one_line(
        self, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
        gone = otlp.Collector(url="http://127.0.0.1:9")
        async with stub.serving() as engine, traced(gone, attached(engine.url)) as gateway:
            for _ in range(5):
                assert (await gateway.post("/v1/chat/completions", CHAT)).status_code == 200
            await eventually(lambda: "takes no traces now" in caplog.text)
            await gateway.post("/v1/chat/completions", CHAT)
            began = time.monotonic()
        assert time.monotonic() - began < 4
        assert len([one for one in caplog.records if one.levelno >= logging.WARNING]) == 1

    async def test_standard_variables(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with otlp.collecting() as collector:
            monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
            monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20x")
            monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
            async with serving() as gateway:
                await gateway.client.get("/v1/models")
                assert gateway.app.tracer is not None
                await gateway.app.tracer.close()
        (path, headers, _), *_ = collector.requests
        assert (path, headers["authorization"]) == ("/v1/traces", "Bearer x")
        assert collector.resources[0]["deployment.environment.name"] == "test"
