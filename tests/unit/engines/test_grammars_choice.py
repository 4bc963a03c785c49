"""One of several texts as GBNF."""

from __future__ import annotations

import pytest

from paddock.engines.llama_cpp.grammars.choice import from_choice
from paddock.errors import InvalidRequest
from tests.unit.engines.matching import accepts


class TestFromChoice:
    @pytest.mark.parametrize(
        "choices",
        [
            ["yes", "no"],
            ["a", "ab", "abc", "b", "ba"],
            ['say "hi"', "back\\slash", "line\nbreak", "tab\t", "nul is \x01 here", "[x-y]^"],
            ["é", "🐴🐎", "日本語", "e\u0301", "\u2028", "\u200b"],
            ["same", "same", "other"],
            ["", "something"],
        ],
    )
    def test_each_of_them_and_nothing_else(self, choices: list[str]) -> None:
        grammar = from_choice(choices, "guided_choice")
        assert all(accepts(grammar, text) for text in choices)
        near = (
            {text[:-1] for text in choices}
            | {text + "x" for text in choices}
            | {text * 2 for text in choices}
        )
        assert not any(accepts(grammar, text) for text in near - set(choices))

    def test_common_beginnings_are_written_once(self) -> None:
        assert from_choice(["yes", "yesterday", "no"], "p") == 'root ::= "yes" "terday"? | "no"\n'

    def test_many_stay_quick_for_the_engine(self) -> None:
        grammar = from_choice([f"value {number}" for number in range(5000)], "p")
        assert grammar.startswith('root ::= "value " (')
        assert accepts(grammar, "value 4999")
        assert not accepts(grammar, "value 5000")

    @pytest.mark.parametrize(
        ("choices", "message"),
        [
            ([], "guided_choice must name at least one text to choose"),
            (["a", "b\0"], "guided_choice.1 has the character U+0000, which no answer can have"),
            (["\udc00"], "guided_choice.0 has the character U+DC00, which no answer can have"),
            (["a" * 200_001], "guided_choice must have at most 200000 characters in all"),
            (["a" * size for size in range(1, 500)], "guided_choice is nested too deeply"),
        ],
    )
    def test_what_cannot_be_chosen_is_refused(self, choices: list[str], message: str) -> None:
        with pytest.raises(InvalidRequest) as caught:
            from_choice(choices, "guided_choice")
        assert (caught.value.message, caught.value.param) == (message, "guided_choice")
