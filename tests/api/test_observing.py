"""What operators see: metrics, access log, the reference of every route."""

from __future__ import annotations

import json
import re
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from bench import stub
from paddock.gateway.counts import Counts
from paddock.gateway.families import families as families_of
from paddock.services.census import Census
from paddock.services.hardware import HardwareConfig
from tests.api.gateway import CHAT, Gateway, attached, serving
from tests.api.wire import connected, request


async def families(gateway: Gateway) -> dict[str, Any]:
    answer = await gateway.client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return {family.name: family for family in text_string_to_metric_families(answer.text)}


class TestMetrics:
    async def test_every_family_is_there_and_has_a_help(self) -> None:
        async with serving(attached("http://127.0.0.1:9")) as gateway:
            found = await families(gateway)
        expected = families_of(Counts(), (), Census(), HardwareConfig())
        assert found.keys() == {family.name for family in expected}
        assert all(family.documentation for family in found.values())

    async def test_labels_are_bounded_whatever_is_asked(self) -> None:
        async with serving(attached("http://127.0.0.1:9")) as gateway:
            for number in range(20):
                await gateway.client.get(f"/x/{number}")
                await gateway.client.get(f"/v1/models/m{number}")
                await gateway.post("/v1/chat/completions", {**CHAT, "model": f"m{number}"})
            requests = (await families(gateway))["paddock_requests"].samples
        seen = {
            (one.labels["route"], one.labels["model"], one.labels["status"]): one.value for one in requests
        }
        assert seen == {
            ("unknown", "", "404"): 20,
            ("/v1/models/{model}", "", "404"): 20,
            ("/v1/chat/completions", "", "404"): 20,
        }

    async def test_durations_are_a_histogram_that_adds_up(self) -> None:
        async with stub.serving() as engine, serving(attached(engine.url)) as gateway:
            for stream in (False, True, True):
                await gateway.post("/v1/chat/completions", {**CHAT, "stream": stream})
            found = await families(gateway)
            for name, count in (("request_duration", 3), ("time_to_first_token", 2)):
                samples = found[f"paddock_{name}_seconds"].samples
                mine = [one for one in samples if one.labels.get("model") == "stub"]
                buckets = [one.value for one in mine if one.name.endswith("_bucket")]
                assert buckets == sorted(buckets)
                assert buckets[-1] == count == next(one.value for one in mine if one.name.endswith("_count"))
                assert 0 < next(one.value for one in mine if one.name.endswith("_sum")) < 20

    async def test_what_runs_now(self) -> None:
        async with serving(attached("http://127.0.0.1:9")) as gateway:
            assert await gateway.metric("paddock_replicas_ready", model="stub") == 1
            assert await gateway.metric("paddock_requests_in_flight", model="stub") == 0


class TestAccessLog:
    async def test_a_line_for_each_answer_but_probes(self) -> None:
        async with stub.serving() as engine, serving(attached(engine.url)) as gateway:
            await gateway.client.get("/healthz")
            await gateway.client.get("/metrics")
            await gateway.post("/v1/chat/completions", CHAT)
            (line,) = await gateway.lines()
        names = "time request_id client method path status model prompt_tokens completion_tokens ms"
        assert list(line) == names.split()
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", line["time"])
        assert (line["client"], line["method"], line["path"]) == ("127.0.0.1", "POST", "/v1/chat/completions")

    async def test_prompts_and_keys_are_not_in_it(self) -> None:
        body = {**CHAT, "messages": [{"role": "user", "content": "PRIVATE"}]}
        async with stub.serving() as engine, serving(attached(engine.url)) as gateway:
            headers = {"authorization": "Bearer PRIVATE"}
            await gateway.post("/v1/chat/completions?key=PRIVATE", body, headers=headers)
            await gateway.lines()
        assert "PRIVATE" not in gateway.log.getvalue()

    async def test_a_path_forges_neither_field_nor_line(self) -> None:
        path = "/x%20status=200%0atime=now%22%1b[31m/" + "y" * 5000
        async with serving() as gateway, connected(gateway.port) as wire:
            wire.send(request("GET", path))
            await wire.answer()
            gateway.app.access_log.flush()  # type: ignore[union-attr]
        (line,) = gateway.log.getvalue().splitlines()
        assert len(line) < 600
        assert line.isprintable()
        quoted = re.search(r' path=("(?:[^"\\]|\\.)*") status=404 outcome=unknown_route ms=\d+$', line)
        assert quoted is not None
        assert json.loads(quoted[1]).startswith("/x status=200\ntime=now")


class TestReference:
    def table(self, gateway: Gateway) -> set[tuple[str, str]]:
        return {
            (route.method, mount.prefix + route.pattern)
            for mount in gateway.app.mounts
            for route in mount.routes
        }

    async def test_the_page_has_every_route_and_field_and_nothing_from_elsewhere(self) -> None:
        async with serving() as gateway:
            answer = await gateway.client.get("/docs")
            assert answer.headers["content-type"] == "text/html; charset=utf-8"
            text = re.sub(r"<[^>]+>", " ", answer.text)
            for method, path in self.table(gateway):
                assert re.search(rf"{method}\s+{re.escape(path)}", text), (method, path)
            for word in ("temperature", "top_logprobs", "encoding_format", "max_completion_tokens"):
                assert word in text
        # Every address in it is this server's own, in the examples.
        assert set(re.findall(r"https?://[^/\s\"'<&]+", answer.text)) <= {"http://127.0.0.1:8800"}
        assert not re.search(r"(src|href)=[\"']?(https?:)?//", answer.text)

    async def test_the_document_has_every_route_and_its_references_resolve(self) -> None:
        async with serving() as gateway:
            document = (await gateway.client.get("/openapi.json")).json()
            listed = {
                (method.upper(), path) for path, methods in document["paths"].items() for method in methods
            }
            assert listed == self.table(gateway)
        assert document["openapi"].startswith("3.1")
        assert document["info"].keys() >= {"title", "version"}
        for reference in set(re.findall(r'"\$ref": "([^"]+)"', json.dumps(document))):
            target: Any = document
            for step in reference.removeprefix("#/").split("/"):
                target = target[step]
            assert isinstance(target, dict)
        for path, methods in document["paths"].items():
            for operation in methods.values():
                named = {one["name"] for one in operation.get("parameters", ()) if one["in"] == "path"}
                assert named == set(re.findall(r"\{(\w+)\}", path))
                assert operation["summary"]
                assert operation["responses"]

    async def test_the_examples_work(self) -> None:
        async with stub.serving() as engine, serving(attached(engine.url, "paddock/foal")) as gateway:
            for mount in gateway.app.mounts:
                for route in mount.routes:
                    if route.example is not None and route.method == "POST" and "{" not in mount.prefix:
                        answer = await gateway.post(mount.prefix + route.pattern, route.example)
                        assert answer.status_code == 200
