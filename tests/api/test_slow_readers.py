"""A caller who does not read holds the engine back, and only the engine of that answer."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from paddock.inference import upstream
from tests.api import scripted
from tests.api.gateway import CHAT, attached, eventually, serving
from tests.api.wire import connected, request

STREAMED = {**CHAT, "stream": True}
FILLER = b": " + b"x" * 60_000 + b"\n\n"
END = scripted.event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}) + b"data: [DONE]\n\n"


class Flood:
    """An engine that sends as fast as it may, and knows how much it got rid of."""

    def __init__(self, pieces: int) -> None:
        self.pieces = pieces
        self.sent = 0

    async def __call__(self, writer: asyncio.StreamWriter, body: dict[str, Any]) -> None:
        if not body.get("stream"):
            writer.write(scripted.plain({"choices": [], "model": "stub"}))
            return
        writer.write(scripted.STREAM)
        for _ in range(self.pieces):
            writer.write(scripted.chunk(FILLER))
            await writer.drain()
            self.sent += len(FILLER)
        writer.write(scripted.chunk(END) + scripted.chunk(b""))


async def settled(flood: Flood) -> int:
    """How much was sent when nothing more goes."""
    before = -1
    while before != flood.sent:
        before = flood.sent
        await asyncio.sleep(0.1)
    return before


class TestBackPressure:
    async def test_an_unread_stream_stops_the_engine_and_goes_on_when_read(self) -> None:
        flood = Flood(900)
        async with scripted.serving(flood) as engine, serving(attached(engine.url)) as gateway:
            async with connected(gateway.port) as wire:
                wire.send(request("POST", "/v1/chat/completions", STREAMED))
                await eventually(lambda: flood.sent > 0)
                # What is on the way fills the sockets' buffers and no memory of ours.
                assert await settled(flood) < 40_000_000
                answer = await wire.answer()
                assert answer.body.count(b"\n\n") == 902
                assert answer.body.endswith(END)

    async def test_whoever_does_not_read_on_holds_no_engine_for_ever(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(upstream, "SWEEP_SECONDS", 0.05)
        flood = Flood(900)
        async with scripted.serving(flood) as engine:
            async with serving(attached(engine.url, timeout=0.5)) as gateway:
                async with connected(gateway.port) as wire:
                    wire.send(request("POST", "/v1/chat/completions", STREAMED))
                    (line,) = await gateway.lines()
                    answer = await wire.answer()
                assert flood.sent < 40_000_000
        assert line["outcome"] == "reader_stalled"
        assert b"the caller took nothing of the answer for 0.5 seconds" in answer.body

    async def test_streams_pipelined_behind_an_unread_one_wait_too(self) -> None:
        flood = Flood(900)
        async with scripted.serving(flood) as engine, serving(attached(engine.url)) as gateway:
            async with connected(gateway.port) as wire:
                wire.send(request("POST", "/v1/chat/completions", STREAMED) * 3)
                await eventually(lambda: flood.sent > 0)
                assert await settled(flood) < 40_000_000
                assert gateway.app.in_flight == 1
