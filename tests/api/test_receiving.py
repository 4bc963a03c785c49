"""Bodies that a route reads while they come, as clients that are quick, slow, odd or gone send them."""

from __future__ import annotations

import asyncio
import contextlib
import tracemalloc
from collections.abc import Iterator

import pytest

from paddock.errors import InvalidRequest, Unavailable
from paddock.gateway import server
from paddock.gateway.http import Request, Response
from tests.api.gateway import eventually
from tests.api.receiving import LIMIT, MAX_BODY, Serving, count, serving, upload
from tests.api.wire import Wire, connected, request

PLAIN = request("GET", "/plain")
CHUNKED = b"POST /upload HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"


def announced(length: int, *headers: str, path: str = "/upload") -> bytes:
    lines = [f"POST {path} HTTP/1.1", f"Content-Length: {length}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


async def send_all(wire: Wire, pieces: Iterator[bytes]) -> int:
    """What the server took of them before it hung up or all was sent."""
    sent = 0
    with contextlib.suppress(ConnectionError):
        for piece in pieces:
            wire.send(piece)
            await wire.writer.drain()
            sent += len(piece)
    return sent


class Slow:
    """An endpoint that reads a piece when it is told to."""

    def __init__(self) -> None:
        self.go = asyncio.Semaphore(0)
        self.begun = False
        self.read = 0
        self.ended = ""

    async def __call__(self, request: Request) -> Response:
        self.begun = True
        try:
            await self.go.acquire()
            async for piece in request.pieces(10**9):
                self.read += len(piece)
                await self.go.acquire()
        except BaseException as error:
            self.ended = type(error).__name__
            raise
        return Response(b"%d" % self.read)

    def at_once(self) -> None:
        for _ in range(100_000):
            self.go.release()


class TestWhole:
    @pytest.mark.parametrize("size", [1, 70_000, LIMIT])
    @pytest.mark.parametrize("chunked", [True, False])
    async def test_both_framings(self, chunked: bool, size: int) -> None:
        async with serving(upload(count)) as on, connected(on.port) as wire:
            for _ in range(2):
                body = b"x" * size
                wire.send(CHUNKED + chunk(body) + b"0\r\n\r\n" if chunked else announced(size) + body)
                answer = await wire.answer()
                assert (answer.status, answer.body) == (200, b"%d" % size)
                assert "connection" not in answer.headers
            assert len(on.http.connections) == 1

    @pytest.mark.parametrize("body", [announced(0), b"POST /upload HTTP/1.1\r\n\r\n", CHUNKED + b"0\r\n\r\n"])
    async def test_nothing(self, body: bytes) -> None:
        async with serving(upload(count)) as on, connected(on.port) as wire:
            wire.send(body + PLAIN)
            assert [(await wire.answer()).body for _ in range(2)] == [b"0", b"plain 0"]

    async def test_one_byte_at_a_time_with_trailers(self) -> None:
        sent = CHUNKED + chunk(b"abc") + chunk(b"d" * 20) + b"0\r\nX-Sum: 1\r\n\r\n"
        async with serving(upload(count)) as on, connected(on.port) as wire:
            for byte in sent:
                wire.send(bytes([byte]))
                await wire.writer.drain()
                await asyncio.sleep(0)
            assert (await wire.answer()).body == b"23"

    async def test_tiny_chunks(self) -> None:
        async with serving(upload(count)) as on, connected(on.port) as wire:
            wire.send(CHUNKED + chunk(b"x") * 300_000 + b"0\r\n\r\n")
            assert (await wire.answer()).body == b"300000"

    async def test_pipelined_requests_before_and_after_are_answered_in_order(self) -> None:
        body = b"x" * 400_000
        async with serving(upload(count)) as on, connected(on.port) as wire:
            sending = asyncio.create_task(
                send_all(wire, iter([(PLAIN + announced(len(body)) + body) * 5 + PLAIN * 40]))
            )
            answers = [await wire.answer() for _ in range(50)]
            await sending
        assert [answer.body for answer in answers] == [b"plain 0", b"400000"] * 5 + [b"plain 0"] * 40

    async def test_uploads_pipelined_behind_a_slow_one_wait_in_the_socket(self) -> None:
        slow, body = Slow(), b"x" * 3_000_000
        async with serving(upload(slow, "/slow"), upload(count)) as on, connected(on.port) as wire:
            following = announced(LIMIT) + b"x" * LIMIT
            sending = asyncio.create_task(
                send_all(wire, iter([announced(len(body), path="/slow") + body + following * 20 + PLAIN]))
            )
            await eventually(lambda: slow.begun)
            slow.at_once()
            answers = [(await wire.answer()).body for _ in range(22)]
            await sending
        assert answers == [b"3000000", *[b"%d" % LIMIT] * 20, b"plain 0"]

    @pytest.mark.parametrize("size", [MAX_BODY + 1, 400_000])
    async def test_http_1_0(self, size: int) -> None:
        async with serving(upload(count)) as on, connected(on.port) as wire:
            wire.send(request("POST", "/upload", b"x" * size, "Expect: 100-continue", version="1.0"))
            answer = await wire.answer()
            assert (answer.body, answer.headers["connection"]) == (b"%d" % size, "close")
            assert await wire.ended()

    @pytest.mark.parametrize(
        "path", ["/upload/", "/up%6Coad?x=1/y", "http://any:1/upload", "/a%2Fb/upload", "/a/upload/b"]
    )
    async def test_its_path_may_be_written_in_other_ways(self, path: str) -> None:
        routes = (upload(count), upload(count, "/{name}/upload"), upload(count, "/a/upload/{name}"))
        async with serving(*routes) as on, connected(on.port) as wire:
            wire.send(announced(MAX_BODY + 1, path=path) + b"x" * (MAX_BODY + 1))
            assert (await wire.answer()).body == b"%d" % (MAX_BODY + 1)

    async def test_the_limit_of_whole_bodies_holds_for_other_routes(self) -> None:
        routes = (upload(count), upload(count, "/files/plain", "PUT"))
        async with serving(*routes) as on:
            for method, path in (("POST", "/plain"), ("PUT", "/upload"), ("POST", "/files/plain")):
                async with connected(on.port) as wire:
                    wire.send(request(method, path, b"x" * (MAX_BODY + 1)))
                    assert (await wire.answer()).status == 413

    async def test_a_client_that_offers_http_2(self) -> None:
        offer = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAA")
        async with serving(upload(count)) as on, connected(on.port) as wire:
            wire.send(request("POST", "/upload", b"x" * 100_000, *offer))
            assert (await wire.answer()).body == b"100000"


class TestExpect:
    @pytest.mark.parametrize("size", [2, MAX_BODY, 400_000])
    async def test_a_client_that_asks_is_told_to_go_on(self, size: int) -> None:
        async with serving(upload(count)) as on, connected(on.port) as wire:
            wire.send(announced(size, "Expect: 100-continue"))
            assert (await wire.answer()).status == 100
            wire.send(b"x" * size + PLAIN)
            assert [(await wire.answer()).body for _ in range(2)] == [b"%d" % size, b"plain 0"]

    async def test_its_turn_comes_after_the_requests_before_it(self) -> None:
        slow = Slow()
        async with serving(upload(slow)) as on, connected(on.port) as wire:
            wire.send(announced(1) + b"x" + announced(MAX_BODY + 1, "Expect: 100-continue"))
            await eventually(lambda: slow.begun)
            slow.at_once()
            assert [(await wire.answer()).status for _ in range(2)] == [200, 100]
            wire.send(b"x" * (MAX_BODY + 1))
            assert (await wire.answer()).status == 200

    async def test_too_large_is_said_at_once(self) -> None:
        async with serving(upload(count)) as on, connected(on.port) as wire:
            wire.send(announced(LIMIT + 1, "Expect: 100-continue"))
            answer = await wire.answer()
            assert (answer.status, answer.headers["connection"]) == (413, "close")
            assert f"{LIMIT} bytes" in answer.json()["message"]
            assert await wire.ended()


class TestRefusals:
    @pytest.mark.parametrize("chunked", [True, False])
    async def test_a_body_too_large_is_answered_while_it_is_sent(self, chunked: bool) -> None:
        head = CHUNKED if chunked else announced(500_000_000)
        piece = chunk(b"x" * 100_000) if chunked else b"x" * 100_000
        async with serving(upload(count)) as on, connected(on.port) as wire:
            wire.send(head)
            sending = asyncio.create_task(send_all(wire, iter([piece] * 200)))
            answer = await wire.answer()
            await sending
            assert (answer.status, answer.headers["connection"]) == (413, "close")
            assert (answer.json()["code"], f"{LIMIT} bytes" in answer.json()["message"]) == (
                "request_too_large",
                True,
            )

    async def test_an_answer_before_the_body_was_read_reaches_a_client_that_sends_all_of_it(self) -> None:
        async def refuse(request: Request) -> Response:
            raise InvalidRequest("not like this")

        async with serving(upload(refuse)) as on, connected(on.port) as wire:
            size = 20_000_000
            wire.send(announced(size))
            assert await send_all(wire, (b"x" * 100_000 for _ in range(size // 100_000))) == size
            answer = await wire.answer()
            assert (answer.status, answer.headers["connection"]) == (400, "close")
            assert await wire.ended()
            await eventually(lambda: on.app.in_flight == 0)

    async def test_an_answer_to_a_body_that_came_whole_but_unread_keeps_the_connection(self) -> None:
        async def refuse(request: Request) -> Response:
            await asyncio.sleep(0.05)
            raise InvalidRequest("not like this")

        async with serving(upload(refuse)) as on, connected(on.port) as wire:
            for _ in range(3):
                wire.send(announced(200_000) + b"x" * 200_000)
                answer = await wire.answer()
                assert (answer.status, "connection" in answer.headers) == (400, False)
            wire.send(PLAIN)
            assert (await wire.answer()).status == 200

    async def test_a_broken_chunk_is_told_in_the_routes_dialect(self) -> None:
        async with serving(upload(count)) as on, connected(on.port) as wire:
            wire.send(CHUNKED + chunk(b"abc"))
            await eventually(lambda: on.app.in_flight == 1)
            wire.send(b"nonsense\r\n" * 100_000)
            answer = await wire.answer()
            assert (answer.status, answer.json()["code"]) == (400, "bad_http")
            assert await wire.ended()

    async def test_endless_trailers_are_cut_off(self) -> None:
        async with serving(upload(count)) as on, connected(on.port) as wire:
            wire.send(CHUNKED + b"0\r\n" + b"a: b\r\n" * 40_000)
            assert (await wire.answer()).status == 431

    @pytest.mark.parametrize("ending", [b"", b"1\r\n"])
    async def test_a_client_that_stalls(self, ending: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(server, "RECEIVE_SECONDS", 0.05)
        async with serving(upload(count)) as on, connected(on.port) as wire:
            wire.send(CHUNKED + chunk(b"abc") + ending)
            answer = await wire.answer()
            assert (answer.status, answer.json()["code"]) == (408, "bad_http")
            assert "not received whole" in answer.json()["message"]
            assert await wire.ended()

    async def test_a_slow_reader_is_no_client_that_stalls(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(server, "RECEIVE_SECONDS", 0.05)
        slow = Slow()
        async with serving(upload(slow)) as on, connected(on.port) as wire:
            wire.send(announced(2_000_000) + b"x" * 2_000_000)
            await asyncio.sleep(1.3)
            slow.at_once()
            assert (await wire.answer()).body == b"2000000"

    async def test_while_the_server_starts_or_drains(self) -> None:
        async with serving(upload(count)) as on, connected(on.port) as wire:
            on.app.refusal = Unavailable("starting", retry_after=3)
            wire.send(announced(5_000_000))
            await send_all(wire, (b"x" * 100_000 for _ in range(50)))
            answer = await wire.answer()
            assert (answer.status, answer.headers["retry-after"]) == (503, "3")

    async def test_an_upload_that_runs_when_the_server_drains_is_finished(self) -> None:
        slow = Slow()
        async with serving(upload(slow)) as on, connected(on.port) as wire:
            wire.send(announced(300_000) + b"x" * 100_000)
            await eventually(lambda: slow.begun)
            on.app.refusal = Unavailable("draining")
            on.http.drain()
            slow.at_once()
            wire.send(b"x" * 200_000)
            answer = await wire.answer()
            assert (answer.body, answer.headers["connection"]) == (b"300000", "close")
            assert await wire.ended()


class TestGone:
    async def begin(self, on: Serving, wire: Wire, slow: Slow) -> None:
        wire.send(announced(1_000_000) + b"x" * 1000)
        await eventually(lambda: slow.begun)
        slow.at_once()
        await eventually(lambda: slow.read == 1000)
        assert on.app.in_flight == 1

    async def test_a_client_that_leaves_cancels_who_reads(self) -> None:
        slow = Slow()
        async with serving(upload(slow)) as on:
            async with connected(on.port) as wire:
                await self.begin(on, wire, slow)
            await eventually(lambda: slow.ended == "CancelledError")
            await eventually(lambda: not on.http.connections and on.app.in_flight == 0)

    async def test_so_does_the_end_of_the_server(self) -> None:
        slow = Slow()
        async with serving(upload(slow)) as on, connected(on.port) as wire:
            await self.begin(on, wire, slow)
            await on.http.close()
            assert slow.ended == "CancelledError"
            assert await wire.ended()

    async def test_one_that_was_held_back_is_noticed_when_the_reader_goes_on(self) -> None:
        slow = Slow()
        async with serving(upload(slow)) as on:
            async with connected(on.port) as wire:
                wire.send(announced(10_000_000) + b"x" * 1_000_000)
                await eventually(lambda: slow.begun)
            slow.at_once()
            await eventually(lambda: slow.ended == "CancelledError")


class TestMemory:
    @pytest.mark.parametrize("chunked", [True, False])
    async def test_a_slow_reader_holds_the_client_back(self, chunked: bool) -> None:
        """A body of 100 MB is read in steps; what is not read yet lies with the client."""
        slow, size = Slow(), 100_000_000
        piece = b"x" * 1_000_000
        head = CHUNKED if chunked else announced(size)
        pieces = [chunk(piece) if chunked else piece] * (size // len(piece))
        async with serving(upload(slow)) as on, connected(on.port) as wire:
            tracemalloc.start()
            wire.send(head)
            sending = asyncio.create_task(send_all(wire, iter(pieces)))
            await eventually(lambda: slow.begun)
            for _ in range(10):
                slow.go.release()
                await asyncio.sleep(0.01)
            assert slow.read < 10 * 500_000
            assert not sending.done()
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            slow.at_once()
            if chunked:
                await sending
                wire.send(b"0\r\n\r\n")
            assert (await wire.answer()).body == b"%d" % size
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            await sending
        # The client's own buffer is in this process too.
        assert peak - before < 4_000_000
