"""Answers of any size and type, a piece at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from paddock.clients.fireworks.error import (
    APIConnectionError,
    FireworksError,
    InvalidRequestError,
    from_failure,
)
from paddock.clients.transport import AsyncTransport, Call, Transport
from tests.unit.clients.server import Exchange, Server

Collect = Callable[..., list[Any]]


def collect(url: str, parse: Callable[[bytes], Any] = bytes, most: int = 10**6) -> list[Any]:
    found = []
    pieces = Transport(url, from_failure, timeout=5).download(Call("GET", "content", parse))
    for piece in pieces:
        found.append(piece)
        if len(found) == most:
            break
    pieces.close()
    return found


def acollect(url: str, parse: Callable[[bytes], Any] = bytes, most: int = 10**6) -> list[Any]:
    async def run() -> list[Any]:
        found = []
        pieces = AsyncTransport(url, from_failure, timeout=5).download(Call("GET", "content", parse))
        async for piece in pieces:
            found.append(piece)
            if len(found) == most:
                break
        await pieces.aclose()
        return found

    return asyncio.run(run())


def refuse(piece: bytes) -> bytes:
    raise ValueError(f"{piece!r} is no hay")


@pytest.mark.parametrize("collect", [collect, acollect], ids=["sync", "async"])
class TestDownload:
    def test_pieces(self, collect: Collect) -> None:
        with Server(lambda exchange: exchange.answer(b"\x00\xff" * 300_000)) as server:
            found = collect(server.url)
        assert len(found) > 1
        assert b"".join(found) == b"\x00\xff" * 300_000
        assert server.exchanges[0].headers["accept"] == "*/*"

    def test_parsed(self, collect: Collect) -> None:
        with Server(lambda exchange: exchange.answer(b"hay")) as server:
            assert collect(server.url, len) == [3]
            with pytest.raises(FireworksError, match="not understood: b'hay' is no hay"):
                collect(server.url, refuse)

    def test_refused(self, collect: Collect) -> None:
        with Server(lambda exchange: exchange.answer({"error": {"message": "no file"}}, 404)) as server:
            with pytest.raises(InvalidRequestError, match="no file"):
                collect(server.url)

    def test_lost_in_the_middle(self, collect: Collect) -> None:
        def respond(exchange: Exchange) -> None:
            exchange.begin_stream()
            exchange.chunk(b"hay")
            exchange.hang_up()

        with Server(respond) as server, pytest.raises(APIConnectionError):
            collect(server.url)
        assert len(server.exchanges) == 1

    def test_left_early(self, collect: Collect) -> None:
        closed: list[bool] = []

        def respond(exchange: Exchange) -> None:
            exchange.begin_stream()
            exchange.chunk(b"hay")
            closed.append(exchange.wait_for_close())

        with Server(respond) as server:
            assert collect(server.url, most=1) == [b"hay"]
        assert closed == [True]
