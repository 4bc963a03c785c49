"""Where the answers of a batch are put."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from paddock.cli.batch_answers import Answers, Written, error_of, text_of, write_answers
from paddock.cli.batch_lines import Asking, write_lines
from paddock.cli.batch_rows import BatchLine, Row, WrongInput
from paddock.errors import PaddockError

ASKING = Asking("foal")


def answered(custom_id: str, text: str = "yes", status: int = 200) -> dict[str, Any]:
    body: dict[str, Any] = {"choices": [{"message": {"content": text}}]}
    if status >= 400:
        body = {"error": {"message": text}}
    return {"custom_id": custom_id, "response": {"status_code": status, "body": body}, "error": None}


def file(*lines: dict[str, Any]) -> io.BytesIO:
    return io.BytesIO(b"".join(json.dumps(line).encode() + b"\n" for line in lines))


def parsed(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


class TestAnswers:
    def ids(self, *files: io.BytesIO, wanted: str) -> list[bool]:
        """Whether there is an answer, for each letter."""
        answers = Answers(files)
        found = [answers.take(each) for each in wanted]
        assert [one["custom_id"] for one in found] == list(wanted)
        return [one["response"] is not None for one in found]

    def test_in_order_from_both_files(self) -> None:
        answers, errors = file(answered("a"), answered("c")), file(answered("b", status=400))
        assert self.ids(answers, errors, wanted="abc") == [True] * 3

    def test_what_is_in_order_is_not_kept(self) -> None:
        answers = Answers([file(*map(answered, "abcd"))])
        for each in "abcd":
            answers.take(each)
            assert answers._early == {}

    def test_in_another_order(self) -> None:
        assert self.ids(file(*map(answered, "dbca")), wanted="abcd") == [True] * 4

    def test_one_that_is_missing(self) -> None:
        assert self.ids(file(*map(answered, "acd")), wanted="abcd") == [True, False, True, True]

    def test_what_is_no_output_file(self) -> None:
        with pytest.raises(PaddockError, match="line 2 of the server's output file is not understood"):
            Answers([io.BytesIO(b'\n{"custom_id": 5}\n')]).take("a")


class TestErrorOf:
    @pytest.mark.parametrize(
        ("answer", "said"),
        [
            (answered("a"), None),
            (answered("a", "too long", 400), "too long"),
            ({"response": {"status_code": 500, "body": "x"}}, "it was answered with status 500"),
            ({"response": None, "error": {"code": "batch_expired", "message": "late"}}, "late"),
            ({"response": None, "error": {"code": "batch_expired"}}, "batch_expired"),
            ({"response": None, "error": None}, "the batch ended before this was answered"),
        ],
    )
    def test_it(self, answer: dict[str, Any], said: str | None) -> None:
        assert error_of(answer) == said


class TestTextOf:
    @pytest.mark.parametrize(
        ("body", "text"),
        [
            ({"choices": [{"text": "t"}, {"text": "u"}]}, "t"),
            ({"choices": [{"message": {"content": "m"}}]}, "m"),
            (
                {"choices": [{"message": {"content": None, "tool_calls": []}}]},
                '{"content": null, "tool_calls": []}',
            ),
            ({"data": [{"embedding": [0.5, 1]}]}, "[0.5, 1]"),
            ({"else": "ä"}, '{"else": "ä"}'),
        ],
    )
    def test_it(self, body: Any, text: str) -> None:
        assert text_of({"response": {"body": body}}) == text


class TestWriteAnswers:
    ROWS = (
        Row("line 1", "a", {"id": "1", "prompt": "a"}),
        Row("line 2", "b", {"prompt": "b", "more": [1, "ä"]}),
    )
    OUTPUT = (answered("row-1", "one,\n\x1b[2J"), answered("row-2", "no", 400))

    def write(self, path: Path, rows: tuple[Row, ...] = ROWS) -> Written:
        sent = write_lines(rows, ASKING, io.BytesIO())
        return write_answers(path, rows, ASKING, sent, Answers([file(*self.OUTPUT)]))

    def test_json_lines(self, tmp_path: Path) -> None:
        assert self.write(tmp_path / "out.jsonl") == Written(2, 1)
        assert parsed(tmp_path / "out.jsonl") == [
            {"id": "1", "prompt": "a", "response": "one,\n\x1b[2J", "error": None},
            {"prompt": "b", "more": [1, "ä"], "response": None, "error": "no"},
        ]

    def test_csv(self, tmp_path: Path) -> None:
        assert self.write(tmp_path / "out.csv") == Written(2, 1)
        with (tmp_path / "out.csv").open(newline="") as out:
            assert list(csv.reader(out)) == [
                ["id", "prompt", "more", "response", "error"],
                ["1", "a", "", "one,\n\x1b[2J", ""],
                ["", "b", '[1, "ä"]', "", "no"],
            ]

    def test_lines_of_a_batch_get_whole_answers(self, tmp_path: Path) -> None:
        rows = tuple(
            Row(f"line {at}", BatchLine(b"{}", f"row-{at}", None), {"custom_id": f"row-{at}"})
            for at in (1, 2)
        )
        self.write(tmp_path / "out.jsonl", rows)
        assert parsed(tmp_path / "out.jsonl") == list(self.OUTPUT)
        self.write(tmp_path / "out.csv", rows)
        assert (tmp_path / "out.csv").read_text().splitlines()[-1] == "row-2,,no"

    def test_an_input_that_changed_meanwhile(self, tmp_path: Path) -> None:
        sent = write_lines(self.ROWS, ASKING, io.BytesIO())
        changed = (dataclasses.replace(self.ROWS[0], asked="else"), self.ROWS[1])
        with pytest.raises(PaddockError, match="has changed since it was sent"):
            write_answers(tmp_path / "out.jsonl", changed, ASKING, sent, Answers([file(*self.OUTPUT)]))
        assert list(tmp_path.iterdir()) == []

    def test_an_input_that_became_wrong(self, tmp_path: Path) -> None:
        def rows() -> Iterator[Row]:
            yield self.ROWS[0]
            raise WrongInput("line 2: it is not JSON")

        sent = write_lines(self.ROWS, ASKING, io.BytesIO())
        with pytest.raises(PaddockError, match="has changed since it was sent"):
            write_answers(tmp_path / "out.jsonl", rows(), ASKING, sent, Answers([file(*self.OUTPUT)]))

    def test_a_folder_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(PaddockError, match=r"cannot write .*out.jsonl: No such file"):
            self.write(tmp_path / "none" / "out.jsonl")
