"""What the benchmarks of files and batches compute."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

import pytest

from bench import files, jobs, killed_batches, prompts


def cut(data: bytes, size: int) -> Iterator[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


class TestPrompts:
    def test_they_are_all_different_and_always_the_same(self) -> None:
        asked = prompts.made(2000)
        assert len(set(asked)) == 2000
        assert asked == prompts.made(2000)
        assert len({len(one) for one in asked}) > 10

    def test_each_short_one_has_a_word_of_its_own(self) -> None:
        words = {prompts.word(number) for number in range(100_000)}
        assert len(words) == 100_000

    def test_the_lines_of_a_batch(self) -> None:
        first, second = map(json.loads, prompts.lines(prompts.TEXTS, ["a", "b"], 8, "m").splitlines())
        assert [first["custom_id"], second["custom_id"]] == ["row-0", "row-1"]
        assert second["url"] == "/v1/completions"
        assert second["body"] == {"model": "m", "prompt": "b", "max_tokens": 8, "temperature": 0}


class TestUnescaped:
    TEXT = 'one "two" \\ \\u0041 \x01 \n\t é € 😀 \\\\" end"}'

    @pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 1000])
    def test_gives_the_text_however_it_was_cut(self, size: int) -> None:
        data = json.dumps({"id": "file-1", "content": self.TEXT}, separators=(",", ":"), ensure_ascii=False)
        assert b"".join(files.unescaped(cut(data.encode(), size))).decode() == self.TEXT

    def test_an_answer_without_its_end_is_none(self) -> None:
        with pytest.raises(RuntimeError, match="ends with"):
            list(files.unescaped(cut(b'{"id":"a","content":"one', 4)))


class TestAnswers:
    def test_an_answer_with_another_status_is_told(self) -> None:
        lines = b'{"custom_id":"row-0","response":{"status_code":429,"body":{}},"error":null}\n'
        with pytest.raises(RuntimeError, match="429"):
            jobs.answers(lines)


def line(number: int, answer: str, status: int = 200) -> bytes:
    body = {"choices": [{"message": {"content": answer}}]}
    row = {"custom_id": prompts.custom_id(number), "response": {"status_code": status, "body": body}}
    return json.dumps(row).encode()


class TestFaults:
    ASKED = ("a", "b")
    SAID: Mapping[str, list[str]] = {"a": ["A"], "b": ["B", "BB"]}

    def test_a_right_output_has_none(self) -> None:
        assert not killed_batches.faults([line(0, "A"), line(1, "BB")], self.ASKED, self.SAID)

    @pytest.mark.parametrize(
        ("lines", "count", "why"),
        [
            ([line(0, "A")], 1, "where row-1 should be"),
            ([line(1, "B"), line(0, "A")], 2, "where row-0 should be"),
            ([line(0, "A"), line(1, "B"), line(1, "B")], 1, "there is row-1 too"),
            ([line(0, "A"), line(1, "B", 500)], 1, "row-1 is"),
            ([line(0, "B"), line(1, "A")], 2, "is answered 'B'"),
            ([line(0, "A"), line(1, "never said")], 1, "is answered 'never said'"),
        ],
    )
    def test_what_is_wrong_is_told(self, lines: list[bytes], count: int, why: str) -> None:
        found = killed_batches.faults(lines, self.ASKED, self.SAID)
        assert len(found) == count
        assert why in found[0]

    def test_some_answers_may_be_new_but_not_another_prompts(self) -> None:
        assert not killed_batches.faults([line(0, "A"), line(1, "new")], self.ASKED, self.SAID, 0.5)
        assert killed_batches.faults([line(0, "A"), line(1, "A")], self.ASKED, self.SAID, 0.5)

    def test_what_many_prompts_are_answered_is_not_another_prompts(self) -> None:
        said = {"a": ["who knows"], "b": ["B"]}
        assert not killed_batches.faults([line(0, "who knows"), line(1, "who knows")], self.ASKED, said, 0.5)


class TestRepeated:
    def test_counts_what_each_kill_made_be_asked_again(self) -> None:
        assert killed_batches.repeated("abc" + "bcd" + "e", [3, 6]) == [2, 0]

    def test_without_kills_nothing_is_asked_twice(self) -> None:
        assert killed_batches.repeated("abc", []) == [0]
        assert killed_batches.repeated("aba", []) == [1]

    def test_what_is_asked_twice_before_any_kill_is_not_lost(self) -> None:
        assert killed_batches.repeated("aab" + "b", [3]) == [2]
