"""The HTTP layer, as clients that are odd, slow or hostile meet it."""

from __future__ import annotations

import asyncio

import pytest

from bench import stub
from paddock.gateway import server
from tests.api.gateway import CHAT, Gateway, attached, eventually, serving
from tests.api.wire import connected, request

HEALTH = request("GET", "/healthz")


class TestConnections:
    async def test_many_requests_on_one_connection(self) -> None:
        async with serving() as gateway, connected(gateway.port) as wire:
            for _ in range(5):
                wire.send(HEALTH)
                answer = await wire.answer()
                assert (answer.status, answer.body) == (200, b'{"status":"ok"}')
                assert "connection" not in answer.headers
            assert len(gateway.http.connections) == 1

    async def test_pipelined_requests_are_answered_in_order(self) -> None:
        async with stub.serving() as engine, serving(attached(engine.url)) as gateway:
            async with connected(gateway.port) as wire:
                streamed = request("POST", "/v1/chat/completions", {**CHAT, "stream": True})
                wire.send(streamed + HEALTH + request("GET", "/nothing") + streamed)
                answers = [await wire.answer() for _ in range(4)]
        assert [answer.status for answer in answers] == [200, 200, 404, 200]
        assert [answer.body[:6] for answer in answers] == [b"data: ", b'{"stat', b'{"erro', b"data: "]

    async def test_hundreds_of_pipelined_requests_are_all_answered(self) -> None:
        async with serving() as gateway, connected(gateway.port) as wire:
            wire.send(HEALTH * 300)
            for _ in range(300):
                assert (await wire.answer()).status == 200

    async def test_close_is_honoured(self) -> None:
        async with serving() as gateway, connected(gateway.port) as wire:
            wire.send(request("GET", "/healthz", None, "Connection: close"))
            assert (await wire.answer()).headers["connection"] == "close"
            assert await wire.ended()

    async def test_http_1_0_gets_whole_answers_and_an_end(self) -> None:
        async with serving() as gateway, connected(gateway.port) as wire:
            wire.send(request("GET", "/healthz", version="1.0"))
            assert (await wire.answer()).body == b'{"status":"ok"}'
            assert await wire.ended()

    async def test_http_1_0_keep_alive(self) -> None:
        async with serving() as gateway, connected(gateway.port) as wire:
            for _ in range(2):
                wire.send(request("GET", "/healthz", None, "Connection: keep-alive", version="1.0"))
                assert (await wire.answer()).headers["connection"] == "keep-alive"

    async def test_a_stream_over_http_1_0_ends_with_the_connection(self) -> None:
        async with stub.serving() as engine, serving(attached(engine.url)) as gateway:
            async with connected(gateway.port) as wire:
                body = {**CHAT, "stream": True}
                wire.send(
                    request("POST", "/v1/chat/completions", body, "Connection: keep-alive", version="1.0")
                )
                answer = await wire.answer()
        assert "transfer-encoding" not in answer.headers
        assert answer.headers["connection"] == "close"
        assert answer.body.endswith(b"data: [DONE]\n\n")

    async def test_an_idle_connection_is_closed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(server, "IDLE_SECONDS", 0.05)
        async with serving() as gateway, connected(gateway.port) as wire:
            wire.send(HEALTH)
            await wire.answer()
            assert await wire.ended()

    async def test_a_request_that_never_ends_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(server, "RECEIVE_SECONDS", 0.05)
        async with serving() as gateway, connected(gateway.port) as wire:
            wire.send(b"POST /v1/completions HTTP/1.1\r\nContent-Length: 10\r\n\r\n{")
            answer = await wire.answer()
            assert answer.status == 408
            assert "not received whole" in answer.json()["error"]["message"]
            assert await wire.ended()


class TestRequests:
    async def test_head_has_the_length_and_no_body(self) -> None:
        async with serving() as gateway, connected(gateway.port) as wire:
            wire.send(request("HEAD", "/healthz") + HEALTH)
            assert (await wire.answer(head=True)).headers["content-length"] == "15"
            assert (await wire.answer()).body == b'{"status":"ok"}'

    async def test_a_chunked_body(self) -> None:
        head = b"POST /v1/chat/completions HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
        body = b'5\r\n{"mod\r\n3;x=y\r\nel"\r\n8\r\n:"none"}\r\n0\r\nX-Trailer: 1\r\n\r\n'
        async with serving() as gateway, connected(gateway.port) as wire:
            wire.send(head + body + HEALTH)
            answer = await wire.answer()
            assert answer.json()["error"]["param"] == "messages"
            assert (await wire.answer()).status == 200

    async def test_one_byte_at_a_time(self) -> None:
        async with stub.serving() as engine, serving(attached(engine.url)) as gateway:
            async with connected(gateway.port) as wire:
                for byte in request("POST", "/v1/chat/completions", CHAT):
                    wire.send(bytes([byte]))
                    await wire.writer.drain()
                    await asyncio.sleep(0)
                assert (await wire.answer()).status == 200
            assert engine.stats.last_body == CHAT

    async def test_a_trailer_does_not_replace_a_header(self) -> None:
        seen: list[dict[bytes, bytes]] = []

        async def handler(incoming: server.Request) -> None:
            seen.append(incoming.headers)
            incoming.connection.respond(200, b"", b"")

        http = server.HttpServer(handler, lambda status, message: b"", 1000)
        port = await http.listen("127.0.0.1", 0)
        async with connected(port) as wire:
            head = b"POST / HTTP/1.1\r\nAuthorization: mine\r\nTransfer-Encoding: chunked\r\n\r\n"
            wire.send(head + b"1\r\nx\r\n0\r\nAuthorization: stolen\r\n\r\n")
            await wire.answer()
        await http.close()
        assert seen[0][b"authorization"] == b"mine"

    async def test_the_client_that_asks_before_it_sends_is_told_to_go_on(self) -> None:
        async with serving() as gateway, connected(gateway.port) as wire:
            wire.send(b"POST /v1/completions HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
            assert (await wire.answer()).status == 100
            wire.send(b"{}")
            assert (await wire.answer()).status == 400

    @pytest.mark.parametrize("method", ["GET", "POST"])
    async def test_an_offer_of_http_2_is_passed_over(self, method: str) -> None:
        """Java's client makes one with its first request, body or not."""
        offer = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAA")
        async with stub.serving() as engine, serving(attached(engine.url)) as gateway:
            async with connected(gateway.port) as wire:
                body = CHAT if method == "POST" else None
                path = "/v1/chat/completions" if method == "POST" else "/v1/models"
                for _ in range(2):
                    wire.send(request(method, path, body, *offer))
                    answer = await wire.answer()
                    assert (answer.status, "error" in answer.json()) == (200, False)
            assert engine.stats.last_body == (CHAT if method == "POST" else None)

    @pytest.mark.parametrize(
        "path",
        [
            "/v1/models/org%2Fstub",
            "/v1/models/%6Frg/stub?x=1&y",
            "http://any:1/v1/models/org/stub",
            "/v1/models/",
        ],
    )
    async def test_paths_are_decoded_and_queries_left_out(self, path: str) -> None:
        async with serving(attached("http://127.0.0.1:9", "org/stub")) as gateway:
            async with connected(gateway.port) as wire:
                wire.send(request("GET", path))
                assert (await wire.answer()).status == 200


class TestRefusals:
    async def answer_to(self, gateway: Gateway, sent: bytes) -> tuple[int, str]:
        """Status and message; the body is OpenAI's error, and the connection ends."""
        async with connected(gateway.port) as wire:
            wire.send(sent)
            answer = await wire.answer()
            error = answer.json()["error"]
            assert error["type"] == "invalid_request_error"
            assert len(answer.headers["x-request-id"]) == 32
            assert answer.headers["connection"] == "close"
            assert await wire.ended()
            return answer.status, error["message"]

    @pytest.mark.parametrize(
        "sent",
        [
            b"hello\r\n\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
            b"GET / HTTP/1.1\r\nbad header\r\n\r\n",
            b"GET /\x00 HTTP/1.1\r\n\r\n",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
            b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
            b"POST / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
            b"POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
        ],
    )
    async def test_what_is_not_http_is_told_so(self, sent: bytes) -> None:
        async with serving() as gateway:
            status, message = await self.answer_to(gateway, sent)
            assert (status, "not HTTP/1.1" in message) == (400, True)
            assert await gateway.metric("paddock_requests_total", route="unknown", status="400") == 1

    async def test_connect_is_refused(self) -> None:
        async with serving() as gateway:
            assert (await self.answer_to(gateway, b"CONNECT a:1 HTTP/1.1\r\n\r\n"))[0] == 405

    async def test_garbage_behind_a_request_waits_for_its_answer(self) -> None:
        async with stub.serving() as engine, serving(attached(engine.url)) as gateway:
            async with connected(gateway.port) as wire:
                wire.send(request("POST", "/v1/chat/completions", CHAT) + b"\x00garbage\r\n\r\n")
                assert [(await wire.answer()).status for _ in range(2)] == [200, 400]
                assert await wire.ended()

    @pytest.mark.parametrize("length", [True, False])
    async def test_a_body_too_large_is_answered_while_it_is_sent(self, length: bool) -> None:
        frame = b"Content-Length: 9000000" if length else b"Transfer-Encoding: chunked"
        async with serving(max_body=100_000) as gateway, connected(gateway.port) as wire:
            wire.send(b"POST /v1/completions HTTP/1.1\r\n" + frame + b"\r\n\r\n")
            piece = b"x" * 50_000 if length else b"c350\r\n" + b"x" * 50_000 + b"\r\n"
            for _ in range(100):
                wire.send(piece)
            answer = await wire.answer()
            assert answer.status == 413
            assert "100000 bytes" in answer.json()["error"]["message"]

    @pytest.mark.parametrize(
        "head",
        [
            b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\n\r\n",
            b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 40_000,
            b"GET / HTTP/1.1\r\na: " + b"x" * 5_000_000,
            b"GET / HTTP/1.1\r\n" + b"x" * 5_000_000,
        ],
        ids=["path", "many headers", "endless value", "endless name"],
    )
    async def test_an_endless_head_is_cut_off(self, head: bytes) -> None:
        async with serving() as gateway, connected(gateway.port) as wire:
            wire.send(head)
            answer = await wire.answer()
            assert (answer.status, answer.json()["error"]["code"]) == (431, "bad_http")

    async def test_a_client_that_leaves_at_once_leaves_nothing(self) -> None:
        async with serving() as gateway:
            async with connected(gateway.port) as wire:
                wire.send(b"POST /v1/completions HTTP/1.1\r\nContent-Le")
                await eventually(lambda: len(gateway.http.connections) == 1)
            await eventually(lambda: not gateway.http.connections)
