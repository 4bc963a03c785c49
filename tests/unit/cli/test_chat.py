"""`paddock chat` at a terminal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.unit.cli.openai_server import answering, chunk
from tests.unit.cli.terminal import Terminal
from tests.unit.clients.server import Exchange, Server

Serve = Callable[..., Server]


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
