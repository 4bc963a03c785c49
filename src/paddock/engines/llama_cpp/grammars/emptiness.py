"""Which parts of a grammar match the empty text."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Set

from paddock.engines.llama_cpp.grammars.syntax import (
    Alternatives,
    CharacterClass,
    Literal,
    Node,
    Reference,
    Repetition,
    Sequence,
    references,
)


def may_be_empty(node: Node, empties: Set[str]) -> bool:
    """Whether the node matches the empty text, given the names of the rules that do."""
    match node:
        case Literal(text):
            return not text
        case CharacterClass():
            return False
        case Reference(name):
            return name in empties
        case Sequence(parts):
            return all(may_be_empty(part, empties) for part in parts)
        case Alternatives(options):
            return any(may_be_empty(option, empties) for option in options)
        case Repetition(body, least):
            return least == 0 or may_be_empty(body, empties)


def empty_rules(rules: Mapping[str, Node]) -> Set[str]:
    """The names of the rules that match the empty text."""
    users: defaultdict[str, set[str]] = defaultdict(set)
    for name, node in rules.items():
        for used in references(node):
            users[used].add(name)
    found: set[str] = set()
    waiting = set(rules)
    while waiting:
        name = waiting.pop()
        if name not in found and may_be_empty(rules[name], found):
            found.add(name)
            waiting |= users[name]
    return found
