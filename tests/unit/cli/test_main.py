"""Exit codes, help, and what starting costs."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable

import click
import pytest

from paddock import __version__
from paddock.cli import COMMANDS, commands
from tests.unit.cli.openai_server import answering
from tests.unit.clients.server import Exchange, Server

Run = Callable[..., tuple[int, str, str]]
Serve = Callable[..., Server]


class TestHelp:
    def test_names_every_command(self, paddock: Run) -> None:
        code, out, _ = paddock("--help")
        assert code == 0
        assert all(f"\n  {name} " in out for name in COMMANDS)

    @pytest.mark.parametrize("name", COMMANDS)
    def test_of_each_command_has_examples_and_explains_every_option(self, name: str, paddock: Run) -> None:
        code, out, _ = paddock(name, "-h")
        assert code == 0
        assert name == "version" or "Examples:" in out
        command = commands.get_command(click.Context(commands), name)
        assert command is not None
        options = [option for option in command.params if isinstance(option, click.Option)]
        assert all(option.help for option in options)


class TestVersion:
    def test_line(self, paddock: Run) -> None:
        assert paddock("version") == (0, f"paddock {__version__}\n", "")
        assert paddock("--version") == (0, f"paddock {__version__}\n", "")

    def test_json(self, paddock: Run) -> None:
        about = json.loads(paddock("version", "--json")[1])
        assert about["version"] == __version__
        assert {"python", "platform", "engines"} < set(about)

    def test_imports_nothing_of_clients_and_server(self) -> None:
        program = "import sys; from paddock.cli import main; main(['version']); print(*sys.modules)"
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        loaded = done.stdout.split()
        assert "paddock.cli.version" in loaded
        assert not {
            "httpx2",
            "pydantic",
            "rich",
            "paddock.main",
            "paddock.clients",
            "paddock.settings",
        } & set(loaded)


class TestExitCodes:
    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["nonsense"], "No such command"),
            (["models", "--nonsense"], "No such option"),
            (["chat", "--temperature", "3"], "not in the range"),
            (["serve", "--context-length", str(2**31)], "not in the range"),
            (["complete", "--max-tokens", "0", "x"], "not in the range"),
        ],
    )
    def test_usage(self, arguments: list[str], said: str, paddock: Run) -> None:
        code, out, err = paddock(*arguments)
        assert (code, out) == (2, "")
        assert said in err

    def test_settings(self, paddock: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PADDOCK_PORT", "many")
        assert paddock("models") == (2, "", "paddock: PADDOCK_PORT must be of type int, not 'many'\n")

    def test_address(self, paddock: Run) -> None:
        code, _, err = paddock("models", "--base-url", "localhost:8800")
        assert code == 2
        assert "must be a URL such as http://127.0.0.1:8800, not 'localhost:8800'" in err

    def test_no_server(self, paddock: Run) -> None:
        with socket.create_server(("127.0.0.1", 0)) as closed:
            url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        code, out, err = paddock("models", "--base-url", url)
        assert (code, out) == (1, "")
        assert err == (
            f"paddock: cannot connect to {url}/v1/models: Connection refused. "
            "Start a server with `paddock serve`, or name a running one with --base-url\n"
        )

    def test_refused_request(self, paddock: Run, serve: Serve) -> None:
        serve(lambda exchange: exchange.answer({"error": {"message": "no \x1b[31mkey"}}, 401))
        assert paddock("models") == (
            1,
            "",
            "paddock: no [31mkey. Give a key with --api-key or PADDOCK_API_KEY\n",
        )

    def test_not_a_model_server(self, paddock: Run, serve: Serve) -> None:
        serve(lambda exchange: exchange.answer(b"<html>"))
        code, _, err = paddock("models")
        assert code == 1
        assert "is not understood" in err

    def test_broken_pipe_is_quiet(self, serve: Serve) -> None:
        server = serve(answering(*["many words "] * 20_000))
        command = f"{sys.executable} -m paddock complete x | head -c 5"
        done = subprocess.run(
            command, shell=True, env={**os.environ}, capture_output=True, text=True, check=False, timeout=30
        )
        assert (done.stdout, done.stderr) == ("many ", "")
        assert server.exchanges


class TestModels:
    def test_table(self, paddock: Run, serve: Serve) -> None:
        serve(answering())
        assert paddock("models")[1].splitlines() == [
            "MODEL         CONTEXT  ENGINE     STATE",
            "paddock/foal  1024     llama.cpp  ready",
            "big                    attached   not ready",
        ]

    def test_table_of_a_server_that_says_little(self, paddock: Run, serve: Serve) -> None:
        serve(answering(models=[{"id": "gpt"}]))
        assert paddock("models")[1].splitlines() == ["MODEL", "gpt"]

    def test_json(self, paddock: Run, serve: Serve) -> None:
        serve(answering())
        assert [model["id"] for model in json.loads(paddock("models", "--json")[1])] == [
            "paddock/foal",
            "big",
        ]

    def test_none(self, paddock: Run, serve: Serve) -> None:
        serve(answering(models=[]))
        assert paddock("models") == (0, "", "no models are served\n")
        assert paddock("models", "--json") == (0, "[]\n", "")

    def test_key_and_address_by_option(self, paddock: Run, serve: Serve) -> None:
        seen: list[Exchange] = []

        def respond(exchange: Exchange) -> None:
            seen.append(exchange)
            answering()(exchange)

        server = serve(respond)
        assert paddock("models", "--base-url", server.url + "/v1/", "--api-key", "k")[0] == 0
        assert (seen[0].path, seen[0].headers["authorization"]) == ("/v1/models", "Bearer k")
