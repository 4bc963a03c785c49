"""`paddock batch` and `paddock files` as a person types them, on a real server with a real engine."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.e2e.server import Server, serving, start, stop, until, wait_for_url
from tests.e2e.test_terminal import paddock
from tests.unit.cli.terminal import Terminal

JSON = dict[str, Any]
CAPITALS = {"France": "Paris", "Italy": "Rome", "Japan": "Tokyo"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("batches")) as one:
        yield one


def run(server: Server, prompts: Path, out: Path, *options: str) -> subprocess.CompletedProcess[str]:
    asked = ("--model", "foal", "--temperature", "0", "--max-tokens", "16", *options)
    return paddock(server, "batch", "run", str(prompts), "--out", str(out), *asked)


def started(server: Server, prompts: Path, out: Path) -> subprocess.Popen[str]:
    """The same as `run`, which is not waited for."""
    asked = ("--model", "foal", "--temperature", "0", "--max-tokens", "16", "--base-url", server.url)
    command = [sys.executable, "-m", "paddock", "batch", "run", str(prompts), "--out", str(out), *asked]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def many(folder: Path, count: int) -> Path:
    path = folder / "many.txt"
    path.write_text("".join(f"Tell me story number {number} about a fox.\n" for number in range(count)))
    return path


def answers(out: Path) -> list[JSON]:
    return [json.loads(line) for line in out.read_bytes().splitlines()]


def jobs(server: Server) -> list[JSON]:
    found: list[JSON] = json.loads(paddock(server, "batch", "ls", "--all", "--json").stdout)
    return found


class TestRun:
    def test_from_csv_to_csv(self, server: Server, tmp_path: Path) -> None:
        prompts, out = tmp_path / "prompts.csv", tmp_path / "answers.csv"
        lines = [f'{country},"What is the capital of {country}?"\n' for country in CAPITALS]
        prompts.write_text("country,prompt\n" + "".join(lines))
        done = run(server, prompts, out)
        assert done.returncode == 0, done.stderr
        assert done.stdout == f"{out}: 3 answered\n"
        with out.open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert [row["country"] for row in rows] == list(CAPITALS)
        for row in rows:
            assert CAPITALS[row["country"]] in row["response"]
            assert row["error"] == ""
        assert sorted(path.name for path in tmp_path.iterdir()) == ["answers.csv", "prompts.csv"]

    def test_a_row_that_fails_keeps_its_place(self, server: Server, tmp_path: Path) -> None:
        prompts, out = tmp_path / "prompts.jsonl", tmp_path / "answers.jsonl"
        values = ["The capital of France is", "word " * 5000, {"prompt": "The capital of Italy is", "id": 3}]
        prompts.write_text("".join(json.dumps(value) + "\n" for value in values))
        done = run(server, prompts, out, "--endpoint", "completions")
        assert done.returncode == 0, done.stderr
        assert done.stdout == f"{out}: 2 answered, 1 failed\n"
        first, second, third = answers(out)
        assert "Paris" in first["response"]
        assert "Rome" in third["response"]
        assert third["id"] == 3
        assert second["response"] is None
        assert "context" in second["error"]

    def test_lines_of_a_batch(self, server: Server, tmp_path: Path) -> None:
        prompts, out = tmp_path / "batch.jsonl", tmp_path / "answers.jsonl"
        question = {"role": "user", "content": "What is the capital of France?"}
        lines = [
            {
                "custom_id": f"mine-{number}",
                "method": "POST",
                "url": "/v1/chat/completions",
                "body": {"model": "foal", "messages": [question], "temperature": 0, "max_tokens": 16},
            }
            for number in (7, 3)
        ]
        prompts.write_text("".join(json.dumps(line) + "\n" for line in lines))
        done = paddock(server, "batch", "run", str(prompts), "--out", str(out))
        assert done.returncode == 0, done.stderr
        found = answers(out)
        assert [one["custom_id"] for one in found] == ["mine-7", "mine-3"]
        assert "Paris" in found[0]["response"]["body"]["choices"][0]["message"]["content"]

    def test_a_model_that_is_not_there(self, server: Server, tmp_path: Path) -> None:
        prompts, out = many(tmp_path, 3), tmp_path / "answers.jsonl"
        done = run(server, prompts, out, "--model", "no-such-model")
        assert done.returncode == 1
        assert "no-such-model" in done.stderr
        assert not Path(f"{out}.batch").exists()

    def test_a_window_that_is_none(self, server: Server, tmp_path: Path) -> None:
        done = run(server, many(tmp_path, 3), tmp_path / "answers.jsonl", "--window", "soon")
        assert done.returncode == 1
        assert "completion_window" in done.stderr


class TestAgain:
    def test_ctrl_c_and_again(self, server: Server, tmp_path: Path) -> None:
        before = len(jobs(server))
        prompts, out = many(tmp_path, 600), tmp_path / "answers.jsonl"
        first = started(server, prompts, out)
        until(Path(f"{out}.batch").exists, 20)
        time.sleep(0.5)
        first.send_signal(signal.SIGINT)
        _, remarks = first.communicate(timeout=20)
        assert first.returncode == 130, remarks
        assert "goes on without you: the same command picks it up again" in remarks
        assert not out.exists()
        done = run(server, prompts, out)
        assert done.returncode == 0, done.stderr
        assert "picking up batch_" in done.stderr
        found = answers(out)
        assert [one["prompt"] for one in found] == prompts.read_text().splitlines()
        assert all(one["response"] for one in found)
        assert len(jobs(server)) == before + 1

    def test_detached_then_cancelled(self, server: Server, tmp_path: Path) -> None:
        prompts, out = many(tmp_path, 2000), tmp_path / "answers.jsonl"
        done = run(server, prompts, out, "--detach")
        assert done.returncode == 0, done.stderr
        identity = done.stdout.split()[0]
        assert any(one["id"] == identity for one in jobs(server))
        shown = json.loads(paddock(server, "batch", "show", identity, "--json").stdout)
        assert shown["events"][0]["kind"] == "created"
        cancelled = paddock(server, "batch", "cancel", identity)
        assert cancelled.returncode == 0, cancelled.stderr
        assert cancelled.stdout.startswith(f"{identity} is cancelled")
        again = run(server, prompts, out)
        assert again.returncode == 1
        assert "was cancelled" in again.stderr

    def test_at_a_terminal(self, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PADDOCK_BASE_URL", server.url)
        prompts, out = many(tmp_path, 300), tmp_path / "answers.jsonl"
        terminal = Terminal(
            *("batch", "run", str(prompts), "-o", str(out), "-m", "foal", "-n", "16"), term="xterm"
        )
        try:
            terminal.wait_for("answering")
            terminal.wait_for("of 300 prompts .* prompts/s")
            terminal.wait_for(": 300 answered")
            assert terminal.process.wait(10) == 0
        finally:
            terminal.close()
        assert len(answers(out)) == 300


class TestAServerThatIsKilled:
    def test_the_command_waits_for_it_and_goes_on(self, tmp_path: Path) -> None:
        folder = tmp_path / "server"
        process, stderr = start(folder)
        url = wait_for_url(process, stderr)
        server = Server(process, url, stderr)
        prompts, out = many(tmp_path, 600), tmp_path / "answers.jsonl"
        command = started(server, prompts, out)
        try:
            until(_some_done(server), 30)
            process.send_signal(signal.SIGKILL)
            process.wait(10)
            time.sleep(2)
            process, stderr = start(folder, "--port", str(server.port))
            wait_for_url(process, stderr)
            said, remarks = command.communicate(timeout=90)
        finally:
            command.kill()
            command.wait(10)
            stop(process)
        assert command.returncode == 0, remarks
        assert said == f"{out}: 600 answered\n"
        assert "the server is away; waiting until it answers again" in remarks
        assert "the server answers again" in remarks
        found = answers(out)
        assert [one["prompt"] for one in found] == prompts.read_text().splitlines()
        assert all(one["response"] for one in found)


class TestFiles:
    def test_from_upload_to_rm(self, server: Server, tmp_path: Path) -> None:
        content = os.urandom(3_000_000)
        (tmp_path / "a.bin").write_bytes(content)
        uploaded = paddock(server, "files", "upload", str(tmp_path / "a.bin"))
        assert uploaded.returncode == 0, uploaded.stderr
        identity = uploaded.stdout.strip()
        listed = json.loads(paddock(server, "files", "ls", "--purpose", "user_data", "--json").stdout)
        assert [(one["filename"], one["bytes"]) for one in listed if one["id"] == identity] == [
            ("a.bin", 3_000_000)
        ]
        assert "a.bin" in paddock(server, "files", "show", identity).stdout
        assert paddock(server, "files", "get", identity, "--out", str(tmp_path / "b.bin")).returncode == 0
        assert (tmp_path / "b.bin").read_bytes() == content
        removed = paddock(server, "files", "rm", identity, "file-none")
        assert (removed.returncode, removed.stdout) == (1, f"{identity} is removed\n")
        assert "file-none" in removed.stderr
        assert httpx2.get(f"{server.url}/v1/files/{identity}").status_code == 404


def _some_done(server: Server) -> Callable[[], bool]:
    def ask() -> bool:
        found = httpx2.get(f"{server.url}/api/v1/jobs").json()["data"]
        return any(job["done"] for job in found)

    return ask
