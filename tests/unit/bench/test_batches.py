"""What the benchmarks of files and batches compute."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from bench import files, jobs, prompts


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
