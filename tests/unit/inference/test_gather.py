"""Pieces of a stream that gather in the kernel: fewer reads, nothing late, nothing lost."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from paddock.errors import EngineFailed
from paddock.inference import gather
from paddock.inference.connection import Body
from paddock.inference.gather import Gather, LowWater
from paddock.inference.upstream import Upstream
from tests.api import scripted
from tests.api.gateway import eventually

CLOSING = scripted.STREAM.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
PIECE = b"x" * 200
PIECES = 200
ALWAYS = Gather(seconds=0.008, from_requests=1)
FOR_EVER = Gather(seconds=60.0, from_requests=1)


class Socket:
    def __init__(self, fails: bool = False) -> None:
        self.marks: list[int] = []
        self.fails = fails

    def setsockopt(self, level: int, option: int, value: int, /) -> None:
        if self.fails:
            raise OSError
        self.marks.append(value)


class Reads(Body):
    """Counts how often it was given something."""

    reads = 0

    def on_data(self, data: bytes) -> None:
        self.reads += 1
        super().on_data(data)


class TestLowWater:
    def test_follows_what_is_wanted_in_large_steps(self) -> None:
        socket = Socket()
        low_water = LowWater(socket)
        wanted = (100, 1000, 1200, 700, 2000, 10**9, 3000, 10)
        above = [low_water.follow(one) for one in wanted]
        assert socket.marks == [1000, 2000, gather.MOST, 1]
        assert above == [False, True, True, True, True, True, True, False]

    def test_does_without_where_the_system_cannot(self) -> None:
        low_water = LowWater(Socket(fails=True))
        assert not low_water.follow(1000)
        low_water.set(1)


async def answer(head: bytes, sink: Body, gathering: Gather, *, pause: float = 0.0005) -> None:
    """A stream of PIECES pieces, of which each is sent by itself."""

    async def script(writer: asyncio.StreamWriter, body: object) -> None:
        writer.write(head)
        for _ in range(PIECES):
            writer.write(scripted.chunk(PIECE))
            await asyncio.sleep(pause)
        writer.write(scripted.chunk(b""))
        if head is CLOSING:
            raise ConnectionResetError

    async with scripted.serving(script) as engine:
        up = Upstream(engine.url, None, 10, closes=True)
        async with asyncio.timeout(20):
            await up.send(b"POST", b"/", b"{}", sink, gather=gathering)
        assert "connection: close" in engine.headers[0]
        up.close()
    assert sink.data == PIECE * PIECES


class TestStreams:
    async def test_pieces_of_a_fast_engine_are_read_together(self) -> None:
        sink = Reads()
        await answer(CLOSING, sink, ALWAYS)
        assert sink.reads < PIECES / 3

    async def test_the_end_is_seen_at_once(self) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        await answer(CLOSING, Reads(), FOR_EVER)
        assert loop.time() - began < 30

    async def test_an_engine_that_keeps_the_connection_is_read_piece_by_piece(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        marks: list[int] = []
        monkeypatch.setattr(LowWater, "set", lambda self, mark: marks.append(mark))
        await answer(scripted.STREAM, Reads(), FOR_EVER)
        assert marks == []

    async def test_few_requests_are_read_piece_by_piece(self, monkeypatch: pytest.MonkeyPatch) -> None:
        marks: list[int] = []
        monkeypatch.setattr(LowWater, "set", lambda self, mark: marks.append(mark))
        await answer(CLOSING, Reads(), Gather(seconds=60.0, from_requests=2))
        assert marks == []

    async def test_a_slow_engine_is_read_piece_by_piece(self, monkeypatch: pytest.MonkeyPatch) -> None:
        marks: list[int] = []
        monkeypatch.setattr(LowWater, "set", lambda self, mark: marks.append(mark))
        monkeypatch.setattr(sys.modules[__name__], "PIECES", 20)
        await answer(CLOSING, Reads(), ALWAYS, pause=0.012)
        assert marks == []


@dataclass
class Stalled:
    """A request to an engine that has stopped in the middle of its answer."""

    engine: scripted.Engine
    sink: Reads
    asking: asyncio.Future[None]


class TestPiecesThatLie:
    """A fast stream that stops in its middle, with less in the kernel than has gathered before."""

    @staticmethod
    async def stalled(writer: asyncio.StreamWriter, body: object) -> None:
        writer.write(CLOSING)
        for _ in range(PIECES):
            writer.write(scripted.chunk(PIECE))
            await asyncio.sleep(0.0005)
        writer.write(scripted.chunk(b"last"))
        await asyncio.Event().wait()

    @classmethod
    @contextlib.asynccontextmanager
    async def asked(cls, gathering: Gather) -> AsyncIterator[Stalled]:
        async with scripted.serving(cls.stalled) as engine:
            sink, up = Reads(), Upstream(engine.url, None, 10, closes=True)
            asking = asyncio.ensure_future(up.send(b"POST", b"/", b"{}", sink, gather=gathering))
            yield Stalled(engine, sink, asking)
            up.close()
            await asyncio.wait({asking})

    async def test_are_read_when_their_time_is_over(self) -> None:
        async with self.asked(ALWAYS) as stalled:
            await eventually(lambda: stalled.sink.data.endswith(b"last"))
        assert isinstance(stalled.asking.exception(), EngineFailed)

    async def test_are_passed_on_when_the_engine_is_given_up(self) -> None:
        async with self.asked(FOR_EVER) as stalled:
            await eventually(lambda: stalled.sink.reads > 2)
            await asyncio.sleep(0.5)
        assert isinstance(stalled.asking.exception(), EngineFailed)
        assert stalled.sink.data == PIECE * PIECES + b"last"

    async def test_count_for_a_caller_who_leaves(self) -> None:
        async with self.asked(FOR_EVER) as stalled:
            await eventually(lambda: stalled.sink.reads > 2)
            await asyncio.sleep(0.5)
            stalled.asking.cancel()
            await asyncio.wait({stalled.asking})
            assert stalled.sink.data == PIECE * PIECES + b"last"
            await eventually(lambda: stalled.engine.left == 1)
