"""What the caller is told when the engine fails, in every way that engines do."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from bench import answers, stub
from bench.behaviour import Behaviour
from paddock.inference import upstream
from paddock.inference.routing import Deployment
from tests.api import scripted
from tests.api.gateway import BOTH, CHAT, TEXT, attached, serving
from tests.api.scripted import event
from tests.api.wire import connected, request

STREAMED = {**CHAT, "stream": True}


class TestBeforeTheAnswer:
    """Nothing was sent yet, so the status can tell."""

    @pytest.mark.parametrize("mount", BOTH)
    @pytest.mark.parametrize("stream", [False, True])
    @pytest.mark.parametrize(
        "behaviour",
        [Behaviour(drop=True), Behaviour(garbage="http"), Behaviour(garbage="json"), Behaviour(die_after=0)],
        ids=["drop", "not HTTP", "not JSON", "die"],
    )
    async def test_a_broken_engine_is_502(self, mount: str, stream: bool, behaviour: Behaviour) -> None:
        async with stub.serving(behaviour) as engine, serving(attached(engine.url)) as gateway:
            answer = await gateway.post(f"{mount}/chat/completions", {**CHAT, "stream": stream})
            error = answer.json()["error"]
            lost = behaviour.drop or behaviour.die_after == 0
            code = "engine_lost" if lost else "engine_failed"
            assert (answer.status_code, error["type"], error["code"]) == (502, "server_error", code)
            assert (await gateway.client.get("/healthz")).status_code == 200

    async def test_an_engine_that_is_not_there_is_502_and_named(self) -> None:
        async with stub.serving() as engine:
            gone = engine.url
        async with serving(attached(gone)) as gateway:
            answer = await gateway.post("/v1/chat/completions", CHAT)
            assert answer.status_code == 502
            assert gone in answer.json()["error"]["message"]

    async def test_a_model_without_an_engine_is_503_and_says_why(self) -> None:
        async with serving(Deployment("stub", "llama.cpp", "stub", problem="it has died")) as gateway:
            answer = await gateway.post("/v1/chat/completions", CHAT)
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
            assert "it has died" in answer.json()["error"]["message"]
            ready = await gateway.client.get("/readyz")
            assert (ready.status_code, ready.json()["models"]) == (503, {"stub": "it has died"})

    @pytest.mark.parametrize("stream", [False, True])
    async def test_a_silent_engine_is_504(self, stream: bool, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(upstream, "SWEEP_SECONDS", 0.02)
        async with stub.serving(Behaviour(hang=True)) as engine:
            async with serving(attached(engine.url, timeout=0.1)) as gateway:
                answer = await gateway.post("/v1/chat/completions", {**CHAT, "stream": stream})
                assert (answer.status_code, answer.json()["error"]["code"]) == (504, "engine_timeout")

    @pytest.mark.parametrize("stream", [False, True])
    @pytest.mark.parametrize(
        ("status", "told", "code"),
        [
            (400, 400, "invalid_request"),
            (401, 502, "engine_failed"),
            (403, 502, "engine_failed"),
            (404, 404, "not_found"),
            (413, 413, "request_too_large"),
            (422, 400, "invalid_request"),
            (429, 429, "rate_limit_exceeded"),
            (500, 502, "engine_failed"),
            (503, 503, "unavailable"),
        ],
    )
    async def test_its_error_status_is_told_as_what_it_means_here(
        self, stream: bool, status: int, told: int, code: str
    ) -> None:
        async with stub.serving(Behaviour(status=status)) as engine:
            async with serving(attached(engine.url)) as gateway:
                answer = await gateway.post("/v1/chat/completions", {**CHAT, "stream": stream})
        error = answer.json()["error"]
        assert (answer.status_code, error["code"]) == (told, code)
        assert "the stub was told to fail" in error["message"]
        assert answer.headers.get("retry-after") == ("1" if told in (429, 503) else None)

    @pytest.mark.parametrize(("sent", "given"), [("17", "17"), ("Fri, 20 Nov 2026 10:00:00 GMT", "1")])
    async def test_retry_after_is_handed_on(self, sent: str, given: str) -> None:
        refusal = scripted.plain(answers.error(429, "slow down"), "429 Busy", f"Retry-After: {sent}")
        async with scripted.serving(scripted.answering(refusal)) as engine:
            async with serving(attached(engine.url)) as gateway:
                answer = await gateway.post("/v1/chat/completions", CHAT)
        assert answer.headers["retry-after"] == given

    @pytest.mark.parametrize(
        ("body", "said"),
        [
            (b"upstream connect error", "upstream connect error"),
            ({"detail": "Not Found"}, "Not Found"),
            ({"error": "bad input", "error_type": "validation"}, "bad input"),
            ({"message": "no such thing", "code": 400}, "no such thing"),
            ([1], "status 400"),
            (b"", "status 400"),
        ],
    )
    async def test_whatever_words_it_has_are_quoted(self, body: Any, said: str) -> None:
        async with scripted.serving(scripted.answering(scripted.plain(body, "400 Bad"))) as engine:
            async with serving(attached(engine.url)) as gateway:
                answer = await gateway.post("/v1/chat/completions", CHAT)
        assert answer.status_code == 400
        assert said in answer.json()["error"]["message"]

    @pytest.mark.parametrize(("path", "param"), [("chat/completions", "messages"), ("completions", "prompt")])
    async def test_a_prompt_too_long_says_both_numbers(self, path: str, param: str) -> None:
        detail = {"code": 400, "message": "too long", "type": "exceed_context_size_error"}
        refusal = scripted.plain(
            {"error": {**detail, "n_prompt_tokens": 3000, "n_ctx": 2048}}, "400 Bad Request"
        )
        async with scripted.serving(scripted.answering(refusal)) as engine:
            async with serving(attached(engine.url)) as gateway:
                answer = await gateway.post(f"/v1/{path}", CHAT if "chat" in path else TEXT)
        error = answer.json()["error"]
        assert (answer.status_code, error["code"], error["param"]) == (400, "context_length_exceeded", param)
        assert "3000 tokens" in error["message"]
        assert "2048 tokens" in error["message"]

    @pytest.mark.parametrize("mount", BOTH)
    @pytest.mark.parametrize(
        "body",
        [
            [],
            {},
            {"choices": 5},
            {"choices": [None]},
            {"choices": [5], "model": "x"},
            {"choices": [], "usage": 5},
        ],
    )
    async def test_odd_json_is_never_500(self, mount: str, body: Any) -> None:
        async with scripted.serving(scripted.answering(scripted.plain(body))) as engine:
            async with serving(attached(engine.url)) as gateway:
                answer = await gateway.post(f"{mount}/chat/completions", CHAT)
        assert answer.status_code in (200, 502)

    async def test_an_answer_instead_of_a_stream_is_502(self) -> None:
        async with scripted.serving(scripted.answering(scripted.plain(answers.plain("chat")))) as engine:
            async with serving(attached(engine.url)) as gateway:
                answer = await gateway.post("/v1/chat/completions", STREAMED)
        assert (answer.status_code, answer.json()["error"]["code"]) == (502, "engine_failed")


class TestWithinAStream:
    """The status is sent; an error event and a proper end of the body are what is left."""

    def check(self, text: str, code: str = "engine_failed") -> None:
        events = text.split("\n\n")
        error = json.loads(events[-2][6:])["error"]
        assert (error["code"], error["type"]) == (code, "server_error")
        assert "[DONE]" not in text
        assert events[0].startswith("data: {")
        assert "error" not in events[0]

    @pytest.mark.parametrize("mount", BOTH)
    async def test_an_engine_that_dies(self, mount: str) -> None:
        async with stub.serving(Behaviour(die_after=3)) as engine, serving(attached(engine.url)) as gateway:
            answer = await gateway.post(f"{mount}/chat/completions", STREAMED)
            assert answer.status_code == 200
            assert answer.text.count("data: ") == 4
            self.check(answer.text, "engine_lost")
            (line,) = await gateway.lines()
            assert (line["outcome"], line["status"]) == ("engine_lost", "200")
            assert (await gateway.client.get("/healthz")).status_code == 200

    @pytest.mark.parametrize("mount", BOTH)
    async def test_an_engine_that_falls_silent(self, mount: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(upstream, "SWEEP_SECONDS", 0.02)

        async def script(writer: asyncio.StreamWriter, body: dict[str, Any]) -> None:
            writer.write(scripted.STREAM + scripted.chunk(answers.events("chat")[0]))
            await asyncio.Event().wait()

        async with scripted.serving(script) as engine:
            async with serving(attached(engine.url, timeout=0.1)) as gateway:
                self.check((await gateway.post(f"{mount}/chat/completions", STREAMED)).text, "engine_timeout")

    @pytest.mark.parametrize("mount", BOTH)
    @pytest.mark.parametrize(
        "last",
        [
            event({"error": {"message": "out of memory", "code": 500}}),
            b'error: {"message": "out of memory"}\n\n',
            event({"choices": [{"index": 0, "delta": {"content": "x"}}]}),
            b"data: {broken",
            b"",
        ],
        ids=["error event", "error field", "no finish", "half an event", "nothing"],
    )
    async def test_a_stream_that_ends_badly(self, mount: str, last: bytes) -> None:
        pieces = [piece for piece in (answers.events("chat")[0], last) if piece]

        # In writes of their own, so that the first has been relayed when the second is met.
        async def script(writer: asyncio.StreamWriter, body: dict[str, Any]) -> None:
            writer.write(scripted.STREAM)
            for piece in pieces:
                writer.write(scripted.chunk(piece))
                await asyncio.sleep(0.02)
            writer.write(scripted.chunk(b""))

        async with scripted.serving(script) as engine, serving(attached(engine.url)) as gateway:
            self.check((await gateway.post(f"{mount}/chat/completions", STREAMED)).text)

    async def test_a_body_without_length_that_stops_early_is_no_whole_answer(self) -> None:
        async def script(writer: asyncio.StreamWriter, body: dict[str, Any]) -> None:
            writer.write(b"HTTP/1.0 200 OK\r\n\r\n" + answers.events("chat")[0])
            await writer.drain()
            await asyncio.sleep(0.02)
            raise ConnectionResetError

        async with scripted.serving(script) as engine, serving(attached(engine.url)) as gateway:
            self.check((await gateway.post("/v1/chat/completions", STREAMED)).text)

    @pytest.mark.parametrize("chunk", [{"choices": [None]}, {"choices": 5}, {"choices": [{"delta": 5}]}, [1]])
    async def test_odd_chunks_end_the_fireworks_stream_with_an_error(self, chunk: Any) -> None:
        async def script(writer: asyncio.StreamWriter, body: dict[str, Any]) -> None:
            writer.write(scripted.STREAM + scripted.chunk(answers.events("chat")[0]))
            await asyncio.sleep(0.02)
            writer.write(scripted.chunk(event(chunk)))
            await asyncio.Event().wait()

        async with scripted.serving(script) as engine, serving(attached(engine.url)) as gateway:
            self.check((await gateway.post("/inference/v1/chat/completions", STREAMED)).text)

    async def test_the_connection_goes_on_after_the_error(self) -> None:
        async with stub.serving(Behaviour(die_after=3, times=1)) as engine:
            async with serving(attached(engine.url)) as gateway, connected(gateway.port) as wire:
                for _ in range(2):
                    wire.send(request("POST", "/v1/chat/completions", STREAMED))
                    answer = await wire.answer()
                assert answer.body.endswith(answers.DONE)


class TestConnectionsToTheEngine:
    async def test_one_that_was_closed_between_requests_is_replaced_unnoticed(self) -> None:
        async def script(writer: asyncio.StreamWriter, body: dict[str, Any]) -> None:
            if engine.connections == 1 and len(engine.bodies) == 2:
                raise ConnectionResetError
            writer.write(scripted.plain(answers.plain("chat")))

        async with scripted.serving(script) as engine, serving(attached(engine.url)) as gateway:
            for _ in range(3):
                assert (await gateway.post("/v1/chat/completions", CHAT)).status_code == 200
            assert (engine.connections, len(engine.bodies)) == (2, 4)

    async def test_a_fresh_one_that_closes_is_not_tried_again(self) -> None:
        async with stub.serving(Behaviour(drop=True)) as engine, serving(attached(engine.url)) as gateway:
            assert (await gateway.post("/v1/chat/completions", CHAT)).status_code == 502
            assert engine.stats.requests == 1

    @pytest.mark.parametrize("late", [False, True], ids=["at once", "later"])
    async def test_an_answer_nobody_asked_for_reaches_nobody(self, late: bool) -> None:
        """A second answer on a connection must not become that to the next caller's request."""

        async def script(writer: asyncio.StreamWriter, body: dict[str, Any]) -> None:
            stolen = answers.plain("chat").replace(b"foal", b"LEAK")
            writer.write(scripted.plain(answers.plain("chat")))
            if late:
                await asyncio.sleep(0.02)
            writer.write(scripted.plain(stolen))

        async with scripted.serving(script) as engine, serving(attached(engine.url)) as gateway:
            for _ in range(3):
                answer = await gateway.post("/v1/chat/completions", CHAT)
                assert answer.content == answers.plain("chat")
                await asyncio.sleep(0.04 if late else 0)

    async def test_a_connection_that_says_close_is_not_used_again(self) -> None:
        closing = scripted.plain(answers.plain("chat"), "200 OK", "Connection: close")
        async with scripted.serving(scripted.answering(closing)) as engine:
            async with serving(attached(engine.url)) as gateway:
                for _ in range(3):
                    assert (await gateway.post("/v1/chat/completions", CHAT)).status_code == 200
                assert engine.connections == 3
