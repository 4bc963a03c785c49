"""Grammars in Lark's notation as GBNF. What matches was compared with Lark itself when this was written."""

from __future__ import annotations

import pytest

from paddock.engines.llama_cpp.grammars.grammar import from_grammar
from paddock.engines.llama_cpp.grammars.lark_terminals import COMMON
from paddock.errors import InvalidRequest, UnsupportedParameter
from tests.unit.engines.matching import accepts

ARITHMETIC = """
    ?start: expression

    ?expression: term (("+" | "-") term)*

    ?term: factor (("*" | "/") factor)*

    ?factor: NUMBER
           | "-" factor
           | "(" expression ")"

    %import common.NUMBER
"""
CALCULATOR = """
    // Left-recursive, as such grammars are.
    ?start: sum
          | NAME "=" sum    -> assign_var

    ?sum: product
        | sum "+" product   -> add
        | sum "-" product   -> sub

    ?product: atom
        | product "*" atom  -> mul
        | product "/" atom  -> div

    ?atom: NUMBER           -> number
         | "-" atom         -> neg
         | NAME             -> var
         | "(" sum ")"

    %import common.CNAME -> NAME
    %import common.NUMBER
    %import common.WS_INLINE

    %ignore WS_INLINE
"""
JSON = r"""
    ?start: value
    ?value: object | array | string
          | SIGNED_NUMBER      -> number
          | "true"             -> true
          | "false" | "null"
    array  : "[" [value ("," value)*] "]"
    object : "{" [pair ("," pair)*] "}"
    pair   : string ":" value
    string : ESCAPED_STRING
    %import common (ESCAPED_STRING, SIGNED_NUMBER, WS)
    %ignore WS
"""
GRAMMARS: list[tuple[str, list[str], list[str]]] = [
    ('start: "John"', ["John"], ["", "Joh", "JohnJohn"]),
    ('start: "a"\n  | "b" // one\n  # another\n  | "c"', ["a", "b", "c"], ["ab"]),
    ('start: | "a"', ["", "a"], ["aa"]),
    ('start: ("a" | "b")+ ["c"] "d"?', ["a", "bab", "acd", "bd"], ["", "c", "acc"]),
    ('start: "a"~2 "b"~1..2', ["aab", "aabb"], ["ab", "aabbb"]),
    ('start: "Ab1"i "c"', ["ab1c", "AB1c"], ["ab1C"]),
    ('start: "a".."c" DIGIT\nDIGIT: "0".."9"', ["a0", "c9"], ["d0", "a"]),
    (r'start: "\"\n\t\x41\u0042\\\d"', ['"\n\tAB\\\\d'], ['"\n\tAB\\d']),
    (r"start: /[a-c]+\/x/i /./s", ["ABC/X\n"], ["d/x\n"]),
    ('!start.3: _a?\n_a: B -> b\nB.-1: "x"', ["", "x"], ["xx"]),
    ('start: a?\n?b: "b"\na: b', ["", "b"], ["bb"]),
    ('start: a b_c A B_C\na: "1"\nb_c: "2"\nA: "3"\nB_C: "4"', ["1234"], ["1"]),
    ('start: root ignore\nroot: "a"\nignore: "b"\n%ignore " "', ["ab", " a  b "], ["a"]),
    ('start: T "c"\nT: "a" "b"\n%ignore " "+\n%ignore /#[^\\n]*\\n/', ["abc", "ab #x\n c "], ["a bc"]),
    (ARITHMETIC, ["1", "-1.5*(2+3e4)/7", "((1))"], ["", "1+", "(1", "1 + 2"]),
    (CALCULATOR, ["x = 1 + 2", "1-2-3", " (a * -b)/ 3.5 ", "x"], ["=1", "1 2", "x = y = z", "1\n"]),
    (JSON, ['{"a": [1, -2.5e3, null],\n "b\\"" : {}}', "[]", " true "], ["{a:1}", "[1,]", "", '"a"b"']),
]


class TestFromGrammar:
    @pytest.mark.parametrize(("text", "right", "wrong"), GRAMMARS)
    def test_it_matches_what_lark_parses(self, text: str, right: list[str], wrong: list[str]) -> None:
        grammar = from_grammar(text, "guided_grammar")
        assert [answer for answer in right if not accepts(grammar, answer)] == []
        assert [answer for answer in wrong if accepts(grammar, answer)] == []

    @pytest.mark.parametrize(
        ("name", "right", "wrong"),
        [
            ("INT", ["07"], ["", "-1", "1.0"]),
            ("SIGNED_INT", ["-7", "+1", "3"], ["--1"]),
            ("DECIMAL", ["1.", ".5", "1.5"], [".", "1"]),
            ("FLOAT", ["1.5", "1e5", ".5E-3"], ["1", "e5"]),
            ("NUMBER", ["1", "1.5", "1e5"], ["-1", "1.5.2"]),
            ("SIGNED_NUMBER", ["-1", "+1.5e-3"], ["- 1"]),
            ("ESCAPED_STRING", ['"a\\"b\\\\"', '""'], ['"a"b"', '"\n"', '"\\"']),
            ("CNAME", ["_a1"], ["1a", ""]),
            ("WORD", ["aB"], ["a1"]),
            ("WS", [" \t\r\n\f"], ["", "a"]),
            ("WS_INLINE", [" \t"], ["\n"]),
            ("NEWLINE", ["\r\n\n"], ["\r"]),
            ("C_COMMENT", ["/**/", "/* a * / ** b\n */"], ["/* */ */", "/*/"]),
        ],
    )
    def test_common_terminals(self, name: str, right: list[str], wrong: list[str]) -> None:
        grammar = from_grammar(f"%import common.{name}\nstart: {name}", "p")
        assert [text for text in right if not accepts(grammar, text)] == []
        assert [text for text in wrong if accepts(grammar, text)] == []

    def test_all_common_terminals_can_be_imported(self) -> None:
        names = ", ".join(COMMON)
        assert accepts(from_grammar(f"%import common ({names})\nstart: LETTER DIGIT", "p"), "a1")

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("hello", "line 1, column 1: a rule like `name: ...` must start here, not 'hello'"),
            ('begin: "a"', "line 1, column 11: there is no rule named start, with which the answer starts"),
            ("start: a\n b: A", "line 1, column 8: there is no rule named a"),
            ("start: WS", "there is no terminal named WS; `%import common.WS` would bring it"),
            ("start: Name", "names are lower case for rules and UPPER CASE for terminals, not 'Name'"),
            ('start: "a', "line 1, column 8: this string is not closed on its line"),
            ("start: /a\n/", "line 1, column 8: this regular expression is not closed on its line"),
            ("start: /a(/", "line 1, column 8: missing ), unterminated subpattern at position 1"),
            ('start: ("a"', "line 1, column 8: this '(' is not closed"),
            ('start: ("a"]', "line 1, column 8: this '(' is not closed"),
            ('start: "a")', "line 1, column 11: ')' closes nothing"),
            ('start: "a" | * "b"', "must stand here, not '*'"),
            ('start: "a"~3..2', "line 1, column 12: at least 3 and at most 2 times is never"),
            ('start: "a"~x', "a number of repetitions must stand here, not 'x'"),
            ('start: "ab".."c"', 'a range is written "a".."z": two characters in order'),
            ('start: "c".."a"', 'a range is written "a".."z": two characters in order'),
            ('start: "a"..b', 'a range is written "a".."z", not with \'b\''),
            ('start: "a"\nstart: "b"', "line 2, column 1: start is there already"),
            ('start: A\nA: b\nb: "c"', "line 2, column 4: a terminal cannot be made of the rule 'b'"),
            (r'start: "\x00"', "line 1, column 8: no answer can have the character U+0000"),
            ("start: " + "(" * 100, "line 1, column 68: brackets can be nested 60 times at most"),
            ('start: a\na: b "x"\nb: a | "y"', "rule 'a' begins with itself (a → b → a)"),
            ('start: a\na: "x"? a "y" | "z"', "rule 'a' begins with itself (a → a)"),
            ("start: a\na: a", "rule 'a' begins with itself"),
            ("  \n", "must be a grammar, like `start: ...` in Lark's notation"),
        ],
    )
    def test_what_is_wrong_and_where(self, text: str, message: str) -> None:
        with pytest.raises(InvalidRequest) as caught:
            from_grammar(text, "guided_grammar")
        assert caught.value.param == "guided_grammar"
        assert caught.value.message.startswith("guided_grammar")
        assert message in caught.value.message

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("_sep{x, y}: x (y x)*\nstart: _sep{a, b}", "line 1, column 5: templates are not taken"),
            ('start: _sep{"a", "b"}', "line 1, column 12: templates are not taken"),
            ("%declare A\nstart: A", "line 1, column 1: %declare is not taken"),
            ("%import python.NAME\nstart: NAME", "only terminals of `common` can be imported"),
            ("%import common.UNKNOWN\nstart: UNKNOWN", "common.UNKNOWN is not known here; there are DIGIT"),
            ("start: /a(?=b)/", "line 1, column 8: looking ahead or back (position 1)"),
            ('%llguidance {}\nstart: "a"', "%llguidance is not taken"),
        ],
    )
    def test_what_is_not_offered(self, text: str, message: str) -> None:
        with pytest.raises(UnsupportedParameter) as caught:
            from_grammar(text, "guided_grammar")
        assert caught.value.param == "guided_grammar"
        assert message in caught.value.message
