"""Files with columns: what is taken, and what is said of what is not."""

from __future__ import annotations

import pytest

from paddock.services.finetunes import lines
from paddock.services.finetunes.csv_rows import MOST_HEADER_LINES
from paddock.services.finetunes.rows import MOST_ERRORS
from tests.unit.services.finetunes.reading import pair, reading, told

HEAD = "prompt,response\n"


class TestRows:
    @pytest.mark.parametrize("size", [1, 7, 10_000])
    @pytest.mark.parametrize("end", ["", "\n", "\r\n", "\n\n \n"])
    async def test_a_good_file(self, size: int, end: str) -> None:
        text = f'{HEAD}hé,b\r\n"x, y","q""z"""\n\n5" wide,"two\nlines"{end}'
        facts, rows = await reading(text, size)
        assert rows == [pair("hé", "b"), pair("x, y", 'q"z"'), pair('5" wide', "two\nlines")]
        assert (facts.rows, facts.kind, facts.errors, facts.ignored) == (3, "prompts", [], [])
        assert list(facts.lines) == [2, 3, 5]

    @pytest.mark.parametrize(
        ("text", "row", "ignored"),
        [
            ("\ufeffprompt,response\na,b", pair("a", "b"), []),
            (" Prompt ,RESPONSE\na,b", pair("a", "b"), []),
            ("response,id,prompt, note \na,1,b,", pair("b", "a"), ["id", "note"]),
            ("prompt;response\na,1;b", pair("a,1", "b"), []),
            ("prompt\tresponse\n a;\t b ", pair(" a;", " b "), []),
            ('"prompt","response"\n"a","b"', pair("a", "b"), []),
            ('"two\nlines",prompt,response\n1,a,b', pair("a", "b"), ["two\nlines"]),
            ('prompt,response\n"",x\n'.replace('""', '"\r\n."'), pair("\r\n.", "x"), []),
            ("\n\nprompt,response\na,b", pair("a", "b"), []),
        ],
    )
    async def test_ways_to_write_it(self, text: str, row: dict[str, str], ignored: list[str]) -> None:
        facts, rows = await reading(text)
        assert (rows, facts.ignored, facts.errors) == ([row], ignored, [])

    async def test_the_content_decides_and_not_the_name(self) -> None:
        assert (await reading(f"{HEAD}a,b", filename="rows.txt"))[0].rows == 1
        assert (await reading('{"prompt": "a", "response": "b"}', filename="rows.csv"))[0].rows == 1


class TestFaults:
    @pytest.mark.parametrize(
        ("text", "code", "param", "line", "said"),
        [
            ("prompt,answer\na,b", "missing_column", "response", 1, "no column response"),
            ("a,b\nc,d", "missing_column", "prompt", 1, "no column prompt and none response"),
            ("prompt,response,Prompt\na,b,c", "duplicate_column", "prompt", 1, "2 columns named prompt"),
            ("prompt,response\ra,b\r", "invalid_csv", None, 1, "line feed"),
            (HEAD, "empty_file", None, None, "has no rows"),
            ("", "empty_file", None, None, "has no rows"),
            (" \n\n", "empty_file", None, None, "has no rows"),
            (f"{HEAD}a,b\n,x", "empty_value", "prompt", 3, "row 2: the prompt is empty"),
            (f'{HEAD}a," "', "empty_value", "response", 2, "row 1: the response is empty"),
            (
                f"{HEAD}a,b,c",
                "wrong_column_count",
                None,
                2,
                "row 1 has 3 columns and the header 2 columns; a fi",
            ),
            (f"{HEAD}a", "wrong_column_count", None, 2, "row 1 has 1 column and"),
            (f'{HEAD}a,b\na,"b\nc,d\n', "broken_quoting", None, 3, "opens on line 3 is never closed"),
            (f'{HEAD}"a\nb" c,d', "broken_quoting", None, 2, "' c,d' follows the quote"),
            (f'{HEAD}a, "b"', "broken_quoting", None, 2, "blanks stand before"),
            ('"prompt\n,response', "broken_quoting", None, 1, "opens on line 1 is never closed"),
            (b"prompt,response\na,b\nc\xff,d", "invalid_encoding", None, 3, "byte 2 of line 3 is not UTF-8"),
            ("prompt,response\na,b".encode("utf-16"), "invalid_encoding", None, 1, "no text in UTF-8"),
            (b"PK\x03\x04\x00", "invalid_encoding", None, 1, "a workbook"),
        ],
    )
    async def test_what_is_wrong(
        self, text: str | bytes, code: str, param: str | None, line: int | None, said: str
    ) -> None:
        facts, _ = await reading(text)
        assert told(facts) == [(code, param, line)]
        assert said in facts.errors[0]["message"]

    async def test_all_faults_are_told_and_no_row_counts_then(self) -> None:
        facts, rows = await reading(f'{HEAD}a,b\n,b\n"a" b,c\na,\n,')
        assert [line for _, _, line in told(facts)] == [3, 4, 5, 6, 6]
        assert (facts.rows, rows) == (4, [])

    async def test_with_many_faults_it_is_read_no_further(self) -> None:
        facts, _ = await reading(HEAD + ",x\n" * 60)
        assert (len(facts.errors), facts.rows) == (MOST_ERRORS, MOST_ERRORS)

    async def test_an_open_quote_does_not_take_the_rest_of_the_file(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("paddock.services.finetunes.csv_rows.LONGEST_ROW", 20)
        facts, _ = await reading(f'{HEAD}a,"b\n' + "line\n" * 5 + '",x')
        assert told(facts)[0] == ("broken_quoting", None, 2)
        assert "not closed within 20" in facts.errors[0]["message"]

    async def test_a_line_that_is_too_long(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(lines, "LONGEST_ROW", 20)
        monkeypatch.setattr("paddock.services.finetunes.rows.LONGEST_ROW", 20)
        facts, _ = await reading(f"{HEAD}a,b\na,{'b' * 40}\nc,d")
        assert told(facts) == [("row_too_long", None, 3)]

    async def test_a_quote_that_opens_in_the_header_has_an_end(self) -> None:
        facts, _ = await reading('"prompt,response\n' + "a,b\n" * 2 * MOST_HEADER_LINES)
        assert told(facts) == [("missing_column", "prompt", 1)]
