"""Starting, draining, dying: the server and its engines as processes."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import threading
from pathlib import Path

import httpx2
import pytest

from tests.e2e.server import Server, alive, serving, start, stop, until, wait_for_url

LONG = {
    "model": "foal",
    "messages": [{"role": "user", "content": "Tell me a story."}],
    "max_tokens": 1500,
    "ignore_eos": True,
}


def refusal(folder: Path, *arguments: str, **environment: str) -> str:
    """The one line of a server that cannot start."""
    process, stderr = start(folder, *arguments, **environment)
    try:
        assert process.wait(60) == 2
    finally:
        stop(process)
    message = stderr.read_text()
    assert message.startswith("paddock: ")
    assert "Traceback" not in message
    return message


class TestRefusals:
    def test_taken_port(self, tmp_path: Path) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = str(taken.getsockname()[1])
            message = refusal(tmp_path, "--port", port)
        assert port in message
        assert "--port" in message
        assert message.count("\n") == 1

    def test_no_such_model(self, tmp_path: Path) -> None:
        assert "no file or folder" in refusal(tmp_path, str(tmp_path / "nothing"))

    def test_unreadable_weights_quote_the_engine_or_say_what_is_wrong(self, tmp_path: Path) -> None:
        broken = tmp_path / "broken.gguf"
        broken.write_bytes(b"GGUF" + bytes(100))
        assert "broken.gguf" in refusal(tmp_path / "server", str(broken))

    def test_hub_without_internet_says_what_to_do(self, tmp_path: Path) -> None:
        message = refusal(
            tmp_path, "some-org/some-model", HF_ENDPOINT="http://127.0.0.1:9", HF_HOME=str(tmp_path)
        )
        assert "some-org/some-model" in message
        assert "folder" in message

    def test_attached_server_that_does_not_answer(self, tmp_path: Path) -> None:
        assert "running" in refusal(tmp_path, "--attach", "x=http://127.0.0.1:9/v1")

    def test_two_models_of_one_name(self, tmp_path: Path, foal: Server) -> None:
        attached = f"paddock/foal={foal.url}/v1"
        assert "two models are called 'paddock/foal'" in refusal(tmp_path, "foal", "--attach", attached)

    def test_bad_setting_in_the_environment(self, tmp_path: Path) -> None:
        assert "PADDOCK_PORT" in refusal(tmp_path, PADDOCK_PORT="many")

    def test_data_folder_that_is_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "data").mkdir()
        (tmp_path / "data" / "gguf").write_text("not a folder")
        assert "gguf" in refusal(tmp_path)

    def test_native_llama_server_that_is_not_there(self, tmp_path: Path) -> None:
        assert "/nowhere/llama-server" in refusal(tmp_path, PADDOCK_LLAMA_SERVER="/nowhere/llama-server")


class TestStart:
    def test_a_second_start_does_not_convert_again(self, tmp_path: Path) -> None:
        with serving(tmp_path):
            pass
        (converted,) = (tmp_path / "data" / "gguf").glob("*.gguf")
        written = converted.stat().st_mtime_ns
        with serving(tmp_path):
            pass
        assert [converted] == list((tmp_path / "data" / "gguf").glob("*.gguf"))
        assert converted.stat().st_mtime_ns == written

    def test_gguf_file_of_the_first_start_can_be_served_itself(self, tmp_path: Path) -> None:
        with serving(tmp_path):
            pass
        (converted,) = (tmp_path / "data" / "gguf").glob("*.gguf")
        with serving(tmp_path, str(converted)) as server:
            answer = httpx2.post(
                f"{server.url}/v1/completions",
                json={
                    "model": converted.stem,
                    "prompt": "The capital of France is",
                    "max_tokens": 8,
                    "stop": ".",
                    "temperature": 0,
                },
            )
        assert answer.json()["choices"][0]["text"] == " Paris"

    def test_attached_server_and_local_model_side_by_side(self, tmp_path: Path, foal: Server) -> None:
        with serving(tmp_path, "foal", "--attach", f"other={foal.url}/v1") as server:
            models = httpx2.get(f"{server.url}/v1/models").json()["data"]
            answer = httpx2.post(
                f"{server.url}/v1/completions",
                json={
                    "model": "other",
                    "prompt": "The capital of France is",
                    "max_tokens": 8,
                    "stop": ".",
                    "temperature": 0,
                },
            ).json()
        assert {model["id"] for model in models} == {"other", "paddock/foal"}
        assert answer["model"] == "other"
        assert answer["choices"][0]["text"] == " Paris"


class TestEnd:
    def test_kill_minus_nine_leaves_no_engine(self, tmp_path: Path) -> None:
        with serving(tmp_path) as server:
            engines = server.engines()
            assert engines
            server.process.kill()
            server.process.wait(10)
            until(lambda: not any(alive(pid) for pid in engines), 3)

    def test_first_sigterm_finishes_what_runs_and_refuses_what_comes(self, tmp_path: Path) -> None:
        with serving(tmp_path) as server, httpx2.Client(base_url=server.url, timeout=60) as client:
            engines = server.engines()
            with client.stream("POST", "/v1/chat/completions", json={**LONG, "stream": True}) as answer:
                lines = answer.iter_lines()
                next(lines)
                server.process.send_signal(signal.SIGTERM)
                until(lambda: "Finishing 1 running" in server.stderr.read_text(), 5)
                refused = httpx2.post(f"{server.url}/v1/chat/completions", json=LONG)
                assert refused.status_code == 503
                assert int(refused.headers["retry-after"]) >= 1
                assert refused.json()["error"]["code"] == "draining"
                assert httpx2.get(f"{server.url}/healthz").status_code == 503
                rest = [line for line in lines if line]
            assert rest[-1] == "data: [DONE]"
            assert server.process.wait(10) == 0
            assert not any(alive(pid) for pid in engines)

    def test_second_sigterm_stops_now(self, tmp_path: Path) -> None:
        with serving(tmp_path) as server, httpx2.Client(base_url=server.url, timeout=60) as client:
            with client.stream(
                "POST", "/v1/chat/completions", json={**LONG, "n": 8, "stream": True}
            ) as answer:
                lines = answer.iter_lines()
                next(lines)
                server.process.send_signal(signal.SIGTERM)
                until(lambda: "Finishing" in server.stderr.read_text(), 5)
                server.process.send_signal(signal.SIGTERM)
                assert server.process.wait(10) == 0

    def test_sigterm_while_starting(self, tmp_path: Path) -> None:
        process, stderr = start(tmp_path)
        try:
            until(lambda: (tmp_path / "data").exists() or process.poll() is not None, 30)
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0, stderr.read_text()
        finally:
            stop(process)


class TestEngineDeath:
    def test_stream_ends_with_an_error_event_and_the_engine_is_replaced(self, tmp_path: Path) -> None:
        with serving(tmp_path) as server, httpx2.Client(base_url=server.url, timeout=60) as client:
            (engine,) = server.engines()
            with client.stream("POST", "/v1/chat/completions", json={**LONG, "stream": True}) as answer:
                lines = answer.iter_lines()
                next(lines)
                os.kill(engine, signal.SIGKILL)
                rest = [line for line in lines if line]
            assert rest[-1].startswith('data: {"error":')
            # Ready alone could be the moment before the server noticed: the engine must be another one.
            until(lambda: server.engines() not in ([], [engine]), 20)
            until(lambda: client.get("/readyz").status_code == 200, 20)
            answer = client.post("/v1/chat/completions", json={**LONG, "max_tokens": 3})
            assert answer.status_code == 200
            assert "was killed (SIGKILL)" in server.stderr.read_text()


class TestCancellation:
    @pytest.mark.parametrize("stream", [True, False])
    def test_engine_stops_within_a_second_of_the_caller_leaving(self, tmp_path: Path, stream: bool) -> None:
        with serving(tmp_path) as server:
            leave_early(server, {**LONG, "n": 12, "stream": stream})
            # The promise is a second; what is more is for a machine that is busy with something else.
            until(lambda: server.metric("paddock_requests_in_flight") == 0, 3)
            until(lambda: busy_slots(server) == 0, 3)
            assert server.metric("paddock_requests_total", status="499") == 1
            assert server.metric("paddock_completion_tokens_total") > 0 or not stream


def leave_early(server: Server, body: dict[str, object]) -> None:
    """Asks, and closes the connection after some lines of a stream, or after a moment of waiting."""
    with contextlib.suppress(httpx2.ReadTimeout), httpx2.Client(base_url=server.url, timeout=0.5) as client:
        with client.stream("POST", "/v1/chat/completions", json=body) as answer:
            for _ in zip(range(60), answer.iter_lines(), strict=False):
                pass


def busy_slots(server: Server) -> int:
    """What the engine itself says; its port and key are read from its process."""
    (engine,) = server.engines()
    arguments = Path(f"/proc/{engine}/cmdline").read_text().split("\0")
    key = re.search(r"LLAMA_API_KEY=([^\0]+)", Path(f"/proc/{engine}/environ").read_text())
    assert key
    port = arguments[arguments.index("--port") + 1]
    slots = httpx2.get(f"http://127.0.0.1:{port}/slots", headers={"authorization": f"Bearer {key[1]}"}).json()
    return sum(slot["is_processing"] for slot in slots)


class TestManyAtOnce:
    def test_more_requests_than_slots_are_all_answered(self, foal: Server) -> None:
        results: list[int] = []

        def ask(number: int) -> None:
            question = {"role": "user", "content": f"What is {number % 20} plus 3?"}
            answer = httpx2.post(
                f"{foal.url}/v1/chat/completions", json={"model": "foal", "messages": [question]}, timeout=60
            )
            results.append(answer.status_code)

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(40)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert results == [200] * 40


def test_url_is_announced_for_a_free_port(tmp_path: Path) -> None:
    process, stderr = start(tmp_path)
    try:
        assert not wait_for_url(process, stderr).endswith(":0")
    finally:
        stop(process)
