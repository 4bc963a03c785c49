from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from paddock.cli import main
from tests.unit.cli.terminal import Terminal
from tests.unit.clients.server import Respond, Server


@pytest.fixture(autouse=True)
def own_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PADDOCK_DATA_DIR", str(tmp_path))
    monkeypatch.delenv("PADDOCK_API_KEY", raising=False)


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Respond], Server]]:
    """Starts a server and makes it the commands' default."""
    with ExitStack() as stack:

        def start(respond: Respond) -> Server:
            server = stack.enter_context(Server(respond))
            monkeypatch.setenv("PADDOCK_BASE_URL", server.url)
            return server

        yield start


@pytest.fixture
def paddock(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Runs one command: (exit code, stdout, stderr)."""

    def run(*arguments: str, stdin: str = "") -> tuple[int, str, Any]:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(stdin.encode()), "utf-8"))
        code = main(arguments)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture
def terminal() -> Iterator[Callable[..., Terminal]]:
    """Runs commands at terminals of their own."""
    terminals: list[Terminal] = []

    def start(*arguments: str, **more: str) -> Terminal:
        terminals.append(Terminal(*arguments, **more))
        return terminals[-1]

    yield start
    for each in terminals:
        each.close()
