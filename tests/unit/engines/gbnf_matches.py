"""Whether a text matches GBNF: slow and plain, for tests."""

from __future__ import annotations

import re
from collections.abc import Iterator

from paddock.engines.llama_cpp.grammars import gbnf
from paddock.engines.llama_cpp.grammars.syntax import (
    Alternatives,
    CharacterClass,
    Grammar,
    Literal,
    Node,
    Reference,
    Repetition,
    Sequence,
)

LINE = re.compile(r"[A-Za-z0-9-]+ ::= [^\n]+\n")
"""How every rule must be written for llama.cpp; all but this the reader below is more lenient about."""


def read(text: str) -> Grammar:
    assert re.fullmatch(f"(?:{LINE.pattern})+", text), text
    return gbnf.read(text, "grammar")


def matches(written: str | Grammar, text: str) -> bool:
    grammar = written if isinstance(written, Grammar) else read(written)
    return len(text) in _Match(grammar, text).ends(grammar.rules[grammar.root], 0)


class _Match:
    def __init__(self, grammar: Grammar, text: str) -> None:
        self._rules = grammar.rules
        self._text = text
        self._known: dict[tuple[int, int], frozenset[int]] = {}

    def ends(self, node: Node, start: int) -> frozenset[int]:
        """Where what matches the node from `start` on may end."""
        key = (id(node), start)
        if key not in self._known:
            self._known[key] = frozenset(self._ends(node, start))
        return self._known[key]

    def _ends(self, node: Node, start: int) -> Iterator[int]:
        match node:
            case Literal(text):
                if self._text.startswith(text, start):
                    yield start + len(text)
            case CharacterClass(ranges):
                if start < len(self._text) and any(a <= ord(self._text[start]) <= b for a, b in ranges):
                    yield start + 1
            case Reference(name):
                yield from self.ends(self._rules[name], start)
            case Alternatives(options):
                for option in options:
                    yield from self.ends(option, start)
            case Sequence(parts):
                yield from self._all(parts, start)
            case Repetition(body, least, most):
                yield from self._repeated(body, least, most, start)

    def _all(self, parts: tuple[Node, ...], start: int) -> frozenset[int]:
        places = frozenset([start])
        for part in parts:
            places = frozenset(end for place in places for end in self.ends(part, place))
        return places

    def _repeated(self, body: Node, least: int, most: int | None, start: int) -> Iterator[int]:
        places = frozenset([start])
        seen: set[frozenset[int]] = set()
        for times in range(len(self._text) + least + 2 if most is None else most + 1):
            if times >= least:
                yield from places
                if places in seen:
                    return
                seen.add(places)
            places = self._all((body,), start) if not times else self._next(body, places)

    def _next(self, body: Node, places: frozenset[int]) -> frozenset[int]:
        return frozenset(end for place in places for end in self.ends(body, place))
