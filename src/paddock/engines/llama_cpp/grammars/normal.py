"""A grammar rewritten, without changing what it matches, into what llama.cpp takes and is quick at.

llama.cpp keeps a stack for each way in which the text so far can be read, and every one of them costs time at
every token. Alternatives that begin alike, and repetitions of what may be empty, multiply them; a rule that
begins with itself never comes to an end there.
"""

from __future__ import annotations

from collections.abc import Iterable, Set

from paddock.engines.llama_cpp.grammars.characters import characters, union
from paddock.engines.llama_cpp.grammars.emptiness import empty_rules, may_be_empty
from paddock.engines.llama_cpp.grammars.syntax import (
    EMPTY,
    Alternatives,
    CharacterClass,
    Grammar,
    Literal,
    Node,
    Reference,
    Repetition,
    Sequence,
    alternatives,
    optional,
    options_of,
    parts_of,
    references,
    repetition,
    sequence,
)

MOST_REPETITIONS = 2000
"""llama.cpp refuses more, and takes a larger upper bound for none at all."""


def normalized(grammar: Grammar) -> Grammar:
    """The rules that the root needs, in normal form."""
    rules = {name: _unrolled(name, grammar.rules[name]) for name in needed(grammar)}
    empties = empty_rules(rules)
    return Grammar({name: _normal(node, empties) for name, node in rules.items()}, grammar.root)


def needed(grammar: Grammar) -> Iterable[str]:
    """The rules that the root makes use of, itself first."""
    found = {grammar.root: None}
    waiting = [grammar.root]
    while waiting:
        for name in references(grammar.rules[waiting.pop()]):
            if name not in found:
                found[name] = None
                waiting.append(name)
    return found


def _unrolled(name: str, node: Node) -> Node:
    """A rule that begins with itself, or ends with itself or nothing, with a repetition in the place of that.

    `sum: product | sum "+" product` is `product ("+" product)*`, and `ws: "" | " " ws` is `" "*`.
    """
    itself = Reference(name)
    others = [option for option in options_of(node) if option != itself]
    first = [option for option in others if parts_of(option)[:1] == (itself,)]
    last = [option for option in others if parts_of(option)[-1:] == (itself,) and option not in first]
    ends = [option for option in others if option not in first and option not in last]
    if not first and ends != [EMPTY]:
        # Left as it is, so that alternatives that begin alike can be written as one.
        ends, last = ends + last, []
    if not ends:
        return node
    before = [sequence(parts_of(option)[:-1]) for option in last]
    behind = [sequence(parts_of(option)[1:]) for option in first]
    repeated = [repetition(alternatives(nodes), 0, None) if nodes else EMPTY for nodes in (before, behind)]
    return sequence((repeated[0], alternatives(ends), repeated[1]))


def _normal(node: Node, empties: Set[str]) -> Node:
    match node:
        case Sequence(parts):
            return sequence(_normal(part, empties) for part in parts)
        case Alternatives(options):
            return _factored(_normal(option, empties) for option in options)
        case Repetition(body, least, most):
            return _normal_repetition(_normal(body, empties), least, most, empties)
    return node


def _normal_repetition(body: Node, least: int, most: int | None, empties: Set[str]) -> Node:
    if may_be_empty(body, empties):
        if most == 1:
            return body
        least = 0
        body = _factored(options_of(_core(body, empties) if most is None else _never_empty(body)))
    while isinstance(body, Repetition):
        flat = _flat(body, least, most)
        if flat is None:
            break
        body, least, most = flat
    return repetition(body, least, most)


def _core(body: Node, empties: Set[str]) -> Node:
    """What matches the same as `body` once it is repeated without bound, and is not empty if possible."""
    match body:
        case Alternatives(options):
            return alternatives(_core(option, empties) for option in options)
        case Sequence(parts) if parts and may_be_empty(body, empties):
            return alternatives(_core(part, empties) for part in parts)
        case Repetition(inner, least) if least <= 1 or may_be_empty(inner, empties):
            return _core(inner, empties)
    return body


def _never_empty(body: Node) -> Node:
    """`body` less the empty text, where it is plain how to write that; otherwise `body`."""
    match body:
        case Alternatives(options):
            return alternatives(_never_empty(option) for option in options)
        case Repetition(inner, 0, most):
            return repetition(inner, 1, most)
    return body


def _flat(inner: Repetition, least: int, most: int | None) -> tuple[Node, int, int | None] | None:
    """One repetition for two nested ones, where no count between its bounds is missing."""
    fewest = inner.least * least
    if inner.most is None:
        largest = None
        gapless = least > 0 or inner.least <= 1
    else:
        largest = None if most is None else inner.most * most
        gapless = least == most or inner.least * (least + 1) <= inner.most * least + 1
    if not gapless or max(fewest, largest or 0) > MOST_REPETITIONS:
        return None
    return inner.body, fewest, largest


def _factored(options: Iterable[Node]) -> Node:
    """The alternatives with every common beginning written once, and single characters as one class."""
    groups: dict[Node, list[Node]] = {}
    for option in options_of(alternatives(options)):
        groups.setdefault(_head(option), []).append(option)
    single = [node for group in groups.values() if len(group) == 1 for node in group if _is_character(node)]
    result: list[Node] = []
    if len(single) > 1:
        result.append(CharacterClass(union(*map(_ranges, single))))
    else:
        single = []
    for group in groups.values():
        if len(group) > 1:
            result.append(_shared(group))
        elif group[0] not in single and group[0] != EMPTY:
            result.append(group[0])
    if not result:
        return EMPTY
    return optional(alternatives(result)) if EMPTY in groups else alternatives(result)


def _head(node: Node) -> Node:
    if node == EMPTY:
        return EMPTY
    first = parts_of(node)[0]
    return Literal(first.text[0]) if isinstance(first, Literal) else first


def _shared(group: list[Node]) -> Node:
    """Alternatives with the same first part, or whose first parts are literals with the same first letter."""
    first = parts_of(group[0])[0]
    if not isinstance(first, Literal):
        return sequence((first, _factored(sequence(parts_of(option)[1:]) for option in group)))
    texts = [part.text for option in group if isinstance(part := parts_of(option)[0], Literal)]
    prefix = _common_beginning(min(texts), max(texts))
    rests = (
        sequence((Literal(text[len(prefix) :]), *parts_of(option)[1:]))
        for text, option in zip(texts, group, strict=True)
    )
    return sequence((Literal(prefix), _factored(rests)))


def _common_beginning(one: str, other: str) -> str:
    length = next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), None)
    return one[: min(len(one), len(other)) if length is None else length]


def _is_character(node: Node) -> bool:
    return isinstance(node, CharacterClass) or (isinstance(node, Literal) and len(node.text) == 1)


def _ranges(node: Node) -> tuple[tuple[int, int], ...]:
    return node.ranges if isinstance(node, CharacterClass) else characters(getattr(node, "text", ""))
