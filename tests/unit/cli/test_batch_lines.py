"""What is sent for the rows of an input."""

from __future__ import annotations

import hashlib
import io
import json
from typing import Any

import pytest

from paddock.cli.batch_lines import Asking, Sent, write_lines
from paddock.cli.batch_rows import BatchLine, Row, WrongInput


def row(asked: Any, number: int = 1, **columns: Any) -> Row:
    return Row(f"line {number}", asked, columns)


def given(custom_id: str, number: int = 1, url: Any = "/v1/embeddings") -> Row:
    return row(BatchLine(b'{"as": "it is"}', custom_id, url), number, custom_id=custom_id)


def write(*rows: Row, asking: Asking | None = None) -> tuple[Sent, bytes]:
    out = io.BytesIO()
    return write_lines(rows, asking or Asking("foal"), out), out.getvalue()


def body(asked: Any, **asking: Any) -> Any:
    _, written = write(row(asked), asking=Asking("foal", **asking))
    return json.loads(written)["body"]


class TestWriteLines:
    def test_prompts(self) -> None:
        sent, written = write(row("ä", a=1), row("b", 2, b=2, a=3))
        first, second = written.splitlines()
        assert json.loads(first) == {
            "custom_id": "row-1",
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": {"model": "foal", "messages": [{"role": "user", "content": "ä"}]},
        }
        assert json.loads(second)["custom_id"] == "row-2"
        digest = hashlib.sha256(written).hexdigest()
        assert sent == Sent(2, digest, "/v1/chat/completions", ["a", "b"], False)

    def test_how_it_is_asked(self) -> None:
        own = [{"role": "system", "content": "own"}, {"role": "user", "content": "b"}]
        system = {"role": "system", "content": "s"}
        assert body("a", system="s")["messages"] == [system, {"role": "user", "content": "a"}]
        assert body(own[1:], system="s")["messages"] == [system, own[1]]
        assert body(own, system="s")["messages"] == own
        completion = body("a", endpoint="completions", options={"max_tokens": 3})
        assert completion == {"model": "foal", "prompt": "a", "max_tokens": 3}

    def test_lines_of_a_batch_are_sent_as_they_are(self) -> None:
        sent, written = write(given("a"), given("b", 2), asking=Asking(None))
        assert written == b'{"as": "it is"}\n' * 2
        assert (sent.endpoint, sent.columns, sent.lines_given) == ("/v1/embeddings", ["custom_id"], True)

    def test_lines_that_name_no_endpoint(self) -> None:
        assert write(given("a", url=None), asking=Asking(None))[0].endpoint == "/v1/chat/completions"

    @pytest.mark.parametrize(
        ("rows", "asking", "said"),
        [
            ([], Asking("m"), "there is no prompt in it"),
            ([row("a")], Asking(None), "line 1 names no model: say which with --model"),
            ([row([{}])], Asking("m", "completions"), "line 1 has messages, which --endpoint completions"),
            ([row("\ud800")], Asking("m"), "line 1: it has half of a surrogate pair"),
            ([row("a", error="")], Asking("m"), "it has a 'error' of its own"),
            ([given("a"), given("a", 2)], Asking("m"), "line 2: the custom_id 'a' is that of line 1 too"),
            (
                [given("a"), row("b", 2)],
                Asking("m"),
                "cannot stand in one file; line 1 is the line",
            ),
            (
                [row("b"), given("a", 2)],
                Asking("m"),
                "cannot stand in one file; line 1 is the prompt",
            ),
        ],
    )
    def test_what_is_wrong(self, rows: list[Row], asking: Asking, said: str) -> None:
        with pytest.raises(WrongInput, match=said):
            write(*rows, asking=asking)
