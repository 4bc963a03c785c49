"""Lark's notation for grammars, by the "Grammar Reference" at lark-parser.readthedocs.io.

What it says about the parse tree (aliases, `?`, `!` and `_` before names) and about choosing between readings
(priorities) has no effect on which texts match, and is read over.
"""

from __future__ import annotations

import ast
import re

from paddock.engines.llama_cpp.grammars.characters import any_case, characters, ranges, writable
from paddock.engines.llama_cpp.grammars.lark_terminals import COMMON
from paddock.engines.llama_cpp.grammars.lark_tokens import Token, tokens
from paddock.engines.llama_cpp.grammars.regex import translate
from paddock.engines.llama_cpp.grammars.scanner import MOST_NESTED, Scanner
from paddock.engines.llama_cpp.grammars.syntax import (
    EMPTY,
    Grammar,
    Literal,
    Node,
    Reference,
    alternatives,
    one_of,
    optional,
    repetition,
    sequence,
)

_IGNORED = "%ignore"
_ROOT = "%root"
_FLAGS = {"i": re.IGNORECASE, "m": re.MULTILINE, "s": re.DOTALL, "x": re.VERBOSE}
_COUNTS: dict[str, tuple[int, int | None]] = {"*": (0, None), "+": (1, None), "?": (0, 1)}
_ESCAPE = re.compile(r"\\(?:x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|.)")
_KEPT_ESCAPES = {"\\n", "\\r", "\\t", "\\f"}


def read(text: str, param: str) -> Grammar:
    """The grammar that the text describes, which starts at the rule `start`.

    Text that is ignored may stand before and after every string, range, regular expression and terminal of a
    rule. Two terminals that would run into one without it may do so.

    Raises:
        InvalidRequest: it is not Lark's notation, or lacks a rule or terminal.
        UnsupportedParameter: it uses what is not offered here, such as templates.
    """
    return _Reader(text, param).grammar()


class _Reader(Scanner):
    def __init__(self, text: str, param: str) -> None:
        super().__init__(text, param)
        self._tokens = tokens(self)
        self._at = 0
        self._rules: dict[str, Node] = {}
        self._ignored: list[Node] = []
        self._used: dict[str, int] = {}
        self._ignores = any(token.text == "%ignore" for token in self._tokens)
        self._in_terminal = False

    def grammar(self) -> Grammar:
        while self._next.kind != "end":
            if self._next.kind == "directive":
                self._directive()
            elif self._at_definition():
                self._definition()
            else:
                raise self.invalid(
                    f"a rule like `name: ...` must start here, not {self._next.text!r}", self._next.at
                )
        if "start" not in self._rules:
            raise self.invalid("there is no rule named start, with which the answer starts", len(self.text))
        for name, at in self._used.items():
            if name not in self._rules:
                hint = f"; `%import common.{name}` would bring it" if name in COMMON else ""
                kind = "terminal" if name.isupper() else "rule"
                raise self.invalid(f"there is no {kind} named {name}{hint}", at)
        rules = {_ROOT: sequence([self._between(), Reference("start")]), **self._rules}
        if self._ignored:
            rules[_IGNORED] = repetition(alternatives(self._ignored), 0, None)
        return Grammar(rules, _ROOT)

    def _between(self) -> Node:
        return Reference(_IGNORED) if self._ignores else EMPTY

    def _directive(self) -> None:
        directive = self._take()
        if directive.text == "%ignore":
            self._in_terminal = True
            self._ignored.append(self._alternatives(0))
        elif directive.text == "%import":
            self._import()
        else:
            raise self.unsupported(
                f"{directive.text} is not taken, only %import of common terminals and %ignore", directive.at
            )

    def _import(self) -> None:
        if self._next.text != "common":
            raise self.unsupported("only terminals of `common` can be imported", self._next.at)
        self._take()
        if self._next.text == ".":
            self._take()
            found = name = self._terminal()
            if self._next.text == "->":
                self._take()
                name = self._terminal()
            self._define(name, self._common(found))
            return
        self._expect("(")
        while True:
            name = self._terminal()
            self._define(name, self._common(name))
            if self._next.text != ",":
                break
            self._take()
        self._expect(")")

    def _terminal(self) -> Token:
        token = self._take()
        if token.kind != "terminal":
            raise self.invalid(f"a terminal's name must stand here, not {token.text!r}", token.at)
        return token

    def _common(self, token: Token) -> Node:
        if token.text not in COMMON:
            raise self.unsupported(
                f"common.{token.text} is not known here; there are {', '.join(COMMON)}", token.at
            )
        return translate(COMMON[token.text], self.param)

    def _at_definition(self) -> bool:
        """Whether a rule or terminal is defined here: nothing else has a colon behind a name."""
        at = self._at
        if self._tokens[at].kind not in ("rule", "terminal"):
            return False
        following = self._tokens[at + 1]
        if following.text == ".":
            return [token.kind for token in self._tokens[at + 2 : at + 3]] == ["number"]
        return following.text == ":" or (following.text == "{" and self._defines_template(at + 2))

    def _defines_template(self, at: int) -> bool:
        while self._tokens[at].text not in ("}", ""):
            at += 1
        return self._tokens[at].text == "}" and self._tokens[at + 1].text == ":"

    def _definition(self) -> None:
        name = self._take()
        self._refuse_template()
        if self._next.text == ".":
            self._take()
            self._take()
        self._expect(":")
        self._in_terminal = name.kind == "terminal"
        self._define(name, self._alternatives(0))

    def _define(self, token: Token, node: Node) -> None:
        name = token.text.lstrip("?!")
        if name in self._rules:
            raise self.invalid(f"{name} is there already", token.at)
        self._rules[name] = node

    def _alternatives(self, depth: int) -> Node:
        options = [self._sequence(depth)]
        while self._next.text == "|":
            self._take()
            options.append(self._sequence(depth))
        return alternatives(options)

    def _sequence(self, depth: int) -> Node:
        parts: list[Node] = []
        while self._next.kind not in ("end", "directive") and self._next.text not in ("|", ")", "]", "->"):
            if self._at_definition():
                break
            parts.append(self._repeated(self._item(depth)))
        if self._next.text == "->":
            self._take()
            self._take()
        elif self._next.text in (")", "]") and not depth:
            raise self.invalid(f"{self._next.text!r} closes nothing", self._next.at)
        return sequence(parts)

    def _repeated(self, body: Node) -> Node:
        if self._next.text in _COUNTS:
            return repetition(body, *_COUNTS[self._take().text])
        if self._next.text != "~":
            return body
        self._take()
        at = self._next.at
        least = most = self._number()
        if self._next.text == "..":
            self._take()
            most = self._number()
        self.check_repetition(least, most, at)
        return repetition(body, least, most)

    def _number(self) -> int:
        token = self._take()
        if token.kind != "number" or not token.text.isdecimal() or len(token.text) > 9:
            raise self.invalid(f"a number of repetitions must stand here, not {token.text[:20]!r}", token.at)
        return int(token.text)

    def _item(self, depth: int) -> Node:
        token = self._take()
        if token.text in ("(", "["):
            return self._group(token, depth)
        if token.kind in ("rule", "terminal"):
            self._refuse_template()
            if self._in_terminal and token.kind == "rule":
                raise self.invalid(f"a terminal cannot be made of the rule {token.text!r}", token.at)
            self._used.setdefault(token.text, token.at)
            node: Node = Reference(token.text)
        elif token.kind == "string":
            node = self._string_or_range(token)
        elif token.kind == "regex":
            node = self._regex(token)
        else:
            raise self.invalid(
                f'a "string", a /regex/, a name or a bracket must stand here, not {token.text!r}',
                token.at,
            )
        if token.kind == "rule" or self._in_terminal:
            return node
        return sequence([node, self._between()])

    def _group(self, opened: Token, depth: int) -> Node:
        if depth >= MOST_NESTED:
            raise self.invalid(f"brackets can be nested {MOST_NESTED} times at most", opened.at)
        inner = self._alternatives(depth + 1)
        if self._take().text != (")" if opened.text == "(" else "]"):
            raise self.invalid(f"this {opened.text!r} is not closed", opened.at)
        return optional(inner) if opened.text == "[" else inner

    def _string_or_range(self, token: Token) -> Node:
        text = self._string(token)
        if self._next.text != "..":
            if token.text.endswith("i"):
                return sequence(one_of(any_case(characters(character))) for character in text)
            return sequence([Literal(text)])
        self._take()
        last = self._take()
        if last.kind != "string":
            raise self.invalid(f'a range is written "a".."z", not with {last.text!r}', last.at)
        ends = (text, self._string(last))
        if any(len(end) != 1 for end in ends) or ends[1] < ends[0]:
            raise self.invalid('a range is written "a".."z": two characters in order', token.at)
        return one_of(ranges([(ord(ends[0]), ord(ends[1]))]))

    def _string(self, token: Token) -> str:
        text = _ESCAPE.sub(_unescaped, token.text.removesuffix("i")[1:-1])
        if bad := next((character for character in text if not writable(character)), None):
            raise self.invalid(f"no answer can have the character U+{ord(bad):04X}", token.at)
        return text

    def _regex(self, token: Token) -> Node:
        pattern, _, letters = token.text[1:].rpartition("/")
        flags = 0
        for letter in letters:
            flags |= _FLAGS.get(letter, 0)
        where = f"{self.place(token.at)}: "
        return translate(pattern.replace("\\/", "/"), self.param, flags, where)

    def _refuse_template(self) -> None:
        if self._next.text == "{":
            raise self.unsupported("templates are not taken; write the rule out", self._next.at)

    def _expect(self, sign: str) -> None:
        token = self._take()
        if token.text != sign:
            raise self.invalid(f"{sign!r} must stand here, not {token.text!r}", token.at)

    @property
    def _next(self) -> Token:
        return self._tokens[self._at]

    def _take(self) -> Token:
        token = self._tokens[self._at]
        self._at = min(self._at + 1, len(self._tokens) - 1)
        return token


def _unescaped(escape: re.Match[str]) -> str:
    text = escape[0]
    if len(text) > 2 or text in _KEPT_ESCAPES:
        return str(ast.literal_eval(f'"{text}"'))
    # As in Lark: of other escapes only those of the quote and of the backslash lose it.
    return text[1] if text[1] in '"\\' else text
