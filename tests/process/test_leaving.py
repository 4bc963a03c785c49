"""A caller who leaves a real engine: it stops at once, and what it had sent counts."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from pathlib import Path

import pytest

from paddock.engines.llama_cpp.convert import convert
from paddock.inference.connection import Body
from paddock.inference.upstream import Upstream
from tests.process.engine import KEY, ask, running
from tests.unit.engines.tiny import write_llama

BODY = {
    "messages": [{"role": "user", "content": "hello"}],
    "max_tokens": 100_000,
    "ignore_eos": True,
    "stream": True,
}


@pytest.mark.parametrize("seconds", [0.0, 0.2])
def test_the_engine_stops_and_closes_within_a_second(tmp_path: Path, seconds: float) -> None:
    weights = convert(write_llama(tmp_path / "tiny", max_position_embeddings=65536), tmp_path / "cache")

    async def scenario() -> None:
        async with running(weights, tmp_path, context_length=65536, slots=1) as engine:
            upstream = Upstream(f"{engine.address}/v1", KEY, 10)
            came = Body()
            body = json.dumps(BODY).encode()
            asking = asyncio.ensure_future(upstream.send(b"POST", b"/v1/chat/completions", body, came))
            await asyncio.sleep(seconds)
            began = time.monotonic()
            assert not asking.done()
            asking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asking
            assert time.monotonic() - began < 0.9
            while any(slot["is_processing"] for slot in (await ask(engine, "/slots"))[1]):
                assert time.monotonic() - began < 1
                await asyncio.sleep(0.01)
            # Every event came whole: the engine ended the stream itself.
            assert came.data == b"" or came.data.endswith(b"\n\n")
            upstream.close()

    asyncio.run(scenario())
