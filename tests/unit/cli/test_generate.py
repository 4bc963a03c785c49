"""`paddock complete`, and `paddock chat` with piped input."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest

from paddock.cli.output import dump_json, printable
from paddock.cli.server import Answer
from tests.unit.cli.openai_server import USAGE, answering, chunk
from tests.unit.clients.server import Exchange, Server

Run = Callable[..., tuple[int, str, str]]
Serve = Callable[..., Server]
SUMMARY = re.compile(r"^3 tokens · \S+ tokens/s · first token \d+ ms$")


class TestComplete:
    def test_streams_and_sums_up(self, paddock: Run, serve: Serve) -> None:
        server = serve(answering(" Par", "is"))
        code, out, err = paddock("complete", "The capital of France is", "--stop", ".", "--seed", "1")
        assert (code, out) == (0, " Paris\n")
        assert SUMMARY.match(err.strip())
        assert [exchange.path for exchange in server.exchanges] == ["/v1/models", "/v1/completions"]
        assert server.exchanges[1].json() == {
            "model": "paddock/foal",
            "prompt": "The capital of France is",
            "max_tokens": 128,
            "seed": 1,
            "stop": ["."],
            "stream": True,
            "stream_options": {"include_usage": True},
        }

    @pytest.mark.parametrize("arguments", [[], ["-"]])
    def test_prompt_from_stdin(self, arguments: list[str], paddock: Run, serve: Serve) -> None:
        server = serve(answering("x"))
        assert paddock("complete", "--model", "big", *arguments, stdin="Ä\nb\n")[0] == 0
        assert [exchange.path for exchange in server.exchanges] == ["/v1/completions"]
        assert server.exchanges[0].json()["prompt"] == "Ä\nb\n"

    def test_json(self, paddock: Run, serve: Serve) -> None:
        serve(answering("a\x1b[31m", "\x9b"))
        _, out, err = paddock("complete", "x", "--json")
        assert err == ""
        assert "\x9b" not in out
        answer = json.loads(out)
        assert answer["text"] == "a\x1b[31m\x9b"
        assert (answer["model"], answer["finish_reason"], answer["usage"]) == ("paddock/foal", "stop", USAGE)
        assert set(answer["timings"]) == {"first_token_ms", "total_ms", "tokens_per_second"}

    def test_no_model(self, paddock: Run, serve: Serve) -> None:
        server = serve(answering(models=[]))
        assert paddock("complete", "x") == (1, "", f"paddock: the server at {server.url} serves no model\n")


class TestPipedChat:
    def test_each_line_is_a_message_of_one_conversation(self, paddock: Run, serve: Serve) -> None:
        server = serve(answering("Ha", "y."))
        code, out, err = paddock("chat", "foal", "--system", "Be short", stdin="What?\n\nWhy /reset?\n")
        assert (code, out) == (0, "Hay.\nHay.\n")
        assert all(SUMMARY.match(line) for line in err.splitlines())
        assert len(err.splitlines()) == 2
        assert server.exchanges[1].json()["messages"] == [
            {"role": "system", "content": "Be short"},
            {"role": "user", "content": "What?"},
            {"role": "assistant", "content": "Hay."},
            {"role": "user", "content": "Why /reset?"},
        ]

    def test_json_is_one_object_a_turn(self, paddock: Run, serve: Serve) -> None:
        server = serve(answering("Hay."))
        _, out, err = paddock("chat", "--json", "-n", "9", "--temperature", "0", stdin="a\nb\n")
        assert [json.loads(line)["text"] for line in out.splitlines()] == ["Hay.", "Hay."]
        assert err == ""
        sent = server.exchanges[1].json()
        assert (sent["model"], sent["max_tokens"], sent["temperature"]) == ("paddock/foal", 9, 0)

    def test_escape_sequences_do_not_reach_the_terminal(self, paddock: Run, serve: Serve) -> None:
        serve(answering("\x1b]0;owned\x07", "a\tb\r\n", "\x9b2J", "\ud83d", "ü"))
        assert paddock("chat", "foal", stdin="x")[1] == "]0;owneda\tb\n2Jü\n"

    def test_error_in_the_middle(self, paddock: Run, serve: Serve) -> None:
        def respond(exchange: Exchange) -> None:
            exchange.begin_stream()
            exchange.event(chunk("Ha"))
            exchange.event({"error": {"message": "the engine died"}})
            exchange.end_stream()

        serve(respond)
        assert paddock("chat", "foal", stdin="x\ny\n") == (1, "Ha\n", "paddock: the engine died\n")


class TestAnswer:
    def test_speed_counts_from_the_first_token(self) -> None:
        answer = Answer("m", usage={"completion_tokens": 11}, first_token=0.5, last_token=1.5)
        assert answer.summary() == "11 tokens · 10 tokens/s · first token 500 ms"

    def test_speed_of_tokens_that_came_at_once(self) -> None:
        answer = Answer("m", usage={"completion_tokens": 11}, first_token=2.0, last_token=2.001)
        assert answer.summary() == "11 tokens · 5.5 tokens/s · first token 2000 ms"

    def test_without_text(self) -> None:
        assert Answer("m").summary() == "0 tokens"

    def test_says_when_it_was_cut_off(self) -> None:
        assert "cut off" in Answer("m", finish_reason="length", pieces=1).summary()


class TestOutput:
    def test_printable(self) -> None:
        assert printable("a\n\tb\r\x00\x1b[0m\x7f\x85é😀\ud800") == "a\n\tb[0mé😀"

    def test_json_keeps_every_character(self) -> None:
        value = {"a": "\x1b\x7f\x85é\ud800"}
        text = dump_json(value)
        assert json.loads(text) == value
        assert "é" in text
        assert printable(text) == text
