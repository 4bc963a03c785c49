"""The life of deployments by the commands, on a real server with real engines."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.e2e.server import Server, serving, until
from tests.e2e.test_terminal import paddock


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("deploy")) as one:
        yield one


def ok(server: Server, *arguments: str) -> str:
    done = paddock(server, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def api(server: Server, path: str) -> Any:
    response = httpx2.get(f"{server.url}/api/v1{path}")
    assert response.status_code == 200, response.text
    return response.json()


def capital(server: Server, model: str) -> httpx2.Response:
    question = {"role": "user", "content": "What is the capital of France?"}
    body = {"model": model, "messages": [question], "temperature": 0}
    return httpx2.post(f"{server.url}/v1/chat/completions", json=body, timeout=30)


class TestLife:
    def test_from_deploy_to_rm(self, server: Server) -> None:
        done = paddock(server, "deploy", "foal", "--name", "team/pony", "--per-worker", "2")
        assert done.returncode == 0, done.stderr
        assert "team/pony is ready. Try it:\n  paddock chat team/pony\n" in done.stdout
        assert "loading" in done.stderr
        assert "Paris" in capital(server, "team/pony").text

        assert "team/pony" in ok(server, "ps")
        (shown,) = [one for one in json.loads(ok(server, "ps", "--json")) if one["name"] == "team/pony"]
        assert (shown["status"], shown["per_worker"]) == ("ready", 2)
        assert "ready after" in ok(server, "logs", "team/pony", "-n", "5")
        described = json.loads(ok(server, "describe", "team/pony", "--json"))
        assert described["events"][0]["kind"] == "created"
        assert described["replicas"][0]["state"] == "ready"
        assert "team/pony" in ok(server, "hardware")

        assert ok(server, "scale", "team/pony", "2") == "team/pony: 2 workers\n"
        until(lambda: len(self.ready(server)) == 2, 20)
        assert ok(server, "scale", "team/pony", "--min", "1", "--max", "1") == "team/pony: 1 worker\n"
        until(lambda: len(self.ready(server)) == 1, 20)

        assert paddock(server, "rm", "team/pony").returncode == 1
        assert ok(server, "stop", "team/pony") == "team/pony is stopped\n"
        assert self.ready(server) == []
        assert capital(server, "team/pony").status_code == 503
        assert "team/pony" not in ok(server, "ps")
        assert "stopped" in ok(server, "ps", "--all")

        assert ok(server, "start", "team/pony") == "team/pony is ready\n"
        assert "Paris" in capital(server, "team/pony").text
        assert ok(server, "rm", "team/pony", "--force") == "team/pony is deleted\n"
        assert capital(server, "team/pony").status_code == 404
        assert paddock(server, "describe", "team/pony").returncode == 1

    def ready(self, server: Server) -> list[Any]:
        found = api(server, "/replicas?deployment=team/pony")["data"]
        return [one for one in found if one["state"] == "ready"]


class TestFailure:
    def test_truncated_weights(self, server: Server, tmp_path: Path) -> None:
        (whole,) = (server.stderr.parent / "data" / "gguf").glob("foal-*.gguf")
        broken = tmp_path / "broken.gguf"
        broken.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
        done = paddock(server, "deploy", str(broken), "--name", "broken")
        assert done.returncode == 1
        *log, last = done.stderr.splitlines()
        assert last.startswith("paddock: broken failed: ")
        assert "not within the file bounds" in last
        assert any("failed to load model" in line for line in log)
        assert "broken  " in ok(server, "ps")
        assert "failed to load model" in ok(server, "describe", "broken")
        # Nothing else was taken down.
        assert "Paris" in capital(server, "paddock/foal").text
        assert ok(server, "rm", "broken") == "broken is deleted\n"

    def test_no_model(self, server: Server) -> None:
        done = paddock(server, "deploy", "nonsense")
        assert done.returncode == 1
        assert "there is no model 'nonsense'" in done.stderr

    def test_a_name_twice(self, server: Server) -> None:
        done = paddock(server, "deploy", "foal", "--name", "paddock/foal")
        assert done.returncode == 1
        assert "is taken in this project" in done.stderr


class TestStreams:
    def test_events_and_logs_as_they_come(self, server: Server) -> None:
        events = f"{server.url}/api/v1/events?follow=true"
        with httpx2.stream("GET", events, timeout=30) as stream:
            lines = stream.iter_lines()
            assert next(lines) == ":"
            ok(server, "deploy", "foal", "--name", "seen")
            kinds = []
            while "ready" not in kinds:
                name, _, value = next(lines).partition(": ")
                if name == "event":
                    kinds.append(value)
        assert kinds[0] == "created"
        command = [sys.executable, "-m", "paddock", "logs", "seen", "-f", "--base-url", server.url]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as logs:
            assert logs.stdout is not None
            assert "starting llama.cpp" in logs.stdout.readline()
            ok(server, "rm", "seen", "--force")
            _, said = logs.communicate(timeout=20)
        assert logs.returncode == 0
        assert "the log ended" in said

    def test_they_end_when_the_server_stops(self, tmp_path: Path) -> None:
        with serving(tmp_path) as server:
            with httpx2.stream("GET", f"{server.url}/api/v1/events?follow=true", timeout=30) as stream:
                lines = stream.iter_lines()
                next(lines)
                server.process.send_signal(signal.SIGTERM)
                for _ in lines:
                    pass
            assert server.process.wait(20) == 0
