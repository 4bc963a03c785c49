"""A body between the connection that fills it and the reader who empties it."""

from __future__ import annotations

import asyncio

import pytest

from paddock.errors import BodyTooLarge
from paddock.gateway.http import BadHttp, Request
from paddock.gateway.incoming import HIGH_WATER, Incoming


class Sender:
    """A connection that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def hold(self) -> None:
        self.told.append("hold")

    def read_on(self) -> None:
        self.told.append("read on")

    def invite(self) -> None:
        self.told.append("invite")


def incoming(length: int | None = None, *, asks: bool = False) -> tuple[Incoming, Sender]:
    sender = Sender()
    return Incoming(sender, length, asks=asks), sender


def request(body: bytes | Incoming) -> Request:
    streamed = isinstance(body, Incoming)
    whole = b"" if isinstance(body, Incoming) else body
    return Request(None, "POST", b"/", {}, whole, True, True, body if streamed else None)  # type: ignore[arg-type]


class TestIncoming:
    async def test_what_came_meanwhile_is_one_piece(self) -> None:
        body, _ = incoming()
        body.feed(b"ab")
        body.feed(b"c")
        body.feed(b"d")
        assert await body.next_piece() == b"abcd"
        body.feed(b"e")
        body.finish()
        assert [await body.next_piece() for _ in range(3)] == [b"e", b"", b""]

    async def test_a_reader_waits_for_more(self) -> None:
        body, _ = incoming()
        reading = asyncio.create_task(body.next_piece())
        await asyncio.sleep(0)
        assert body.wanted_since < float("inf")
        body.feed(b"x")
        assert await reading == b"x"
        assert body.wanted_since == float("inf")

    async def test_the_sender_is_held_while_much_waits(self) -> None:
        body, sender = incoming()
        body.feed(b"x" * (HIGH_WATER - 1))
        assert sender.told == []
        body.feed(b"x")
        assert (sender.told, body.full) == (["hold"], True)
        await body.next_piece()
        assert (sender.told, body.full) == (["hold", "read on"], False)

    async def test_what_nobody_will_read_lets_the_sender_go_on(self) -> None:
        body, sender = incoming()
        body.feed(b"x" * HIGH_WATER)
        body.drop()
        assert (sender.told, body.full) == (["hold", "read on"], False)

    async def test_a_client_that_asks_is_invited_once_and_by_who_reads(self) -> None:
        body, sender = incoming(2, asks=True)
        reading = asyncio.create_task(body.next_piece())
        await asyncio.sleep(0)
        body.feed(b"x")
        assert await reading == b"x"
        body.feed(b"y")
        assert await body.next_piece() == b"y"
        assert sender.told.count("invite") == 1

    async def test_a_client_that_sends_unasked_needs_no_invitation(self) -> None:
        body, sender = incoming(1, asks=True)
        body.feed(b"x")
        body.finish()
        assert [await body.next_piece() for _ in range(2)] == [b"x", b""]
        assert "invite" not in sender.told

    async def test_the_first_failure_is_told_to_who_waits_and_to_who_comes(self) -> None:
        body, _ = incoming()
        reading = asyncio.create_task(body.next_piece())
        await asyncio.sleep(0)
        body.fail(BadHttp(408, "first"))
        body.fail(BadHttp(400, "second"))
        for attempt in (reading, body.next_piece()):
            with pytest.raises(BadHttp, match="first"):
                await attempt


class TestPieces:
    async def read(self, of: Request, limit: int) -> list[bytes]:
        return [piece async for piece in of.pieces(limit)]

    async def test_of_a_body_that_is_whole(self) -> None:
        assert await self.read(request(b"abc"), 3) == [b"abc"]
        assert await self.read(request(b""), 3) == []
        with pytest.raises(BodyTooLarge, match="limit of 2 bytes"):
            await self.read(request(b"abc"), 2)

    async def test_a_length_over_the_limit_is_refused_before_the_client_is_invited(self) -> None:
        body, sender = incoming(11, asks=True)
        with pytest.raises(BodyTooLarge, match="limit of 10 bytes"):
            await self.read(request(body), 10)
        assert sender.told == []

    async def test_a_body_without_length_is_refused_where_it_passes_the_limit(self) -> None:
        body, _ = incoming()
        body.feed(b"x" * 10)
        reading = request(body).pieces(10)
        assert await anext(reading) == b"x" * 10
        body.feed(b"x")
        with pytest.raises(BodyTooLarge, match="limit of 10 bytes"):
            await anext(reading)
