"""Answers that are read from a source while they are sent, to clients that are quick, slow or gone."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import AsyncIterator, Callable

import pytest

from paddock.errors import StorageFailed
from paddock.gateway import download
from paddock.gateway.app import Route
from paddock.gateway.http import Request
from tests.api.gateway import eventually
from tests.api.receiving import serving
from tests.api.wire import connected, request

GET = request("GET", "/content")
PLAIN = request("GET", "/plain")
PIECE = b"x" * 256 * 1024


class Source:
    """Gives pieces, and may fail after some of them.

    Attributes:
        given: pieces so far.
        ended: how it came to an end.
    """

    def __init__(self, pieces: int, piece: bytes = PIECE, fails: Exception | None = None) -> None:
        self.pieces = pieces
        self.piece = piece
        self.fails = fails
        self.given = 0
        self.ended = ""
        self.wait: Callable[[], asyncio.Future[None]] | None = None

    async def read(self) -> AsyncIterator[bytes]:
        try:
            for _ in range(self.pieces):
                self.given += 1
                yield self.piece
            if self.fails is not None:
                raise self.fails
            if self.wait is not None:
                await self.wait()
            self.ended = "whole"
        except BaseException as error:
            self.ended = type(error).__name__
            raise


def content(source: Source, length: int | None = None) -> Route:
    async def endpoint(request: Request) -> None:
        await download.send(
            request, source.read(), content_type="text/plain", length=length, headers=b"x-more: 1\r\n"
        )

    return Route("GET", "/content", endpoint, "")


class TestWhole:
    @pytest.mark.parametrize("pieces", [0, 1, 20])
    @pytest.mark.parametrize("known", [True, False])
    async def test_with_and_without_a_length(self, known: bool, pieces: int) -> None:
        source, size = Source(pieces), pieces * len(PIECE)
        async with serving(content(source, size if known else None)) as on, connected(on.port) as wire:
            wire.send(GET + PLAIN)
            answer = await wire.answer()
            assert (answer.status, len(answer.body), source.ended) == (200, size, "whole")
            assert answer.headers.get("content-length") == (str(size) if known else None)
            assert answer.headers.get("transfer-encoding") == (None if known else "chunked")
            assert (answer.headers["content-type"], answer.headers["x-more"]) == ("text/plain", "1")
            assert len(answer.headers["x-request-id"]) == 32
            assert (await wire.answer()).body == b"plain 0"

    @pytest.mark.parametrize("known", [True, False])
    async def test_head_has_no_body_and_closes_the_source(self, known: bool) -> None:
        source = Source(20)
        async with serving(content(source, 20 * len(PIECE) if known else None)) as on:
            async with connected(on.port) as wire:
                wire.send(request("HEAD", "/content") + PLAIN)
                answer = await wire.answer(head=True)
                assert (answer.status, source.given, source.ended) == (200, 1, "GeneratorExit")
                assert ("content-length" in answer.headers) == known
                assert (await wire.answer()).body == b"plain 0"

    @pytest.mark.parametrize("known", [True, False])
    async def test_http_1_0(self, known: bool) -> None:
        source = Source(3)
        async with serving(content(source, 3 * len(PIECE) if known else None)) as on:
            async with connected(on.port) as wire:
                wire.send(request("GET", "/content", None, "Connection: keep-alive", version="1.0"))
                answer = await wire.answer()
                assert len(answer.body) == 3 * len(PIECE)
                assert answer.headers["connection"] == ("keep-alive" if known else "close")


class TestFailures:
    async def test_before_the_first_byte_is_an_ordinary_error(self) -> None:
        source = Source(0, fails=StorageFailed("the disk is gone", retry_after=5))
        async with serving(content(source)) as on, connected(on.port) as wire:
            wire.send(GET + PLAIN)
            answer = await wire.answer()
            assert (answer.status, answer.json()["code"]) == (503, "storage_failed")
            assert (await wire.answer()).status == 200

    @pytest.mark.parametrize(
        ("source", "length"),
        [
            (Source(3, fails=StorageFailed("gone")), 9 * len(PIECE)),
            (Source(3), 9 * len(PIECE)),
            (Source(9), 3 * len(PIECE) + 1),
            (Source(3, fails=StorageFailed("gone")), None),
        ],
        ids=["fails", "too short", "too long", "fails without length"],
    )
    async def test_later_they_cut_the_answer_off(self, source: Source, length: int | None) -> None:
        async with serving(content(source, length)) as on, connected(on.port) as wire:
            wire.send(GET + PLAIN)
            with pytest.raises((asyncio.IncompleteReadError, ValueError)):
                await wire.answer()
            assert await wire.ended()
            assert source.ended

    async def test_http_1_0_sees_a_cut_by_a_reset(self) -> None:
        source = Source(3, fails=StorageFailed("gone"))
        async with serving(content(source)) as on, connected(on.port) as wire:
            wire.send(request("GET", "/content", version="1.0"))
            with pytest.raises(ConnectionResetError):
                await wire.answer()


class TestReaders:
    async def test_a_slow_one_takes_no_memory(self) -> None:
        """An answer of 100 MB waits where it lies for a client that does not read."""
        source, size = Source(400), 400 * len(PIECE)
        async with serving(content(source, size)) as on, connected(on.port) as wire:
            tracemalloc.start()
            wire.send(GET)
            await wire.head()
            before = -1
            while before != source.given:
                before = source.given
                await asyncio.sleep(0.05)
            # What is on its way fills the sockets' buffers.
            assert source.given < 100
            read = 0
            while read < size:
                read += len(await wire.reader.read(2**20))
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        assert (read, source.ended) == (size, "whole")
        assert peak < 4_000_000

    async def test_one_that_leaves_while_it_is_held_back_closes_the_source(self) -> None:
        source = Source(10_000)
        async with serving(content(source)) as on:
            async with connected(on.port) as wire:
                wire.send(GET)
                await eventually(lambda: source.given > 3)
            await eventually(lambda: source.ended != "" and on.app.in_flight == 0)
            assert source.given < 1000

    async def test_one_that_leaves_while_the_source_reads_cancels_it(self) -> None:
        source = Source(1, b"x")
        source.wait = asyncio.get_running_loop().create_future
        async with serving(content(source)) as on:
            async with connected(on.port) as wire:
                wire.send(GET)
                await wire.head()
            await eventually(lambda: source.ended == "CancelledError")
            await eventually(lambda: on.app.in_flight == 0)

    async def test_others_have_their_turn_beside_one_who_reads_fast(self) -> None:
        source = Source(200_000, b"x")
        async with serving(content(source)) as on, connected(on.port) as wire, connected(on.port) as other:
            wire.send(GET)
            await wire.head()
            other.send(PLAIN)
            assert (await other.answer()).status == 200
            assert source.ended == ""
