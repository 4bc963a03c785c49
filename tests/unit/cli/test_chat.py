"""`paddock chat` at a terminal."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.unit.cli.openai_server import answering, chunk
from tests.unit.clients.server import Exchange, Server

pty = pytest.importorskip("pty")
Serve = Callable[..., Server]


class Terminal:
    """A `paddock` process at a terminal of its own."""

    def __init__(self, *arguments: str) -> None:
        self._fd, theirs = pty.openpty()
        environment = {**os.environ, "TERM": "dumb", "PYTHONWARNINGS": "error"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "paddock", *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=environment,
            start_new_session=True,
        )
        os.close(theirs)
        self.seen = ""

    def type(self, text: str) -> None:
        os.write(self._fd, text.encode())

    def wait_for(self, text: str) -> str:
        """What came up to and including `text`, which is a regular expression."""
        while not (match := re.search(text, self.seen)):
            assert select.select([self._fd], [], [], 15)[0], f"waited for {text} after {self.seen}"
            try:
                self.seen += os.read(self._fd, 4096).decode()
            except OSError as error:  # Linux says EIO when the process is gone
                raise AssertionError(self.seen) from error
        before, self.seen = self.seen[: match.end()], self.seen[match.end() :]
        return before

    def interrupt(self) -> None:
        """Ctrl-C, as a person would: not in the very moment in which the prompt appeared.

        A signal between readline's writing the prompt and its waiting for input is seen at the next key.
        """
        time.sleep(0.4)
        self.process.send_signal(signal.SIGINT)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._fd)


@pytest.fixture
def terminal() -> Iterator[Callable[..., Terminal]]:
    terminals: list[Terminal] = []

    def start(*arguments: str) -> Terminal:
        terminals.append(Terminal(*arguments))
        return terminals[-1]

    yield start
    for each in terminals:
        each.close()


def test_conversation_and_commands(serve: Serve, terminal: Callable[..., Terminal], tmp_path: Path) -> None:
    server = serve(answering("Ha", "y."))
    chat = terminal("chat")
    chat.wait_for(r"paddock/foal at http://.* /help for commands")
    chat.wait_for(">>> ")
    chat.type("What?\n")
    chat.wait_for(r"Hay\.\r\n")
    chat.wait_for(r"3 tokens · \S+ tokens/s · first token \d+ ms")
    for line, said in [
        ("/system Be short", "from the next message on"),
        ("/system", "2mBe short"),
        ("/help", "forget the conversation"),
        ("/nonsense", "there is no command /nonsense"),
        ("/etc/hosts is \\\nwhat?", r"Hay\."),
        ("/reset", "forgotten"),
        ("Who?", r"Hay\."),
    ]:
        chat.wait_for(">>> ")
        chat.type(line + "\n")
        chat.wait_for(said)
    chat.wait_for(">>> ")
    chat.type("\x04")
    assert chat.process.wait(10) == 0
    sent = [exchange.json()["messages"] for exchange in server.exchanges[1:]]
    assert [len(messages) for messages in sent] == [1, 4, 2]
    assert sent[1][0] == {"role": "system", "content": "Be short"}
    assert sent[1][-1]["content"] == "/etc/hosts is \nwhat?"
    history = tmp_path / "chat_history"
    assert "What?" in history.read_text()
    assert history.stat().st_mode & 0o077 == 0


def test_ctrl_c_stops_the_answer_and_not_the_program(serve: Serve, terminal: Callable[..., Terminal]) -> None:
    closed: list[bool] = []

    def respond(exchange: Exchange) -> None:
        if len(closed) == 1:
            answering("Oats.")(exchange)
            return
        exchange.begin_stream()
        exchange.event(chunk("Hay and"))
        closed.append(exchange.wait_for_close())

    server = serve(respond)
    chat = terminal("chat", "foal")
    chat.wait_for(">>> ")
    chat.type("What?\n")
    chat.wait_for("Hay and")
    chat.interrupt()
    chat.wait_for("stopped")
    assert closed == [True]
    chat.wait_for(">>> ")
    chat.type("Go on\n")
    chat.wait_for(r"Oats\.")
    assert server.exchanges[1].json()["messages"][1] == {"role": "assistant", "content": "Hay and"}
    chat.wait_for(">>> ")
    chat.interrupt()
    chat.wait_for("Ctrl-C again leaves")
    chat.wait_for(">>> ")
    chat.interrupt()
    assert chat.process.wait(10) == 130
    assert "Traceback" not in chat.seen


def test_an_error_is_one_line_and_not_the_end(serve: Serve, terminal: Callable[..., Terminal]) -> None:
    def respond(exchange: Exchange) -> None:
        if exchange.number == 0:
            exchange.answer({"error": {"message": "too long"}}, 400)
        else:
            answering("Hay.")(exchange)

    server = serve(respond)
    chat = terminal("chat", "foal")
    chat.wait_for(">>> ")
    chat.type("What?\n")
    chat.wait_for("paddock: too long")
    chat.wait_for(">>> ")
    chat.type("Why?\n")
    chat.wait_for(r"Hay\.")
    assert [message["content"] for message in server.exchanges[1].json()["messages"]] == ["Why?"]
    chat.wait_for(">>> ")
    chat.type("/exit\n")
    assert chat.process.wait(10) == 0
