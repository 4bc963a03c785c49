"""Events and logs of Paddock's own API: in pages, and as they come."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from paddock.errors import Unavailable
from paddock.gateway.own import follow
from paddock.schemas.own import CreateDeployment
from paddock.services import deployments
from paddock.services.deployments import LOCAL
from paddock.services.platform import Platform
from paddock.store.sessions import Store
from tests.api.gateway import eventually
from tests.api.own import OwnApi, parse_events, serving_own
from tests.api.wire import Wire, connected, request


@pytest.fixture
async def own(tmp_path: Path) -> AsyncIterator[OwnApi]:
    async with serving_own(tmp_path) as api:
        yield api


class Stream:
    """A follower's side."""

    def __init__(self, wire: Wire) -> None:
        self._chunks = wire.chunks()

    async def next(self) -> bytes:
        async with asyncio.timeout(5):
            return await anext(self._chunks)

    async def events(self, count: int) -> list[dict[str, Any]]:
        data = b""
        while data.count(b"\nid: ") + data.startswith(b"id: ") < count:
            data += await self.next()
        return parse_events(data)

    async def rest(self) -> bytes:
        """What came until the server ended the stream as a whole one."""
        async with asyncio.timeout(5):
            return b"".join([chunk async for chunk in self._chunks])


@contextlib.asynccontextmanager
async def following(own: OwnApi, path: str, *headers: str) -> AsyncIterator[Stream]:
    async with connected(own.port) as wire:
        wire.send(request("GET", f"/api/v1{path}", None, *headers))
        status, head = await wire.head()
        assert (status, head["content-type"]) == (200, "text/event-stream; charset=utf-8")
        stream = Stream(wire)
        assert await stream.next() == b":\n\n"
        yield stream


def drain(own: OwnApi) -> None:
    own.app.refusal = Unavailable("the server is shutting down", code="draining", retry_after=5)
    own.http.drain()


class TestEventPages:
    async def test_the_newest_or_those_after_one(self, own: OwnApi) -> None:
        for name in ("a/b", "two", "three"):
            await own.deploy(name)
        newest = await own.ask("GET", "/events?limit=2")
        assert [one["deployment"] for one in newest["data"]] == ["two", "three"]
        assert newest["next"] is None
        first = await own.ask("GET", "/events?after=0&limit=2")
        assert [one["deployment"] for one in first["data"]] == ["a/b", "two"]
        second = await own.ask("GET", f"/events?after={first['next']}&limit=2")
        assert [one["deployment"] for one in second["data"]] == ["three"]
        assert second["next"] is None

    async def test_of_one_deployment(self, own: OwnApi) -> None:
        await own.deploy("a/b")
        await own.deploy("two")
        await own.ask("POST", "/deployments/a/b/stop")
        found = (await own.ask("GET", "/events?deployment=a/b"))["data"]
        assert [one["kind"] for one in found] == ["created", "stopped"]
        assert {one["deployment"] for one in found} == {"a/b"}

    @pytest.mark.parametrize("query", ["after=x", "after=-1", "limit=0", "follow=maybe", "since=1"])
    async def test_bad_query(self, own: OwnApi, query: str) -> None:
        error = (await own.ask("GET", f"/events?{query}", status=400))["error"]
        assert error["param"] == query.partition("=")[0]

    async def test_of_a_deployment_that_is_not_there(self, own: OwnApi) -> None:
        await own.ask("GET", "/events?deployment=no&follow=true", status=404)


class TestEventStream:
    @pytest.mark.parametrize(
        ("path", "header"), [("/events?follow=true", "X: y"), ("/events", "Accept: text/event-stream")]
    )
    async def test_begins_now(self, own: OwnApi, path: str, header: str) -> None:
        await own.deploy("before")
        async with following(own, path, header) as stream:
            made = await own.deploy("after")
            (event,) = await stream.events(1)
        assert (event["event"], event["data"]["kind"]) == ("created", "created")
        assert event["data"]["deployment_id"] == made["id"]
        assert event["id"] == str(event["data"]["id"])

    async def test_goes_on_after_what_was_seen(self, own: OwnApi) -> None:
        for name in ("one", "two", "three"):
            await own.deploy(name)
        ids = [one["id"] for one in (await own.ask("GET", "/events"))["data"]]
        async with following(own, f"/events?follow=true&after={ids[0]}") as stream:
            assert [one["data"]["deployment"] for one in await stream.events(2)] == ["two", "three"]
        # An EventSource that reconnects repeats its address, and says by the header how far it came.
        path = f"/events?follow=true&after={ids[0]}"
        async with following(own, path, f"Last-Event-ID: {ids[1]}") as stream:
            assert [one["data"]["deployment"] for one in await stream.events(1)] == ["three"]

    async def test_of_one_deployment_until_it_is_gone(self, own: OwnApi) -> None:
        await own.deploy("a/b")
        async with following(own, "/events?follow=true&deployment=a/b") as stream:
            await own.deploy("two")
            await own.ask("DELETE", "/deployments/a/b")
            await own.forget("a/b")
            events = await stream.events(2)
        assert [(one["event"], one["data"]["deployment"]) for one in events] == [
            ("deleting", "a/b"),
            ("deleted", "a/b"),
        ]

    async def test_changes_of_other_processes_are_seen(self, own: OwnApi) -> None:
        store = Store(own.platform.store.url)
        other = Platform(
            store,
            own.platform.settings,
            own.platform.catalogue,
            own.platform.hardware,
            own.platform.blobs,
            ledger=own.platform.ledger,
        )
        try:
            async with following(own, "/events?follow=true") as stream:
                await deployments.create(other, LOCAL, CreateDeployment(model="foal", name="elsewhere"))
                (event,) = await stream.events(1)
        finally:
            store.close()
        assert event["data"]["deployment"] == "elsewhere"

    async def test_a_bad_last_event_id(self, own: OwnApi) -> None:
        headers = {"accept": "text/event-stream", "last-event-id": "x"}
        response = await own.client.get("/api/v1/events", headers=headers)
        assert response.status_code == 400
        assert "Last-Event-ID must be the id of an event" in response.json()["error"]["message"]

    async def test_a_quiet_stream_is_kept_alive(self, own: OwnApi, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(follow, "KEEP_ALIVE_SECONDS", 0.05)
        async with following(own, "/events?follow=true") as stream:
            assert await stream.next() == b":\n\n"

    async def test_ends_as_a_whole_when_the_server_drains(self, own: OwnApi) -> None:
        async with following(own, "/events?follow=true") as stream:
            drain(own)
            assert await stream.rest() == b""
            await eventually(lambda: own.app.in_flight == 0, 1.0)

    async def test_who_leaves_is_forgotten(self, own: OwnApi) -> None:
        async with following(own, "/events?follow=true"):
            assert own.app.in_flight == 1
        await eventually(lambda: own.app.in_flight == 0, 1.0)

    async def test_head_is_no_stream(self, own: OwnApi) -> None:
        response = await own.client.head("/api/v1/events?follow=true")
        assert response.headers["content-type"] == "application/json"

    async def test_who_does_not_read_gets_no_more(self, own: OwnApi) -> None:
        """What waits for a slow reader stays in the store."""
        await own.deploy("one")
        lines = ["x" * 10_000] * 900
        async with connected(own.port, limit=1024) as wire:
            wire.send(request("GET", "/api/v1/deployments/one/logs?follow=true"))
            await wire.head()
            (connection,) = [one for one in own.http.connections if one.request is not None]
            await own.write_log("one", *lines)
            await eventually(lambda: connection.paused)
            await own.write_log("one", "late")
            await asyncio.sleep(3 * follow.POLL_SECONDS)
            data = b""
            async with asyncio.timeout(10):
                async for chunk in wire.chunks():
                    data += chunk
                    if b"late" in chunk:
                        break
        assert [one["data"]["text"] for one in parse_events(data)] == [*lines, "late"]


class TestLogs:
    async def test_lines(self, own: OwnApi) -> None:
        await own.deploy("a/b")
        assert await own.ask("GET", "/deployments/a/b/logs") == {"lines": []}
        await own.write_log("a/b", "one", "zwei ä", replica="rep-1")
        await own.write_log("a/b", "three", replica="rep-2")
        lines = (await own.ask("GET", "/deployments/a/b/logs"))["lines"]
        assert [(one["replica"], one["text"]) for one in lines] == [
            ("rep-1", "one"),
            ("rep-1", "zwei ä"),
            ("rep-2", "three"),
        ]
        after = (await own.ask("GET", f"/deployments/a/b/logs?after={lines[0]['id']}"))["lines"]
        assert after == lines[1:]
        assert (await own.ask("GET", "/deployments/a/b/logs?tail=1"))["lines"] == lines[2:]

    @pytest.mark.parametrize("query", ["after=x", "tail=0", "tail=1001", "follow=2", "lines=3"])
    async def test_bad_query(self, own: OwnApi, query: str) -> None:
        await own.deploy("one")
        error = (await own.ask("GET", f"/deployments/one/logs?{query}", status=400))["error"]
        assert error["param"] == query.partition("=")[0]

    async def test_as_they_come(self, own: OwnApi) -> None:
        await own.deploy("one")
        await own.write_log("one", "old", "newer")
        async with following(own, "/deployments/one/logs?follow=true&tail=1") as stream:
            (first,) = await stream.events(1)
            await own.write_log("one", "newest", "of all")
            second, third = await stream.events(2)
        assert [one["data"]["text"] for one in (first, second, third)] == ["newer", "newest", "of all"]
        resumed = f"Last-Event-ID: {second['id']}"
        async with following(own, "/deployments/one/logs?follow=true", resumed) as stream:
            assert [one["data"]["text"] for one in await stream.events(1)] == ["of all"]

    async def test_end_with_the_deployment(self, own: OwnApi) -> None:
        await own.deploy("one")
        async with following(own, "/deployments/one/logs?follow=true") as stream:
            await own.write_log("one", "last words")
            await own.forget("one")
            assert b"last words" in await stream.rest()
