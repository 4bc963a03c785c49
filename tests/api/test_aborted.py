"""What counts of a stream that its caller or its engine leaves unfinished: the tokens that were sent."""

from __future__ import annotations

import asyncio
import random
import time
from typing import Any

import pytest

from bench import answers, stub
from bench.behaviour import Behaviour
from tests.api import scripted
from tests.api.gateway import CHAT, TEXT, Gateway, attached, eventually, serving
from tests.api.wire import connected, request

SHAPES = [
    ("/v1/chat/completions", {**CHAT, "stream": True}),
    ("/v1/completions", {**TEXT, "stream": True}),
    ("/v1/completions", {**TEXT, "stream": True, "echo": True}),
    ("/v1/completions", {**TEXT, "prompt": ["a", "b", "c"], "stream": True}),
    ("/v1/chat/completions", {**CHAT, "stream": True, "n": 3}),
    ("/inference/v1/chat/completions", {**CHAT, "stream": True}),
    ("/inference/v1/completions", {**TEXT, "stream": True}),
]


async def leave_within(gateway: Gateway, path: str, body: dict[str, Any], seconds: float) -> None:
    async with connected(gateway.port) as wire:
        wire.send(request("POST", path, body))
        await asyncio.sleep(seconds)


async def settled(engine: stub.Engine) -> None:
    """Returns when the engine can send no more, having sent something."""
    before = -1
    for _ in range(100):
        sent = sum(engine.stats.tokens.values())
        if sent == before > 0:
            return
        before = sent
        await asyncio.sleep(0.1)


def counted(lines: list[dict[str, str]]) -> int:
    return sum(int(line["completion_tokens"]) for line in lines)


class TestCallerWhoLeaves:
    @pytest.mark.parametrize(("path", "body"), SHAPES)
    async def test_what_the_engine_sent(self, path: str, body: dict[str, Any]) -> None:
        dice = random.Random(6)
        behaviour = Behaviour(chunks=200, chunk_delay=0.0005, coalesce=3)
        async with stub.serving(behaviour) as engine, serving(attached(engine.url)) as gateway:
            leaving = [leave_within(gateway, path, body, dice.uniform(0.005, 0.06)) for _ in range(20)]
            await asyncio.gather(*leaving)
            lines = await gateway.lines(20)
            await eventually(lambda: engine.stats.in_flight == 0)
            sent = sum(engine.stats.tokens.values())
            broken = await gateway.metric("paddock_streams_broken_total", reason="aborted")
            first = await gateway.metric("paddock_time_to_first_token_seconds_count")
        assert {line["outcome"] for line in lines} == {"aborted"}
        assert counted(lines) == sent > 20
        # Some leave before they get anything.
        assert broken == first == sum("first_token_ms" in line for line in lines) > 0

    async def test_one_who_had_stopped_reading(self) -> None:
        behaviour = Behaviour(chunks=60_000, coalesce=1000)
        async with stub.serving(behaviour) as engine, serving(attached(engine.url)) as gateway:
            async with connected(gateway.port) as wire:
                wire.send(request("POST", *SHAPES[0]))
                await settled(engine)
            lines = await gateway.lines()
            await eventually(lambda: engine.stats.in_flight == 0)
        assert lines[0]["outcome"] == "aborted"
        assert counted(lines) == sum(engine.stats.tokens.values()) < 60_000

    async def test_of_a_whole_answer(self) -> None:
        """The engine's own count, if the answer was on its way."""

        async def late(writer: asyncio.StreamWriter, body: object) -> None:
            with_usage = scripted.plain(answers.plain("chat"))
            try:
                await asyncio.Event().wait()
            finally:
                writer.write(with_usage)

        async with scripted.serving(late) as engine, serving(attached(engine.url)) as gateway:
            async with connected(gateway.port) as wire:
                wire.send(request("POST", "/v1/chat/completions", CHAT))
                await eventually(lambda: bool(engine.bodies))
            (line,) = await gateway.lines()
        assert (line["outcome"], line["prompt_tokens"], line["completion_tokens"]) == ("aborted", "9", "12")

    async def test_an_engine_that_goes_on_all_the_same_is_cut_off_within_a_second(self) -> None:
        cut_off = asyncio.Event()

        async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(scripted.STREAM)
            try:
                while True:
                    writer.write(scripted.chunk(answers.events("chat", 1)[0]))
                    await writer.drain()
                    await asyncio.sleep(0.01)
            except ConnectionError:
                writer.close()
                cut_off.set()

        server = await asyncio.start_server(deaf, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with server, serving(attached(url)) as gateway:
            async with connected(gateway.port) as wire:
                wire.send(request("POST", *SHAPES[0]))
                await wire.reader.readuntil(b"data: ")
            began = time.monotonic()
            (line,) = await gateway.lines()
            took = time.monotonic() - began
            await asyncio.wait_for(cut_off.wait(), 1)
        assert 0.9 < took < 1.5
        assert int(line["completion_tokens"]) > 20

    async def test_shutting_down_waits_for_the_count(self) -> None:
        behaviour = Behaviour(chunks=2000, chunk_delay=0.001)
        async with stub.serving(behaviour) as engine, serving(attached(engine.url)) as gateway:
            async with connected(gateway.port) as wire:
                wire.send(request("POST", *SHAPES[0]))
                await wire.reader.readuntil(b"foal")
                await gateway.http.close()
                gateway.app.access_log.flush()  # type: ignore[union-attr]
                lines = await gateway.lines()
            assert gateway.app.in_flight == 0
            assert counted(lines) == sum(engine.stats.tokens.values())


class TestEngineThatLeaves:
    @pytest.mark.parametrize(("path", "body"), SHAPES)
    async def test_what_it_had_sent(self, path: str, body: dict[str, Any]) -> None:
        async with stub.serving(Behaviour(die_after=7)) as engine, serving(attached(engine.url)) as gateway:
            assert "error" in (await gateway.post(path, body)).text
            lines = await gateway.lines()
            sent = sum(engine.stats.tokens.values())
        assert lines[0]["outcome"] == "engine_lost"
        assert counted(lines) == sent >= 7
        # Nobody said how long the prompt was; it is not free for that.
        assert int(lines[0]["prompt_tokens"]) > 10
