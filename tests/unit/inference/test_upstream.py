"""One connection to an engine at a time, and what becomes of it between requests."""

from __future__ import annotations

import asyncio

import pytest

from paddock.errors import EngineFailed, EngineTimeout, ReaderStalled
from paddock.inference import upstream
from paddock.inference.connection import Body, Flow
from paddock.inference.upstream import Upstream
from tests.api import scripted
from tests.api.gateway import eventually

WHOLE = scripted.plain({"whole": True})


class Pausing(Body):
    """Holds the engine back at each piece, the last one too."""

    def __init__(self, flow: Flow) -> None:
        super().__init__()
        self.flow = flow

    def on_data(self, data: bytes) -> None:
        super().on_data(data)
        self.flow.pause()


async def ask(engine: Upstream, sink: Body | None = None, flow: Flow | None = None) -> Body:
    sink = sink or Body()
    async with asyncio.timeout(5):
        await engine.send(b"POST", engine.prefix + b"/x", b"{}", sink, flow)
    return sink


class TestReuse:
    async def test_a_connection_held_back_at_the_last_piece_reads_again(self) -> None:
        async with scripted.serving(scripted.answering(WHOLE)) as engine:
            up = Upstream(engine.url + "/v1", None, 10)
            for _ in range(3):
                flow = Flow()
                assert (await ask(up, Pausing(flow), flow)).data == b'{"whole": true}'
            assert engine.connections == 1
            up.close()

    async def test_a_flow_paused_before_it_has_a_connection_holds_it_back(self) -> None:
        async with scripted.serving(scripted.answering(WHOLE)) as engine:
            up = Upstream(engine.url, None, 10)
            flow = Flow(paused=True)
            asking = asyncio.ensure_future(ask(up, None, flow))
            await eventually(lambda: bool(engine.bodies))
            await asyncio.sleep(0.02)
            assert not asking.done()
            flow.resume()
            assert (await asking).status == 200
            up.close()

    async def test_a_cancelled_request_closes_its_connection(self) -> None:
        async def hang(writer: asyncio.StreamWriter, body: object) -> None:
            await asyncio.Event().wait()

        async with scripted.serving(hang) as engine:
            up = Upstream(engine.url, None, 10)
            asking = asyncio.ensure_future(ask(up))
            await eventually(lambda: bool(engine.bodies))
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
            await eventually(lambda: bool(engine.left))
            assert not up.in_flight

    async def test_a_second_cancellation_ends_it_at_once(self) -> None:
        left = asyncio.Event()

        async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()
            left.set()
            await asyncio.sleep(0.2)
            writer.close()

        async with await asyncio.start_server(deaf, "127.0.0.1", 0) as server:
            up = Upstream(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", None, 10)
            asking = asyncio.ensure_future(ask(up))
            await eventually(lambda: up.in_flight == 1)
            asking.cancel()
            await left.wait()
            assert up.in_flight == 1
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asyncio.wait_for(asyncio.shield(asking), 0.1)
            assert not up.in_flight
            await asyncio.sleep(0.25)

    async def test_close_ends_what_is_in_flight_with_an_error(self) -> None:
        async def half(writer: asyncio.StreamWriter, body: object) -> None:
            writer.write(WHOLE[:-3])
            await asyncio.Event().wait()

        async with scripted.serving(half) as engine:
            up = Upstream(engine.url, None, 10)
            asking = asyncio.ensure_future(ask(up))
            await eventually(lambda: bool(engine.bodies))
            await asyncio.sleep(0.02)
            up.close()
            with pytest.raises(EngineFailed, match="in the middle"):
                await asking


class TestAnswers:
    @pytest.mark.parametrize(
        "answer",
        [
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n",
            b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        ],
        ids=["length", "chunked", "informational first"],
    )
    async def test_every_framing_in_pieces_of_any_size(self, answer: bytes) -> None:
        for size in (1, 3, len(answer)):

            async def script(writer: asyncio.StreamWriter, body: object, size: int = size) -> None:
                for at in range(0, len(answer), size):
                    writer.write(answer[at : at + size])
                    await asyncio.sleep(0)

            async with scripted.serving(script) as engine:
                up = Upstream(engine.url, None, 10)
                for _ in range(2):
                    sink = await ask(up)
                    assert (sink.status, sink.data) == (200, b"ok")
                up.close()

    async def test_a_body_may_end_with_the_connection(self) -> None:
        async def script(writer: asyncio.StreamWriter, body: object) -> None:
            writer.write(b"HTTP/1.0 200 OK\r\n\r\nok")
            raise ConnectionResetError

        async with scripted.serving(script) as engine:
            assert (await ask(Upstream(engine.url, None, 10))).data == b"ok"

    async def test_silence_is_a_timeout(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(upstream, "SWEEP_SECONDS", 0.01)

        async def hang(writer: asyncio.StreamWriter, body: object) -> None:
            await asyncio.Event().wait()

        async with scripted.serving(hang) as engine:
            with pytest.raises(EngineTimeout, match=r"nothing for 0\.05 seconds"):
                await ask(Upstream(engine.url, None, 0.05))

    async def test_a_reader_who_has_stopped_is_told_from_an_engine_that_has(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """And what lies in the socket counts."""
        monkeypatch.setattr(upstream, "SWEEP_SECONDS", 0.01)

        async def goes_on(writer: asyncio.StreamWriter, body: object) -> None:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\none")
            await asyncio.sleep(0.02)
            writer.write(b"two")
            await asyncio.Event().wait()

        async with scripted.serving(goes_on) as engine:
            flow = Flow()
            sink = Pausing(flow)
            with pytest.raises(ReaderStalled, match=r"nothing of the answer for 0\.1 seconds"):
                await ask(Upstream(engine.url, None, 0.1), sink, flow)
        assert sink.data == b"onetwo"


class TestRequests:
    async def test_the_head_names_the_host_and_carries_the_key(self) -> None:
        async with scripted.serving(scripted.answering(WHOLE)) as engine:
            up = Upstream(engine.url.replace("http://", "http://user:pass@") + "/base/v1/", "secret", 10)
            await ask(up)
            up.close()
        (head,) = engine.headers
        assert engine.paths == ["/base/v1/x"]
        assert f"host: {engine.url.removeprefix('http://')}\r\n" in head
        assert "authorization: bearer secret\r\n" in head
        assert "user-agent: paddock" in head
