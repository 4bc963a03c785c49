"""GBNF as people write it, read by llama.cpp's rules (grammars/README.md there) and two that it lacks.

Names may have underscores, and a rule may go on over several lines, as in the dialect that vLLM takes.
"""

from __future__ import annotations

import re

from paddock.engines.llama_cpp.grammars.characters import (
    LAST,
    WRITABLE,
    complement,
    intersection,
    ranges,
    writable,
)
from paddock.engines.llama_cpp.grammars.scanner import MOST_NESTED, Scanner
from paddock.engines.llama_cpp.grammars.syntax import (
    Grammar,
    Literal,
    Node,
    Reference,
    alternatives,
    one_of,
    repetition,
    sequence,
)

_SPACE = re.compile(r"(?:[ \t\r\n]++|#[^\r\n]*+)*+")
_NAME = re.compile(r"[A-Za-z0-9_-]++")
_DEFINES = re.compile(f"{_NAME.pattern}{_SPACE.pattern}::=")
_COUNTS = re.compile(r"\{\s*(\d{1,9})\s*(?:(,)\s*(\d{1,9})?\s*)?\}")
_ESCAPES = {"t": "\t", "r": "\r", "n": "\n", "\\": "\\", '"': '"', "[": "[", "]": "]", "-": "-"}
_HEX_DIGITS = {"x": 2, "u": 4, "U": 8}
_SIGNS: dict[str, tuple[int, int | None]] = {"*": (0, None), "+": (1, None), "?": (0, 1)}


def read(text: str, param: str) -> Grammar:
    """The grammar that the text describes; its root is `root`.

    Raises:
        InvalidRequest: it is not GBNF, lacks a rule, or has one that nothing matches.
        UnsupportedParameter: it refers to the tokens of a model.
    """
    return _Reader(text, param).grammar()


class _Reader(Scanner):
    def __init__(self, text: str, param: str) -> None:
        super().__init__(text, param)
        self._at = 0
        self._used: dict[str, int] = {}

    def grammar(self) -> Grammar:
        rules: dict[str, Node] = {}
        self._skip_space()
        while self._at < len(self.text):
            start = self._at
            if not _DEFINES.match(self.text, start):
                raise self.invalid(f"a rule like `name ::= ...` must start here, not {self._found()}", start)
            name = self._word()
            self._at = self.text.index("::=", self._at) + 3
            if name in rules:
                raise self.invalid(f"the rule {name!r} is there already", start)
            rules[name] = self._alternatives(0)
        if "root" not in rules:
            raise self.invalid("there is no rule named root, with which the answer starts", len(self.text))
        for name, at in self._used.items():
            if name not in rules:
                raise self.invalid(f"there is no rule named {name}; there are {', '.join(rules)[:200]}", at)
        return Grammar(rules, "root")

    def _alternatives(self, depth: int) -> Node:
        options = [self._sequence(depth)]
        while self._next() == "|":
            self._at += 1
            options.append(self._sequence(depth))
        return alternatives(options)

    def _sequence(self, depth: int) -> Node:
        parts: list[Node] = []
        self._skip_space()
        while self._next() not in ("", "|") and not _DEFINES.match(self.text, self._at):
            if self._next() == ")" and depth:
                break
            parts.append(self._repeated(self._item(depth)))
        return sequence(parts)

    def _repeated(self, body: Node) -> Node:
        self._skip_space()
        while (sign := self._next()) and sign in "*+?{":
            start = self._at
            if sign == "{":
                least, most = self._counts()
                self.check_repetition(least, most, start)
            else:
                least, most = _SIGNS[sign]
                self._at += 1
            body = repetition(body, least, most)
            self._skip_space()
        return body

    def _counts(self) -> tuple[int, int | None]:
        found = _COUNTS.match(self.text, self._at)
        if not found:
            raise self.invalid("a repetition is written {3}, {3,} or {3,5}", self._at)
        self._at = found.end()
        least = int(found[1])
        return least, int(found[3]) if found[3] else None if found[2] else least

    def _item(self, depth: int) -> Node:
        start = self._at
        sign = self._next()
        match sign:
            case '"':
                return self._literal()
            case "[":
                return self._class()
            case ".":
                self._at += 1
                return one_of(WRITABLE)
            case "(":
                return self._group(depth)
            case "<" | "!":
                raise self.unsupported("tokens of the model cannot be named; write their text", start)
        if not _NAME.match(self.text, start):
            raise self.invalid(
                f'a literal like "text", a class like [a-z], the name of a rule or a bracket must stand here,'
                f" not {self._found()}",
                start,
            )
        name = self._word()
        self._used.setdefault(name, start)
        return Reference(name)

    def _group(self, depth: int) -> Node:
        start = self._at
        if depth >= MOST_NESTED:
            raise self.invalid(f"brackets can be nested {MOST_NESTED} times at most", start)
        self._at += 1
        inner = self._alternatives(depth + 1)
        if self._next() != ")":
            raise self.invalid("this bracket is not closed", start)
        self._at += 1
        return inner

    def _literal(self) -> Node:
        start = self._at
        self._at += 1
        codes: list[str] = []
        while self._next() != '"':
            at = self._at
            character = chr(self._character(start, "literal"))
            if not writable(character):
                raise self.invalid(f"no answer can have the character U+{ord(character):04X}", at)
            codes.append(character)
        self._at += 1
        return sequence([Literal("".join(codes))])

    def _class(self) -> Node:
        start = self._at
        negated = self.text.startswith("[^", start)
        self._at += 2 if negated else 1
        pairs: list[tuple[int, int]] = []
        while self._next() != "]":
            at = self._at
            first = last = self._character(start, "class")
            if self._next() == "-" and not self.text.startswith("-]", self._at):
                self._at += 1
                last = self._character(start, "class")
            if last < first:
                raise self.invalid(f"the range {self.text[at : self._at]} runs backwards", at)
            pairs.append((first, last))
        self._at += 1
        found = intersection(complement(ranges(pairs)) if negated else ranges(pairs), WRITABLE)
        if not pairs or not found:
            raise self.invalid("no character that an answer can have is in this class", start)
        return one_of(found)

    def _character(self, opened: int, what: str) -> int:
        """The code point of the next character or escape."""
        at = self._at
        if at >= len(self.text):
            raise self.invalid(f"this {what} is not closed", opened)
        self._at += 1
        if self.text[at] != "\\":
            return ord(self.text[at])
        letter = self._next()
        self._at += 1
        if letter in _ESCAPES and letter:
            return ord(_ESCAPES[letter])
        digits = _HEX_DIGITS.get(letter, 0)
        found = re.compile(f"[0-9A-Fa-f]{{{digits}}}").match(self.text, self._at) if digits else None
        if not found:
            known = r"\n \r \t \\ \" \[ \] \- \x41 \u0041 \U00000041"
            raise self.invalid(f"{self.text[at : at + 2]} is no escape; there are {known}", at)
        self._at = found.end()
        code = int(found[0], 16)
        if code > LAST:
            raise self.invalid(f"{self.text[at : self._at]} is beyond the last character, \\U0010FFFF", at)
        return code

    def _word(self) -> str:
        found = _NAME.match(self.text, self._at)
        assert found
        self._at = found.end()
        return found[0]

    def _next(self) -> str:
        return self.text[self._at : self._at + 1]

    def _found(self) -> str:
        return repr(self.text[self._at : self._at + 20].split("\n")[0])

    def _skip_space(self) -> None:
        found = _SPACE.match(self.text, self._at)
        self._at = found.end() if found else self._at
