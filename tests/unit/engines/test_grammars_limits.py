"""What would keep llama.cpp busy for ever, or end it, does not reach it."""

from __future__ import annotations

import re
import time

import pytest

from paddock.engines.llama_cpp.grammars.grammar import from_grammar
from paddock.engines.llama_cpp.grammars.regex import from_regex
from paddock.errors import InvalidRequest
from tests.unit.engines.matching import accepts


def chain(length: int, rule: str) -> str:
    rules = "\n".join(f"r{number} ::= {rule.format(number + 1)}" for number in range(length))
    return f'root ::= r0\n{rules}\nr{length} ::= "x"'


class TestNormalForm:
    @pytest.mark.parametrize(
        ("pattern", "written"),
        [
            ("(a*)*", '"a"*'),
            ("(a?){5}", '"a"{0,5}'),
            ("(a{0,2}){0,3}", '"a"{0,6}'),
            ("(a{2,3}){2,}", '"a"{4,}'),
            ("(a{2})*", '("a"{2})*'),
            ("(a+|b*)*", "[ab]*"),
            ("(a?b?)*", "[ab]*"),
            ("((a|)(b|))+", "[ab]*"),
            ("(a*){3}", '"a"*'),
            ("(|a)(|a)", '"a"? "a"?'),
            ("abc|abd|xyz|xy", '"ab" [cd] | "xy" "z"?'),
        ],
    )
    def test_repetitions_of_what_may_be_empty(self, pattern: str, written: str) -> None:
        assert from_regex(pattern, "p") == f"root ::= {written}\n"

    def test_left_recursion_becomes_a_repetition(self) -> None:
        assert from_grammar('root ::= root "+" [0-9] | root "-" [0-9] | [0-9]', "p") == (
            'root ::= [0-9] ("+" [0-9] | "-" [0-9])*\n'
        )

    def test_so_does_a_rule_that_ends_with_itself_or_nothing(self) -> None:
        assert from_grammar('root ::= ws "a"\nws ::= | " " ws', "p") == 'root ::= ws "a"\nws ::= " "*\n'
        assert from_grammar('root ::= "a" root | root "b" | ""', "p") == 'root ::= "a"* "b"*\n'
        assert from_grammar('root ::= "a" root | root "b" | "c"', "p") == 'root ::= "a"* "c" "b"*\n'

    def test_common_beginnings_keep_nested_brackets_from_multiplying(self) -> None:
        grammar = from_grammar(
            'root ::= term "+" root | term\nterm ::= item "*" term | item\nitem ::= [0-9] | "(" root ")"', "p"
        )
        assert 'root ::= term ("+" root)?\nterm ::= item ("*" term)?\n' in grammar

    def test_rules_that_nothing_needs_are_left_out(self) -> None:
        assert from_grammar('root ::= "a"\nb ::= b "c"', "p") == 'root ::= "a"\n'


class TestAmbiguity:
    @pytest.mark.parametrize(
        "pattern",
        [r"(\w+\s?)+", r"(\s*\w+\s*)+", "(x+x+)+y", "(a|b|ab)*c", "([a-z]+,?)*[.]", "((a{1,3}b?){1,3}c?)+"],
    )
    def test_many_ways_to_read_become_one(self, pattern: str) -> None:
        grammar = from_regex(pattern, "p")
        for text in ("aab c", "ab", "xxxy", "ababc", "abc,d.", "", "c", "aaabaabacaa"):
            assert accepts(grammar, text) == bool(re.fullmatch(pattern, text)), text

    def test_a_terminal_within_a_recursive_grammar_does_too(self) -> None:
        grammar = from_grammar('start: WORDS | "(" start ")"\nWORDS: /([a-z]+ ?)+/', "p")
        assert accepts(grammar, "((ab cd e ))")
        assert not accepts(grammar, "(ab  c)")
        assert "WORDS-2 ::=" in grammar

    @pytest.mark.parametrize(
        "text",
        [
            "root ::= " + '("a"? "b"? "c"?){600}',
            'root ::= ("a"{0,99} "b"?){0,99}',
            'root ::= "a" root "b" | c\nc ::= "a" root "c" | "d"',
            'root ::= ("a" | b)* "c"\nb ::= "a" b "d" | "a"',
        ],
    )
    def test_what_can_only_be_read_in_many_is_refused(self, text: str) -> None:
        with pytest.raises(InvalidRequest, match="too ambiguous") as caught:
            from_grammar(text, "guided_grammar")
        assert caught.value.param == "guided_grammar"


class TestLimits:
    @pytest.mark.parametrize(
        ("text", "message"),
        [
            (chain(28, 'r{0} "a" | "c" r{0} | r{0} "b" | r{0}'), "may belong to"),
            (chain(1000, 'r{0}? "x"?'), "begin"),
            ("root ::= " + "(" * 26 + '"a"?' + "){2}" * 26 + '"z"', "come to 1048576 times"),
            (chain(4500, '"x" r{0}'), "has 4502 rules; at most 4000 are taken"),
            ('root ::= "' + "ab" * 1000 + '"{300}', "is too large"),
        ],
    )
    def test_what_is_too_much_is_refused_soon(self, text: str, message: str) -> None:
        start = time.monotonic()
        with pytest.raises(InvalidRequest, match="guided_grammar") as caught:
            from_grammar(text, "guided_grammar")
        assert message in caught.value.message or "ambiguous" in caught.value.message
        assert time.monotonic() - start < 10

    def test_repeated_brackets_become_a_rule_where_llama_cpp_would_count_them(self) -> None:
        assert from_grammar('root ::= ([a-c] "x"?){1500}', "p") == (
            'repeated ::= [a-c] "x"?\nroot ::= repeated{1500}\n'
        )

    def test_wide_classes_are_written_once(self) -> None:
        grammar = from_regex(r"\W{2,2000}x\W", "p")
        assert grammar.count("::=") == 2
        assert 'root ::= characters{2,2000} "x" characters\n' in grammar
