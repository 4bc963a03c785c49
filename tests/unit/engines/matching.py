"""Whether a text is what a grammar in GBNF lets through."""

from __future__ import annotations

from functools import cache

from paddock.engines.llama_cpp.grammars import gbnf
from paddock.engines.llama_cpp.grammars.syntax import (
    Alternatives,
    CharacterClass,
    Literal,
    Node,
    Reference,
    Repetition,
    Sequence,
)


def accepts(grammar: str, text: str) -> bool:
    read = gbnf.read(grammar, "grammar")

    @cache
    def ends(node: Node, start: int) -> frozenset[int]:
        """Where a match of the node that begins at `start` may end."""
        match node:
            case Literal(wanted):
                return frozenset({start + len(wanted)} if text.startswith(wanted, start) else ())
            case CharacterClass(ranges):
                inside = start < len(text) and any(a <= ord(text[start]) <= b for a, b in ranges)
                return frozenset({start + 1} if inside else ())
            case Reference(name):
                return ends(read.rules[name], start)
            case Sequence(parts):
                found = frozenset({start})
                for part in parts:
                    found = frozenset(end for at in found for end in ends(part, at))
                return found
            case Alternatives(options):
                return frozenset(end for option in options for end in ends(option, start))
            case Repetition(body, least, most):
                reached, found = frozenset({start}), frozenset({start} if least == 0 else ())
                for times in range(1, (most if most is not None else len(text) + least) + 1):
                    reached = frozenset(end for at in reached for end in ends(body, at))
                    if times >= least:
                        if reached <= found:
                            break
                        found |= reached
                return found

    return len(text) in ends(Reference(read.root), 0)
