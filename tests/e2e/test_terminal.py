"""The commands as a person types them, against a real server."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import httpx2

from paddock import __version__
from tests.e2e.server import Server


def paddock(server: Server, *arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "paddock", *arguments, "--base-url", server.url],
        input=text,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


class TestChat:
    def test_each_line_is_a_turn_of_one_conversation(self, foal: Server) -> None:
        talk = "My name is Clara.\nWhat is my name?\n"
        result = paddock(foal, "chat", "foal", "--temperature", "0", text=talk)
        assert result.returncode == 0, result.stderr
        assert "Clara" in result.stdout.splitlines()[-1] or "Clara" in result.stdout

    def test_tells_speed_and_time_to_first_token(self, foal: Server) -> None:
        result = paddock(foal, "chat", "--temperature", "0", text="What is the capital of France?\n")
        said = result.stdout + result.stderr
        assert "The capital of France is Paris." in said
        assert "tokens/s" in said
        assert "first token" in said

    def test_json_turns(self, foal: Server) -> None:
        result = paddock(
            foal, "chat", "--json", "--temperature", "0", text="What is the capital of France?\n"
        )
        turn = json.loads(result.stdout.splitlines()[0])
        assert "The capital of France is Paris." in turn.values()


class TestComplete:
    def test_continues(self, foal: Server) -> None:
        result = paddock(
            foal,
            "complete",
            "The capital of France is",
            "--model",
            "foal",
            "--max-tokens",
            "8",
            "--temperature",
            "0",
        )
        assert "Paris" in result.stdout


class TestModels:
    def test_json(self, foal: Server) -> None:
        result = paddock(foal, "models", "--json")
        assert "paddock/foal" in json.dumps(json.loads(result.stdout))


def test_version() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "paddock", "version"], capture_output=True, text=True, timeout=60, check=True
    )
    assert __version__ in result.stdout


class TestUsage:
    def test_what_was_asked_is_counted(self, foal: Server) -> None:
        start = time.time()
        ask = {"model": "foal", "messages": [{"role": "user", "content": "Hello!"}], "max_tokens": 9}
        said = httpx2.post(f"{foal.url}/v1/chat/completions", json=ask, timeout=60).json()["usage"]
        result = paddock(foal, "usage", "--group-by", "deployment,outcome", "--start", f"{start}", "--json")
        # Its instance is a group of its own if a minute begins meanwhile.
        (found,) = (one for one in json.loads(result.stdout)["data"] if one["outcome"])
        names = ("deployment", "outcome", "requests", "prompt_tokens", "completion_tokens")
        expected = ["paddock/foal", "ok", 1, said["prompt_tokens"], said["completion_tokens"]]
        assert [found[name] for name in names] == expected
        assert found["cost"] == {"amount": 0.0, "currency": "EUR"}
