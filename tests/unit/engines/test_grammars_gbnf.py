"""GBNF from people: what llama.cpp takes is taken, and what it would refuse or fall over is refused."""

from __future__ import annotations

import random
import re

import pytest

from paddock.engines.llama_cpp.grammars import gbnf
from paddock.engines.llama_cpp.grammars.grammar import from_grammar
from paddock.errors import InvalidRequest, UnsupportedParameter
from tests.unit.engines.matching import accepts

SQL = """
    root ::= select_statement

    select_statement ::= "SELECT " column " from " table " where " condition

    column ::= "col_1 " | "col_2 "

    table ::= "table_1 " | "table_2 "

    condition ::= column "= " number

    number ::= "1 " | "2 "
"""
JSON = r"""
root   ::= object
value  ::= object | array | string | number | ("true" | "false" | "null") ws
object ::=
  "{" ws (
            string ":" ws value
    ("," ws string ":" ws value)*
  )? "}" ws
array  ::=
  "[" ws (
            value
    ("," ws value)*
  )? "]" ws
string ::=
  "\"" (
    [^"\\\x7F\x00-\x1F] |
    "\\" (["\\bfnrt] | "u" [0-9a-fA-F]{4}) # escapes
  )* "\"" ws
number ::= ("-"? ([0-9] | [1-9] [0-9]{0,15})) ("." [0-9]+)? ([eE] [-+]? [0-9] [1-9]{0,15})? ws
ws ::= | " " | "\n" [ \t]{0,20}
"""
GRAMMARS: list[tuple[str, list[str], list[str]]] = [
    ('root ::= "a" | "b"', ["a", "b"], ["", "ab"]),
    ("root ::=", [""], ["a"]),
    ('root ::= "x"* [^"\\\\] # comment\n  | "y"{2,3} .?\n', ["xxa", "z", "yy", "yyy!"], ['"', "yyyyyy"]),
    (
        r'root ::= "\"\\\n\t\x41\u00e9\U0001F434" [\]\[\-^"]',
        ['"\\\n\tAé🐴]', '"\\\n\tAé🐴^'],
        ['"\\\n\tAé🐴x'],
    ),
    ("root ::= [-+] [a-] [+-]", ["-a+", "+--"], ["a--"]),
    ('root ::= "a" root | "b"', ["b", "aab"], ["a"]),
    ('root ::= root "a" | "b"', ["b", "baa"], ["a"]),
    ('root ::= ws* "c"\nws ::= " " ws |\n', ["c", "   c"], [" "]),
    ('root ::= a_b A-b\na_b ::= "1"\nA-b ::= "2"\na-b ::= "3"', ["12"], ["32"]),
    (SQL, ["SELECT col_1  from table_2  where col_2 = 1 "], ["SELECT col_3  from table_2  where col_2 = 1 "]),
    (
        JSON,
        ['{"a": [1, -2.5e3, null]}', "{\n  }", '{"\\u00e9":"x"}'],
        ["[]", "{a:1}", '{"a":"\n"}', '{"a":01}'],
    ),
]


class TestFromGrammar:
    @pytest.mark.parametrize(("text", "right", "wrong"), GRAMMARS)
    def test_it_means_what_it_meant(self, text: str, right: list[str], wrong: list[str]) -> None:
        grammar = from_grammar(text, "guided_grammar")
        assert [answer for answer in right if not accepts(grammar, answer)] == []
        assert [answer for answer in wrong if accepts(grammar, answer)] == []

    @pytest.mark.parametrize("text", [entry[0] for entry in GRAMMARS])
    def test_what_is_written_is_llama_cpp_s_own_form(self, text: str) -> None:
        written = from_grammar(text, "p")
        assert re.fullmatch(r"root ::= .+\n(?:[A-Za-z0-9-]+ ::= .+\n)*", written)
        assert written.isprintable() or "\n" in written
        assert from_grammar(written, "p") == written

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ('x ::= "a"', "line 1, column 10: there is no rule named root"),
            ("root ::= a\nb ::= root", "line 1, column 10: there is no rule named a; there are root, b"),
            ('root ::= "a', "line 1, column 10: this literal is not closed"),
            ("root ::= [a", "line 1, column 10: this class is not closed"),
            ('root ::= ("a"', "line 1, column 10: this bracket is not closed"),
            ('root ::= "a")', "must stand here, not ')'"),
            ('root ::= "a" ; x', "must stand here, not '; x'"),
            ("root ::= * ", "must stand here, not '* '"),
            ('root ::= "a"\n"b" ::= "c"', "must stand here, not '::= \"c\"'"),
            (r'root ::= "\q"', r"line 1, column 11: \q is no escape; there are \n"),
            (r'root ::= "\x4"', r"line 1, column 11: \x is no escape"),
            (r"root ::= [\U00110000]", r"line 1, column 11: \U00110000 is beyond the last character"),
            (r'root ::= "\uD83D\uDC34"', "line 1, column 11: no answer can have the character U+D83D"),
            (r'root ::= "\x00"', "line 1, column 11: no answer can have the character U+0000"),
            ("root ::= [z-a]", "line 1, column 11: the range z-a runs backwards"),
            ("root ::= []", "line 1, column 10: no character that an answer can have is in this class"),
            ("root ::= [^]", "no character that an answer can have is in this class"),
            (r"root ::= [\uD800-\uDFFF]", "no character that an answer can have is in this class"),
            (r"root ::= [^\x00-\U0010FFFF]", "no character that an answer can have is in this class"),
            ('root ::= "a"{3,1}', "line 1, column 13: at least 3 and at most 1 times is never"),
            ('root ::= "a"{,3}', "line 1, column 13: a repetition is written {3}, {3,} or {3,5}"),
            ('root ::= "a"{1,2001}', "repeats something 2001 times; at most 2000"),
            ('root ::= "a"\nroot ::= "b"', "line 2, column 1: the rule 'root' is there already"),
            ("root ::= " + "(" * 90_000 + ")" * 90_000, "brackets can be nested 60 times at most"),
            ('root ::= a "x"\na ::= root | "y"', "rule 'root' begins with itself (root → a → root)"),
            ('x ::= "q"?\nroot ::= x root "a" | "b"', "rule 'root' begins with itself (root → root)"),
            ('root ::= "' + "a" * 200_000 + '"', "at most 200000 are taken"),
        ],
    )
    def test_what_is_wrong_and_where(self, text: str, message: str) -> None:
        with pytest.raises(InvalidRequest) as caught:
            from_grammar(text, "guided_grammar")
        assert caught.value.param == "guided_grammar"
        assert message in caught.value.message

    @pytest.mark.parametrize("token", ["<think>", "<[1000]>", "!<[2]>"])
    def test_tokens_of_a_model_are_refused(self, token: str) -> None:
        with pytest.raises(UnsupportedParameter, match="tokens of the model cannot be named"):
            from_grammar(f"root ::= {token}", "p")

    @pytest.mark.parametrize("seed", range(20))
    def test_any_text_is_taken_or_refused(self, seed: int) -> None:
        source = random.Random(seed)
        for _ in range(20):
            try:
                written = from_grammar(damaged(source.choice(GRAMMARS)[0], source), "p")
            except InvalidRequest:
                continue
            gbnf.read(written, "p")


def damaged(text: str, source: random.Random) -> str:
    characters = list(text)
    for _ in range(source.randrange(1, 5)):
        at = source.randrange(len(characters) + 1)
        characters[at : at + source.randrange(4)] = source.choice('|()[]{}*+?"\\-^.~:%/# \n<a0')
    return "".join(characters)
