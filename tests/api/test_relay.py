"""What reaches the caller of an engine that behaves: every byte, every token counted, nothing else."""

from __future__ import annotations

import json

import pytest

from bench import answers, stub
from bench.behaviour import Behaviour
from tests.api import scripted
from tests.api.gateway import BOTH, CHAT, TEXT, attached, eventually, serving
from tests.api.scripted import event
from tests.api.wire import connected, request

STREAMED = {**CHAT, "stream": True}


class TestPlain:
    async def test_the_engine_s_answer_is_passed_on_untouched(self) -> None:
        async with stub.serving() as engine, serving(attached(engine.url)) as gateway:
            for path, kind, body in (("chat/completions", "chat", CHAT), ("completions", "text", TEXT)):
                answer = await gateway.post(f"/v1/{path}", body)
                assert answer.content == answers.plain(kind)
                assert answer.headers["content-type"] == "application/json"
                assert len(answer.headers["x-request-id"]) == 32

    async def test_fields_that_nobody_knows_are_for_the_server_s_owner_to_judge(self) -> None:
        body = {**CHAT, "guided_regex": "a+", "top_k": None, "seed": 3}
        async with stub.serving() as engine, serving(attached(engine.url)) as gateway:
            await gateway.post("/v1/chat/completions", body)
            assert engine.stats.last_body == {**CHAT, "guided_regex": "a+", "seed": 3}

    async def test_the_key_is_sent_and_the_caller_s_is_not(self) -> None:
        async with stub.serving(Behaviour(key="secret")) as engine:
            async with serving(attached(engine.url, key="secret")) as gateway:
                mine = {"authorization": "Bearer mine", "cookie": "a=b"}
                assert (await gateway.post("/v1/completions", TEXT, headers=mine)).status_code == 200
            assert "cookie" not in engine.stats.last_headers

    @pytest.mark.parametrize("stream", [False, True])
    async def test_fifty_requests_share_one_connection(self, stream: bool) -> None:
        async with stub.serving(Behaviour(chunks=3)) as engine, serving(attached(engine.url)) as gateway:
            for _ in range(50):
                assert (await gateway.post("/v1/chat/completions", {**CHAT, "stream": stream})).is_success
            assert (engine.stats.connections, engine.stats.finished) == (1, 50)

    @pytest.mark.parametrize("stream", [False, True])
    async def test_a_model_has_its_own_name_on_each_side(self, stream: bool) -> None:
        async with stub.serving(Behaviour(chunks=3)) as engine:
            async with serving(attached(engine.url, "org/mine")) as gateway:
                body = {**CHAT, "model": "mine", "stream": stream}
                text = (await gateway.post("/v1/chat/completions", body)).text
                assert engine.stats.last_body["model"] == "stub"
        assert '"org/mine"' in text
        assert '"model":"stub"' not in text.replace(" ", "")


class TestStreams:
    async def test_bytes_are_passed_on_untouched_without_the_usage_nobody_asked_for(self) -> None:
        async with stub.serving() as engine, serving(attached(engine.url)) as gateway:
            answer = await gateway.post("/v1/chat/completions", STREAMED)
            assert answer.content == b"".join(answers.events("chat"))
            assert answer.headers["content-type"] == "text/event-stream"
            assert engine.stats.last_body["stream_options"] == {"include_usage": True}

    async def test_usage_that_was_asked_for_is_kept(self) -> None:
        async with stub.serving() as engine, serving(attached(engine.url)) as gateway:
            body = {**STREAMED, "stream_options": {"include_usage": True}}
            answer = await gateway.post("/v1/chat/completions", body)
            assert answer.content == b"".join(answers.events("chat", include_usage=True))

    @pytest.mark.parametrize("mount", BOTH)
    @pytest.mark.parametrize("stream", [False, True])
    async def test_tokens_are_counted_whether_or_not_the_caller_asked(self, mount: str, stream: bool) -> None:
        async with stub.serving(Behaviour(chunks=12)) as engine, serving(attached(engine.url)) as gateway:
            answer = await gateway.post(f"{mount}/chat/completions", {**CHAT, "stream": stream})
            (line,) = await gateway.lines()
            assert line["request_id"] == answer.headers["x-request-id"]
            assert (line["prompt_tokens"], line["completion_tokens"], line["status"]) == ("9", "12", "200")
            assert ("first_token_ms" in line) is stream
            assert await gateway.metric("paddock_prompt_tokens_total", model="stub") == 9
            assert await gateway.metric("paddock_completion_tokens_total", model="stub") == 12

    @pytest.mark.parametrize("mount", BOTH)
    @pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
    @pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
    async def test_events_may_be_split_anywhere(self, mount: str, newline: bytes, size: int) -> None:
        data = b": ping\n\n" + b"".join(answers.events("chat", 4, include_usage=True))
        data = data.replace(b"\n", newline)
        pieces = [data[at : at + size] for at in range(0, len(data), size)]
        async with scripted.serving(scripted.answering(scripted.streamed(*pieces))) as engine:
            async with serving(attached(engine.url)) as gateway:
                answer = await gateway.post(f"{mount}/chat/completions", STREAMED)
                chunks = [json.loads(one[6:]) for one in answer.text.split("\n\n") if one[:7] == "data: {"]
                texts = [chunk["choices"][0]["delta"].get("content") for chunk in chunks]
                assert texts == ["A ", "foal ", "can ", "stand ", None]
                assert answer.text.endswith("data: [DONE]\n\n")
                assert (await gateway.lines())[0]["completion_tokens"] == "4"

    @pytest.mark.parametrize("mount", BOTH)
    async def test_an_engine_without_the_last_empty_line_or_done_is_understood(self, mount: str) -> None:
        events = answers.events("chat", 2)
        for tail in (b"data: [DONE]", b""):
            whole = b"".join(events[:-1]) + tail
            for data in (whole, whole.rstrip(b"\n")):
                async with scripted.serving(scripted.answering(scripted.streamed(data))) as engine:
                    async with serving(attached(engine.url)) as gateway:
                        text = (await gateway.post(f"{mount}/chat/completions", STREAMED)).text
                assert "error" not in text
                assert '"finish_reason":"stop"' in text
                assert text.endswith("}\n\ndata: [DONE]\n\n")

    async def test_usage_within_the_last_chunk_comes_after_it(self) -> None:
        """llama.cpp and others put the usage of a plain completion into the chunk with the finish reason."""
        shell = {"id": "1", "object": "text_completion", "created": 1, "model": "stub"}
        last = {"choices": [{"index": 0, "text": "", "finish_reason": "stop"}], "usage": answers.usage(1)}
        data = event({**shell, **last}) + answers.DONE
        async with scripted.serving(scripted.answering(scripted.streamed(data))) as engine:
            async with serving(attached(engine.url)) as gateway:
                body = {**TEXT, "stream": True, "stream_options": {"include_usage": True}}
                asked = (await gateway.post("/v1/completions", body)).text.split("\n\n")
                unasked = (await gateway.post("/v1/completions", {**TEXT, "stream": True})).text
        assert "usage" not in asked[0]
        assert json.loads(asked[1][6:]) == {**shell, "choices": [], "usage": answers.usage(1)}
        assert "usage" not in unasked

    async def test_text_that_looks_like_a_mark_is_text(self) -> None:
        """The relay looks for keys in the bytes; what a model writes must not be taken for them."""
        said = '"usage":{"prompt_tokens":5} "error":{} "model":"stub" data: [DONE]'
        choice = {"index": 0, "delta": {"content": said}, "finish_reason": None}
        end = {"index": 0, "delta": {}, "finish_reason": "stop"}
        data = event({"model": "stub", "choices": [choice]}) + event({"choices": [end]}) + answers.DONE
        async with scripted.serving(scripted.answering(scripted.streamed(data))) as engine:
            async with serving(attached(engine.url, "other")) as gateway:
                answer = await gateway.post("/v1/chat/completions", {**STREAMED, "model": "other"})
        first = json.loads(answer.text.split("\n\n")[0][6:])
        assert first == {"model": "other", "choices": [choice]}


class TestLeaving:
    @pytest.mark.parametrize("mount", BOTH)
    @pytest.mark.parametrize("stream", [False, True])
    async def test_before_the_first_byte(self, mount: str, stream: bool) -> None:
        async with stub.serving(Behaviour(hang=True)) as engine, serving(attached(engine.url)) as gateway:
            async with connected(gateway.port) as wire:
                wire.send(request("POST", f"{mount}/chat/completions", {**CHAT, "stream": stream}))
                await eventually(lambda: engine.stats.in_flight == 1)
            await eventually(lambda: engine.stats.disconnects == 1, 1.0)
            assert gateway.app.in_flight == 0
            (line,) = await gateway.lines()
            assert (line["status"], line["outcome"]) == ("499", "aborted")

    async def test_within_a_stream_counts_what_was_sent(self) -> None:
        async with stub.serving(Behaviour(chunk_delay=0.01)) as engine:
            async with serving(attached(engine.url)) as gateway:
                async with connected(gateway.port) as wire:
                    wire.send(request("POST", "/v1/chat/completions", STREAMED))
                    await wire.reader.readuntil(b"foal")
                await eventually(lambda: engine.stats.disconnects == 1, 1.0)
                (line,) = await gateway.lines()
                assert line["status"] == "499"
                assert 1 <= int(line["completion_tokens"]) <= 30
