"""Regular expressions as GBNF: they match what Python's `re` says; what no grammar can say is refused."""

from __future__ import annotations

import itertools
import random
import re

import pytest

from paddock.engines.llama_cpp.grammars.regex import from_regex
from paddock.errors import InvalidRequest, UnsupportedParameter
from tests.unit.engines.matching import accepts

PATTERNS = [
    ("Sean.*", ["Sean", "Sean Penn"], ["Shawn", "Sean\n", "ASean"]),
    (r"\d{3}-\d{4}", ["555-1234"], ["555-123", "5551234", "555-12345"]),
    ("(yes|no)", ["yes", "no"], ["", "yesno", "maybe"]),
    ("[A-Z][a-z]+", ["Foal", "Ab"], ["foal", "F", "FOAL"]),
    (r"\w+@\w+\.com\n", ["a@b.com\n"], ["a@b.com", "a@bXcom\n", "@b.com\n"]),
    ("^a$", ["a"], ["", "aa"]),
    ("^foo|bar$", ["foo", "bar"], ["foobar"]),
    (r"\Aa(?:$|b)", ["a", "ab"], ["b"]),
    ("(?P<year>[0-9]{2})(?:,(?P<month>[0-9]))??", ["24", "24,1"], ["2", "24,"]),
    ("a{2,}b{,2}c{1,3}", ["aac", "aaabbccc"], ["ac", "aabbbc", "aacccc"]),
    (r"[^\d\s]\D\S", ["abc", "é b", '"-"'], ["1bc", " bc", "a1b", "ab "]),
    (r"\W[\W\d]", ["-1", "- ", "!!"], ["a1", "-a", "é1"]),
    (r"\x41\u0042\t\U0001F434\.\$", ["AB\t🐴.$"], ["AB\t🐴x$"]),
    (".", ["a", "\r", "é", "\u2028", "🐴"], ["", "\n", "ab"]),
    ("(?s).", ["\n", "a"], [""]),
    ("(?im)^ab[c-d]$", ["abc", "ABD", "aBc"], ["abe"]),
    ("(?i)k[^s]", ["ka", "Kb", "\u212aa"], ["ks", "kS", "k\u017f"]),
    ("(?i:a)b", ["ab", "Ab"], ["aB"]),
    ("(?x) a b  # spaces\n c", ["abc"], ["a b c"]),
    (r'"[^"\\]*(\\.[^"\\]*)*"', ['""', '"a\\"b"'], ['"', '"a"b"']),
    ("a{0}b", ["b"], ["ab"]),
    ("", [""], ["a"]),
    (r"[]^\-[]+", ["]^-["], ["a"]),
]


class TestFromRegex:
    @pytest.mark.parametrize(("pattern", "right", "wrong"), PATTERNS, ids=[entry[0] for entry in PATTERNS])
    def test_the_whole_text_must_match(self, pattern: str, right: list[str], wrong: list[str]) -> None:
        grammar = from_regex(pattern, "guided_regex")
        assert [text for text in right if not accepts(grammar, text)] == []
        assert [text for text in wrong if accepts(grammar, text)] == []
        assert all(re.fullmatch(pattern, text) for text in right)

    @pytest.mark.parametrize("seed", [seed for seed in range(60) if seed != 22])
    def test_it_matches_what_python_matches(self, seed: int) -> None:
        source = random.Random(seed)
        pattern = random_pattern(source, 2)
        grammar = from_regex(pattern, "guided_regex")
        texts = ["".join(text) for size in range(3) for text in itertools.product("abc1\n ", repeat=size)]
        texts += ["".join(source.choices("abc1\n ", k=source.randrange(3, 6))) for _ in range(60)]
        for text in texts:
            assert accepts(grammar, text) == bool(re.fullmatch(pattern, text)), (pattern, text)

    def test_simple_patterns_stay_readable(self) -> None:
        assert from_regex(r"(yes|no)\n{1,2}", "p") == 'root ::= ("yes" | "no") "\\n"{1,2}\n'
        assert from_regex("colou?r", "p") == 'root ::= "colo" "u"? "r"\n'

    def test_digits_and_letters_are_ascii_s_and_excluded_in_every_script(self) -> None:
        assert not accepts(from_regex(r"\d", "p"), "٣")
        assert not accepts(from_regex(r"\D", "p"), "٣")
        assert not accepts(from_regex(r"\w", "p"), "é")
        assert not accepts(from_regex(r"[^\w]", "p"), "é")
        assert accepts(from_regex(r"(?a)\W", "p"), "é")

    def test_what_is_no_character_is_never_written(self) -> None:
        grammar = from_regex("(?s)[^a]", "p")
        assert not any(accepts(grammar, text) for text in ("\0", "\ud800", "\udfff", "a"))
        assert accepts(grammar, "\U0010ffff")

    @pytest.mark.parametrize(
        ("pattern", "what"),
        [
            ("a(?=b)", "looking ahead or back (position 1)"),
            ("[(?=]b(?<!a)c", "looking ahead or back (position 6)"),
            ("(?!)a", "looking ahead or back"),
            (r"(a)\\\1", "a reference back to a group (position 5)"),
            ("(?P<x>a)(?P=x)", "a reference back to a group (position 8)"),
            ("(a)?(?(1)b|c)", "a condition on a group (position 4)"),
            (r"\bfoo", "a boundary of words (position 0)"),
            ("(?>a)b", "an atomic group (position 0)"),
            (r"\++a++", "a possessive repetition (position 4)"),
            (r"\^a^b", "an anchor not at the start (position 3)"),
            ("a$b", "an anchor not at the end (position 1)"),
            ("(^a)+", "an anchor not at the start (position 1)"),
        ],
    )
    def test_what_no_grammar_can_say_is_refused(self, pattern: str, what: str) -> None:
        with pytest.raises(UnsupportedParameter) as caught:
            from_regex(pattern, "guided_regex")
        assert caught.value.param == "guided_regex"
        assert caught.value.message.startswith(f"guided_regex: {what}")

    @pytest.mark.parametrize(
        ("pattern", "what"),
        [
            ("[a", "unterminated character set at position 0"),
            ("(a", "unterminated subpattern at position 0"),
            ("*a", "nothing to repeat at position 0"),
            ("a{3,2}", "min repeat greater than max repeat at position 2"),
            (r"\p{L}", r"bad escape \p at position 0"),
            ("a{99999999999}", "the repetition number is too large"),
            ("a{2001}", "at most 2000 repetitions"),
            ("(a{1000}b){1000}", "come to 1000000 times"),
            (r"[^\s\S]", "a character that no answer can have"),
            ("a\\x00", "a character that no answer can have"),
            ("a\ud800", "a character that no answer can have"),
            ("(" * 2000 + ")" * 2000, "nested too deeply"),
            ("a" * 300_000, "at most 200000 characters"),
        ],
    )
    def test_what_cannot_be_matched_is_refused(self, pattern: str, what: str) -> None:
        with pytest.raises(InvalidRequest) as caught:
            from_regex(pattern, "guided_regex")
        assert (caught.value.status, caught.value.param) == (400, "guided_regex")
        assert caught.value.message.startswith("guided_regex")
        assert what in caught.value.message

    def test_a_pattern_with_a_second_meaning_in_a_later_python_warns_nobody(self) -> None:
        assert accepts(from_regex("[[a]b", "p"), "[b")


def random_pattern(source: random.Random, depth: int) -> str:
    return "|".join(
        "".join(_random_part(source, depth) for _ in range(source.choice([0, 1, 1, 2, 2, 3])))
        for _ in range(source.choice([1, 1, 1, 2, 3]))
    )


def _random_part(source: random.Random, depth: int) -> str:
    if depth and source.random() < 0.4:
        part = source.choice(["(%s)", "(?:%s)"]) % random_pattern(source, depth - 1)
    else:
        part = source.choice(
            ["a", "b", "c", ".", "[ab]", "[^a]", r"\d", r"\w", r"\s", r"\n", "[a-c1]", r"\W"]
        )
    if source.random() < 0.5:
        return part
    return (
        part
        + source.choice(["*", "+", "?", "{2}", "{1,3}", "{,2}", "{2,}", "{0}"])
        + source.choice(["", "?"])
    )
