"""What is read of a file of prompts, and what is said about one that is not as it should be."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from paddock.cli.batch_rows import BatchLine, Row, WrongInput, read_rows
from paddock.errors import StartupError

LINE = {"custom_id": "a", "method": "POST", "url": "/v1/embeddings", "body": {"model": "m", "input": "x"}}


def read(folder: Path, name: str, content: str | bytes, column: str = "prompt") -> list[Row]:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return list(read_rows(path, column))


def wrong(folder: Path, name: str, content: str | bytes, said: str) -> None:
    with pytest.raises(WrongInput, match=re.escape(said)):
        read(folder, name, content)


class TestCsv:
    def test_rows_have_their_columns(self, tmp_path: Path) -> None:
        text = 'id,prompt\r\n1,"one, ""two"""\r\n\r\n2,"over\r\ntwo lines"\r\n3,\r\n'
        first, second, third = read(tmp_path, "a.CSV", text)
        assert first == Row("row 1 (line 2)", 'one, "two"', {"id": "1", "prompt": 'one, "two"'})
        assert (second.where, second.asked) == ("row 2 (line 4)", "over\r\ntwo lines")
        assert (third.where, third.asked) == ("row 3 (line 6)", "")

    def test_as_a_spreadsheet_writes_it(self, tmp_path: Path) -> None:
        assert read(tmp_path, "a.csv", b"\xef\xbb\xbfprompt\r\n\xc3\xa4\r\n")[0].columns == {"prompt": "ä"}

    def test_another_column(self, tmp_path: Path) -> None:
        assert [row.asked for row in read(tmp_path, "a.csv", "a,b\n1,2\n", "b")] == ["2"]

    @pytest.mark.parametrize(
        ("content", "said"),
        [
            ("text\nx\n", "the heading: there is no column 'prompt', only 'text'; name"),
            ("prompt,a,a\n", "the heading: the column 'a' is there twice"),
            ("prompt,b\n1,2\n1,2,3\n", "row 2 (line 3): it has 3 cells, and the heading has 2"),
            ('prompt\n"a\nb"\nc"d"\n"e"f\n', "row 3 (line 5): it is not CSV:"),
            ('prompt\na\n"b\nc\n', "row 2 (line 3): it is not CSV: unexpected end of data"),
            (b"prompt\nab\xffc\n", "line 2: it is not UTF-8: byte 0xff at 3"),
        ],
    )
    def test_what_is_wrong(self, content: str | bytes, said: str, tmp_path: Path) -> None:
        wrong(tmp_path, "a.csv", content, said)

    def test_a_long_prompt(self, tmp_path: Path) -> None:
        assert len(str(read(tmp_path, "a.csv", f"prompt\n{'x' * 200_000}\n")[0].asked)) == 200_000


class TestJsonLines:
    def test_what_a_line_may_be(self, tmp_path: Path) -> None:
        messages = [{"role": "user", "content": "m"}]
        values: list[Any] = [{"prompt": "p", "n": 1}, "s", {"messages": messages, "n": 2}, LINE]
        text = "\n\n".join(json.dumps(value) for value in values)
        assert read(tmp_path, "a.jsonl", text) == [
            Row("line 1", "p", {"prompt": "p", "n": 1}),
            Row("line 3", "s", {"prompt": "s"}),
            Row("line 5", messages, {"messages": messages, "n": 2}),
            Row("line 7", BatchLine(json.dumps(LINE).encode(), "a", "/v1/embeddings"), {"custom_id": "a"}),
        ]

    def test_another_field(self, tmp_path: Path) -> None:
        assert read(tmp_path, "a.ndjson", '{"text": "t", "prompt": 1}\n', "text")[0].asked == "t"

    @pytest.mark.parametrize(
        ("content", "said"),
        [
            ('"a"\n{"prompt": \n', "line 2: it is not JSON: Expecting value"),
            ('{"prompt": "a", "n": NaN}', "line 1: it is not JSON: NaN is no value of JSON"),
            ("[" * 100_000, "line 1: it is not JSON:"),
            ('{"prompt": 5}', "line 1: `prompt` must be a string, not a number"),
            ('{"prompt": null}', "line 1: `prompt` must be a string, not null"),
            ('{"messages": "a"}', "line 1: `messages` must be a list, not a string"),
            ('{"custom_id": 1, "body": {}}', "line 1: `custom_id` must be a string, not a number"),
            ('["a"]', "line 1: it must be {"),
            ('{"text": "a"}', "it is an object with 'text'"),
            (b'"a"\n"\xe4"\n', "line 2: it is not UTF-8: byte 0xe4 at 2"),
        ],
    )
    def test_what_is_wrong(self, content: str | bytes, said: str, tmp_path: Path) -> None:
        wrong(tmp_path, "a.jsonl", content, said)


class TestText:
    def test_a_prompt_a_line(self, tmp_path: Path) -> None:
        rows = read(tmp_path, "a.txt", " one \r\n\n  \ntwo", "question")
        assert rows == [
            Row("line 1", " one ", {"question": " one "}),
            Row("line 4", "two", {"question": "two"}),
        ]


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match=r"cannot read .*none.txt: No such file"):
        list(read_rows(tmp_path / "none.txt", "prompt"))
