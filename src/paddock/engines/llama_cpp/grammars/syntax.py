"""What a grammar says, whichever notation it came in.

The functions in lower case build nodes in their simplest form; the classes hold what they are given.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import TypeAlias

from paddock.engines.llama_cpp.grammars.characters import Ranges


@dataclass(frozen=True, slots=True)
class Literal:
    text: str


@dataclass(frozen=True, slots=True)
class CharacterClass:
    """One character out of the ranges, which are never empty."""

    ranges: Ranges


@dataclass(frozen=True, slots=True)
class Reference:
    name: str


@dataclass(frozen=True, slots=True)
class Sequence:
    """All parts, one after the other. Without parts it is the empty text."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Alternatives:
    """One of at least two options."""

    options: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Repetition:
    """`body` at least `least` times and at most `most` times; without a bound where `most` is None."""

    body: Node
    least: int
    most: int | None


Node: TypeAlias = Literal | CharacterClass | Reference | Sequence | Alternatives | Repetition

EMPTY = Sequence(())


@dataclass(frozen=True, slots=True)
class Grammar:
    """Rules by name, every reference defined, and the name of the one that the whole answer must match."""

    rules: dict[str, Node]
    root: str


def sequence(nodes: Iterable[Node]) -> Node:
    parts: list[Node] = []
    for is_literal, group in groupby(_flat(nodes), lambda part: isinstance(part, Literal)):
        if is_literal:
            text = "".join(part.text for part in group if isinstance(part, Literal))
            parts += [Literal(text)] if text else []
        else:
            parts += group
    return parts[0] if len(parts) == 1 else Sequence(tuple(parts))


def alternatives(nodes: Iterable[Node]) -> Node:
    """One of `nodes`, of which there is at least one; what is there twice counts once."""
    options: dict[Node, None] = {}
    for node in nodes:
        options |= dict.fromkeys(node.options if isinstance(node, Alternatives) else (node,))
    return next(iter(options)) if len(options) == 1 else Alternatives(tuple(options))


def repetition(body: Node, least: int, most: int | None) -> Node:
    if most == 0 or body == EMPTY:
        return EMPTY
    return body if least == most == 1 else Repetition(body, least, most)


def one_of(ranges: Ranges) -> Node:
    """A character out of the ranges, which are not empty."""
    (first, last), *others = ranges
    return CharacterClass(ranges) if others or first < last else Literal(chr(first))


def optional(body: Node) -> Node:
    return repetition(body, 0, 1)


def parts_of(node: Node) -> tuple[Node, ...]:
    """The node as the parts of a sequence."""
    return node.parts if isinstance(node, Sequence) else (node,)


def options_of(node: Node) -> tuple[Node, ...]:
    """The node as a list of alternatives."""
    return node.options if isinstance(node, Alternatives) else (node,)


def children(node: Node) -> tuple[Node, ...]:
    match node:
        case Sequence(parts):
            return parts
        case Alternatives(options):
            return options
        case Repetition(body):
            return (body,)
    return ()


def references(node: Node) -> Iterator[str]:
    """The names of all rules that the node refers to, in order."""
    if isinstance(node, Reference):
        yield node.name
    for child in children(node):
        yield from references(child)


def _flat(nodes: Iterable[Node]) -> Iterator[Node]:
    for node in nodes:
        yield from parts_of(node)
