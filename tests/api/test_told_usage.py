"""What servers of somebody else's say that a request used: anything, or nothing."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from bench import answers
from tests.api import scripted
from tests.api.gateway import CHAT, TEXT, attached, eventually, serving
from tests.api.wire import connected, request

ODD = {"prompt_tokens": "9", "completion_tokens": None, "prompt_tokens_details": "x"}
VECTORS = {"data": [{"index": 0, "embedding": [0.5], "object": "embedding"}], "model": "stub"}
EMBED = {"model": "stub", "input": "hi"}


def counted(line: dict[str, str]) -> tuple[int, int]:
    return int(line.get("prompt_tokens", 0)), int(line.get("completion_tokens", 0))


def estimate(body: dict[str, Any]) -> int:
    """As the package for these tests writes the body."""
    return -(-len(json.dumps(body, separators=(",", ":"))) // 3)


@pytest.mark.parametrize("usage", [ODD, None, "12", 12.0])
async def test_whole_answers(usage: Any) -> None:
    whole = {**json.loads(answers.plain("chat")), "usage": usage}
    async with scripted.serving(scripted.answering(scripted.plain(whole))) as engine:
        async with serving(attached(engine.url)) as gateway:
            assert (await gateway.post("/v1/chat/completions", CHAT)).status_code == 200
            (line,) = await gateway.lines()
    assert counted(line) == (estimate(CHAT), 0)


@pytest.mark.parametrize("path", ["/v1/completions", "/inference/v1/completions"])
@pytest.mark.parametrize("usage", ["12", 12.0, None])
async def test_streams_are_counted_by_their_pieces(path: str, usage: Any) -> None:
    body = {**TEXT, "stream": True}
    pieces = answers.events("text", 3)
    odd = scripted.event({"choices": [], "usage": usage})
    answer = scripted.streamed(*pieces[:-1], odd, pieces[-1])
    async with scripted.serving(scripted.answering(answer)) as engine:
        async with serving(attached(engine.url)) as gateway:
            assert (await gateway.post(path, body)).status_code == 200
            (line,) = await gateway.lines()
    assert counted(line) == (estimate(body), 3)


class TestEmbeddings:
    @pytest.mark.parametrize(
        ("usage", "prompt"), [({"prompt_tokens": 7.0}, 7), (ODD, estimate(EMBED)), ("x", estimate(EMBED))]
    )
    async def test_usage(self, usage: Any, prompt: int) -> None:
        answer = scripted.plain({**VECTORS, "usage": usage})
        async with scripted.serving(scripted.answering(answer)) as engine:
            async with serving(attached(engine.url, embeds=True)) as gateway:
                assert (await gateway.post("/v1/embeddings", EMBED)).status_code == 200
                (line,) = await gateway.lines()
        assert counted(line) == (prompt, 0)

    async def test_a_caller_who_leaves(self) -> None:
        async def late(writer: asyncio.StreamWriter, body: object) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                writer.write(scripted.plain({**VECTORS, "usage": {"prompt_tokens": 7}}))

        async with scripted.serving(late) as engine:
            async with serving(attached(engine.url, embeds=True)) as gateway:
                async with connected(gateway.port) as wire:
                    wire.send(request("POST", "/v1/embeddings", EMBED))
                    await eventually(lambda: bool(engine.bodies))
                (line,) = await gateway.lines()
        assert (line["outcome"], counted(line)) == ("aborted", (7, 0))
