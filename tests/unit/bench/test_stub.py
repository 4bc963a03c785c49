"""The Python stub engine keeps its word, since tests of the gateway's faults lean on it."""

from __future__ import annotations

import asyncio
import json

from bench import answers, stub
from bench.behaviour import Behaviour

BODY = b'{"model": "stub", "stream": true, "stream_options": {"include_usage": true}}'


def request(body: bytes = BODY, path: str = "/v1/chat/completions", headers: str = "") -> bytes:
    return f"POST {path} HTTP/1.1\r\nHost: x\r\n{headers}Content-Length: {len(body)}\r\n\r\n".encode() + body


async def exchange(engine: stub.Engine, sent: bytes, until: bytes = b"") -> bytes:
    """What the stub answers, up to `until` or the end of the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", engine.port)
    try:
        for at in range(0, len(sent), 50):  # in many pieces, as a slow network would
            writer.write(sent[at : at + 50])
            await writer.drain()
            await asyncio.sleep(0)
        return await (reader.readuntil(until) if until else reader.read())
    finally:
        writer.close()


class TestAnswers:
    def test_streams_every_event_and_usage(self) -> None:
        async def run() -> bytes:
            async with stub.serving() as engine:
                return await exchange(engine, request(), until=b"\r\n0\r\n\r\n")

        seen = asyncio.run(run())
        assert seen.count(b"data: ") == answers.CHUNKS + 3
        assert b'"completion_tokens":64' in seen

    def test_answers_pipelined_requests_in_order(self) -> None:
        async def run() -> bytes:
            async with stub.serving() as engine:
                both = request(b'{"model":"stub"}') + request()
                return await exchange(engine, both, until=b"\r\n0\r\n\r\n")

        seen = asyncio.run(run())
        assert seen.index(b"application/json") < seen.index(b"text/event-stream")

    def test_reads_chunked_bodies_and_remembers_the_request(self) -> None:
        async def run() -> stub.Stats:
            async with stub.serving() as engine:
                head = b"POST /v1/completions HTTP/1.1\r\nTransfer-Encoding: chunked\r\nX-Mark: here\r\n\r\n"
                sent = (
                    head
                    + answers.http_chunk(b'{"prompt":')
                    + answers.http_chunk(b'"hi"}')
                    + answers.http_chunk(b"")
                )
                await exchange(engine, sent, until=b"}}")
                return engine.stats

        stats = asyncio.run(run())
        assert (stats.requests, stats.finished, stats.in_flight) == (1, 1, 0)
        assert stats.last_body == {"prompt": "hi"}
        assert stats.last_headers["x-mark"] == "here"


class TestFaults:
    def test_dies_within_a_stream(self) -> None:
        async def run() -> bytes:
            async with stub.serving(Behaviour(die_after=3)) as engine:
                return await exchange(engine, request())

        seen = asyncio.run(run())
        assert seen.count(b"data: ") == 3
        assert not seen.endswith(b"0\r\n\r\n")

    def test_fails_so_many_times_and_then_recovers(self) -> None:
        async def run() -> list[bytes]:
            async with stub.serving(Behaviour(status=503, times=2)) as engine:
                plain = request(b"{}")
                return [await exchange(engine, plain, until=b"\r\n") for _ in range(3)]

        assert [line.split()[1] for line in asyncio.run(run())] == [b"503", b"503", b"200"]

    def test_wants_its_key(self) -> None:
        async def run() -> list[bytes]:
            async with stub.serving(Behaviour(key="secret")) as engine:
                wrong = await exchange(engine, request(b"{}"), until=b"\r\n")
                good = request(b"{}", headers="Authorization: Bearer secret\r\n")
                return [wrong, await exchange(engine, good, until=b"\r\n")]

        assert [line.split()[1] for line in asyncio.run(run())] == [b"401", b"200"]

    def test_notices_a_client_that_leaves(self) -> None:
        async def run() -> stub.Stats:
            async with stub.serving(Behaviour(chunk_delay=0.01)) as engine:
                await exchange(engine, request(), until=b"data: ")
                await asyncio.sleep(0.1)
                return engine.stats

        stats = asyncio.run(run())
        assert (stats.streams, stats.disconnects, stats.finished) == (1, 1, 0)

    def test_hangs_until_told_otherwise(self) -> None:
        async def run() -> dict[str, object]:
            async with stub.serving(Behaviour(hang=True)) as engine:
                waiting = asyncio.create_task(exchange(engine, request(), until=b"data: "))
                await asyncio.sleep(0.05)
                assert engine.stats.in_flight == 1
                told = await exchange(engine, request(b'{"hang": false}', path="/behaviour"), until=b"}")
                await exchange(engine, request(b"{}"), until=b"}}")
                waiting.cancel()
                return dict(json.loads(told.partition(b"\r\n\r\n")[2]))

        assert asyncio.run(run())["hang"] is False
