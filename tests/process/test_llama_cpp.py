"""The engine as a real process: it gets ready, answers, survives anything, and never outlives its owner."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from paddock.engines.llama_cpp.convert import convert
from paddock.engines.llama_cpp.learn import learn
from paddock.engines.program import EngineProgram
from paddock.errors import StartupError
from paddock.inference.upstream import Upstream
from paddock.runners import local
from paddock.runners.local import LocalRunner
from paddock.runners.process import LocalProcess
from tests.process.engine import KEY, ask, ask_now, program, running, start
from tests.process.processes import assert_gone, command_line, wait_for_state
from tests.unit.engines.tiny import write_llama

OWNER = """
import asyncio, sys
from pathlib import Path
from paddock.runners.local import LocalRunner
from tests.process.engine import program, start

async def main():
    engine = await start(LocalRunner(Path(sys.argv[2])), program(Path(sys.argv[1])))
    print(engine.pid, engine.address, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    return convert(write_llama(folder / "tiny"), folder / "cache")


class TestStart:
    def test_ready_means_that_it_answers(self, weights: Path, tmp_path: Path) -> None:
        async def scenario() -> None:
            async with running(weights, tmp_path) as engine:
                body = {
                    "messages": [{"role": "user", "content": "hello"}],
                    "max_tokens": 4,
                    "ignore_eos": True,
                }
                status, answer = await ask(engine, "/v1/chat/completions", body)
                assert status == 200
                assert answer["model"] == "tiny"
                assert answer["usage"]["completion_tokens"] == 4
            assert engine.status == -signal.SIGTERM

        asyncio.run(scenario())

    def test_who_lacks_the_key_is_refused_and_nobody_can_read_it(self, weights: Path, tmp_path: Path) -> None:
        async def scenario() -> None:
            async with running(weights, tmp_path) as engine:
                status, _ = await ask(engine, "/v1/completions", {"prompt": "hello"}, key="wrong")
                assert status == 401
                assert KEY not in command_line(engine.pid)

        asyncio.run(scenario())

    def test_a_broken_file_quotes_the_engines_log(self, weights: Path, tmp_path: Path) -> None:
        broken = tmp_path / "broken.gguf"
        broken.write_bytes(weights.read_bytes()[:5000])
        reason = r"could not start \(exit status 1\): failed to read key-value pairs"
        with pytest.raises(StartupError, match=reason) as error:
            asyncio.run(start_only(program(broken), tmp_path))
        assert len(error.value.log) <= 12
        assert "failed to load model" in "\n".join(error.value.log)

    def test_a_missing_binary_is_named(self, weights: Path, tmp_path: Path) -> None:
        native = program(weights, llama_server=tmp_path / "llama-server")
        with pytest.raises(StartupError, match=r"cannot run .*llama-server: No such file"):
            asyncio.run(start_only(native, tmp_path))

    def test_another_port_is_taken_when_the_first_is_lost(
        self, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def scenario() -> None:
            async with running(weights, tmp_path) as first:
                ports = [port_of(first), local.free_port("127.0.0.1")]
                monkeypatch.setattr(local, "free_port", lambda _: ports.pop(0))
                async with running(weights, tmp_path / "second", api_key="another") as second:
                    assert second.address != first.address

        asyncio.run(scenario())

    def test_what_it_can_do_is_learned(self, weights: Path, tmp_path: Path) -> None:
        async def scenario() -> None:
            async with running(weights, tmp_path) as engine:
                upstream = Upstream(f"{engine.address}/v1", KEY, 10, engine.facts["connections"])
                assert await learn(upstream) == {"tools": False, "vocabulary": 272}
                upstream.close()

        asyncio.run(scenario())


class TestEnd:
    def test_the_engine_ends_with_a_killed_owner(self, weights: Path, tmp_path: Path) -> None:
        with owner(weights, tmp_path) as (process, pid, address):
            assert ask_now(f"{address}/health")[0] == 200
            process.kill()
            process.wait()
            assert_gone(pid, within=2)

    def test_stop_ends_what_ignores_sigterm(self, weights: Path, tmp_path: Path) -> None:
        async def scenario() -> None:
            async with running(weights, tmp_path) as engine:
                os.kill(engine.pid, signal.SIGSTOP)
                await asyncio.to_thread(wait_for_state, engine.pid, "TZ", 2)
                await engine.stop(grace=0.1)
                assert engine.status == -signal.SIGKILL

        asyncio.run(scenario())

    def test_a_crash_is_seen_at_once(self, weights: Path, tmp_path: Path) -> None:
        async def scenario() -> None:
            async with running(weights, tmp_path) as engine:
                waiting = asyncio.ensure_future(engine.wait())
                await asyncio.sleep(0)
                os.kill(engine.pid, signal.SIGSEGV)
                assert await asyncio.wait_for(waiting, 2) == "crashed (SIGSEGV)"

        asyncio.run(scenario())


class TestPrompts:
    def test_any_bytes_are_survived(self, weights: Path, tmp_path: Path) -> None:
        source = random.Random(0)

        async def scenario() -> None:
            async with running(weights, tmp_path, context_length=512) as engine:
                for length in (0, 1, 2, 3, 8, 40, 100):
                    text = source.randbytes(length).decode("utf-8", "replace")
                    wild = "".join(
                        chr(source.choice([0, 9, 10, 127, 0x300, 0x200D, 0x1F434])) for _ in range(length)
                    )
                    for prompt in (text, wild, "<|im_end|>" * (length // 8), "\ufffd" * (length // 4)):
                        body = {"prompt": prompt, "max_tokens": 3}
                        assert (await ask(engine, "/v1/completions", body))[0] == 200, prompt
                        chat = {"messages": [{"role": "user", "content": prompt}], "max_tokens": 3}
                        assert (await ask(engine, "/v1/chat/completions", chat))[0] in (200, 400), prompt
                    raw = b'{"prompt": "' + source.randbytes(length) + b'"}'
                    assert (await ask(engine, "/v1/completions", raw))[0] in (200, 400)
                too_long = {"prompt": "word " * 5000, "max_tokens": 3}
                status, answer = await ask(engine, "/v1/completions", too_long)
                assert (status, answer["error"]["type"]) == (400, "exceed_context_size_error")
                assert (await ask(engine, "/health"))[0] == 200

        asyncio.run(scenario())


class TestCancel:
    """Why the gateway streams what is not soon over, and asks for progress: see `llama_cpp.parameters`."""

    @pytest.mark.parametrize(
        "body",
        [
            {"prompt": "hello", "max_tokens": 100_000, "ignore_eos": True},
            {"prompt": [40 + i % 100 for i in range(60_000)], "max_tokens": 1, "cache_prompt": False},
        ],
        ids=["generating", "reading the prompt"],
    )
    def test_who_hangs_up_frees_the_slot(self, body: dict[str, Any], tmp_path: Path) -> None:
        checkpoint = write_llama(tmp_path / "long", max_position_embeddings=65536)

        async def scenario() -> None:
            long = convert(checkpoint, tmp_path / "cache")
            async with running(long, tmp_path, context_length=65536, slots=1) as engine:
                stream = json.dumps({**body, "stream": True, "return_progress": True}).encode()
                head = f"POST /v1/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n"
                head += f"Content-Type: application/json\r\nContent-Length: {len(stream)}\r\n\r\n"
                reader, writer = await asyncio.open_connection("127.0.0.1", port_of(engine))
                writer.write(head.encode() + stream)
                assert b"200 OK" in await reader.readline()
                writer.close()
                await asyncio.to_thread(wait_until_idle, engine.address, 3)

        asyncio.run(scenario())


class TestEmbeddings:
    def test_one_engine_embeds_and_completes(self, weights: Path, tmp_path: Path) -> None:
        async def scenario() -> None:
            async with running(weights, tmp_path, embeddings=True) as engine:
                status, answer = await ask(engine, "/v1/embeddings", {"input": ["hello", "world"]})
                assert status == 200
                assert [len(item["embedding"]) for item in answer["data"]] == [64, 64]
                status, _ = await ask(engine, "/v1/completions", {"prompt": "hello", "max_tokens": 2})
                assert status == 200

        asyncio.run(scenario())


async def start_only(what: EngineProgram, folder: Path) -> None:
    runner = LocalRunner(folder)
    try:
        await start(runner, what)
    finally:
        await runner.close()


def port_of(engine: LocalProcess) -> int:
    return int(engine.address.rpartition(":")[2])


@contextlib.contextmanager
def owner(weights: Path, folder: Path) -> Iterator[tuple[subprocess.Popen[str], int, str]]:
    """A Python process that started an engine: (the process, the engine's pid and address)."""
    arguments = [sys.executable, "-c", OWNER, str(weights), str(folder)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        pid, address = process.stdout.readline().split()
        try:
            yield process, int(pid), address
        finally:
            process.kill()
            assert_gone(int(pid), within=2)


def wait_until_idle(address: str, within: float) -> None:
    deadline = time.monotonic() + within
    while ask_now(f"{address}/slots")[1][0]["is_processing"]:
        assert time.monotonic() < deadline, "the slot is still busy"
        time.sleep(0.02)
