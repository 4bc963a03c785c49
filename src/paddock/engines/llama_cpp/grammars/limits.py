"""What llama.cpp cannot take, found before it is asked.

There it would be a bare `failed to parse grammar`, or the end of the process and of all requests in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field

from paddock.engines.llama_cpp.grammars.emptiness import empty_rules, may_be_empty
from paddock.engines.llama_cpp.grammars.normal import MOST_REPETITIONS
from paddock.engines.llama_cpp.grammars.syntax import (
    Alternatives,
    CharacterClass,
    Grammar,
    Literal,
    Node,
    Reference,
    Repetition,
    Sequence,
    children,
)
from paddock.errors import InvalidRequest

MOST_TEXT = 200_000
"""Characters in which a grammar, a regular expression or the choices may be written."""
MOST_RULES = 4000
MOST_ELEMENTS = 400_000
"""llama.cpp writes every repetition out, and walks through all of it."""
MOST_AT_ONCE = 4000
"""Places of the grammar that the next character may belong to: llama.cpp compares each with every other."""
MOST_STEPS = 4_000_000
"""Rules that llama.cpp looks at in its own search for left recursion, which sees some of them many times."""
MOST_NESTED_REPETITIONS = 10_000

WIDE = 16
"""Ranges beyond which a class is written as a rule, so that repetitions do not copy it."""


def check(grammar: Grammar, param: str) -> None:
    """Refuses a normalized grammar that llama.cpp would refuse, or that would keep it busy for too long.

    Raises:
        InvalidRequest: `param` names the field.
    """
    if len(grammar.rules) > MOST_RULES:
        raise InvalidRequest(
            f"{param} has {len(grammar.rules)} rules; at most {MOST_RULES} are taken", param=param
        )
    empties = empty_rules(grammar.rules)
    size = _Size(param, empties)
    for name in _callees_first(grammar.rules, empties, param):
        size.reach[name] = size.measure(grammar.rules[name])
        _check_nesting(grammar.rules[name], param)
    if size.elements > MOST_ELEMENTS or size.steps > MOST_STEPS:
        raise InvalidRequest(
            f"{param} is too large: with its repetitions written out it has {size.elements} characters and"
            f" references; at most {MOST_ELEMENTS} are taken, and fewer where many rules begin alike",
            param=param,
        )


@dataclass(slots=True)
class _Size:
    """Adds up what llama.cpp makes of each node.

    Attributes:
        elements: the entries of its rules.
        steps: the rules that its search for left recursion visits, at most.
        reach: rule → the places in it that its first character may belong to.
    """

    param: str
    empties: Set[str]
    elements: int = 0
    steps: int = 0
    reach: dict[str, int] = field(default_factory=dict)

    def measure(self, node: Node) -> int:
        """Counts the node in; returns the places in it that its first character may belong to."""
        result = self._bounded(self._measure(node))
        self.steps += result
        return result

    def _bounded(self, reach: int) -> int:
        if reach > MOST_AT_ONCE:
            raise InvalidRequest(
                f"{self.param} has a place where the next character may belong to {reach} different parts of"
                f" it; at most {MOST_AT_ONCE} are taken. Too much of it is optional, or begins alike",
                param=self.param,
            )
        return reach

    def _measure(self, node: Node) -> int:
        match node:
            case Literal(text):
                self.elements += len(text)
                return 1
            case CharacterClass(ranges):
                self.elements += 2 * len(ranges)
                return 1
            case Reference(name):
                self.elements += 1
                return 1 + self.reach[name] if name in self.reach else 1
            case Sequence(parts):
                return self._measure_sequence(parts)
            case Alternatives(options):
                self.elements += len(options) + 2
                return 1 + sum(self.measure(option) for option in options)
            case Repetition(body, least, most):
                return self._measure_repetition(body, least, most)

    def _measure_sequence(self, parts: tuple[Node, ...]) -> int:
        reach = 0
        for part in reversed(parts):
            # Each part is where the next character belongs once those before it are done.
            reach = self._bounded(self.measure(part) + (reach if may_be_empty(part, self.empties) else 0))
        return reach

    def _measure_repetition(self, body: Node, least: int, most: int | None) -> int:
        if max(least, most or 0) > MOST_REPETITIONS:
            raise InvalidRequest(
                f"{self.param} repeats something {max(least, most or 0)} times;"
                f" at most {MOST_REPETITIONS} repetitions are taken, or any number without an upper bound",
                param=self.param,
            )
        before = self.elements
        reach = self.measure(body)
        alone = isinstance(body, Literal) or (isinstance(body, CharacterClass) and len(body.ranges) <= WIDE)
        copied = self.elements - before if alone else 1
        optional = 1 if most is None else most - least
        self.elements += copied * least + (copied + 3) * optional
        self.steps += reach * optional
        return 1 + reach * ((most or least + 1) if may_be_empty(body, self.empties) else 1)


def _check_nesting(node: Node, param: str) -> int:
    """How often the innermost part of nested repetitions is repeated."""
    inner = max((_check_nesting(child, param) for child in children(node)), default=1)
    if not isinstance(node, Repetition):
        return inner
    times = inner * max(node.least, node.most or 1)
    if times > MOST_NESTED_REPETITIONS:
        raise InvalidRequest(
            f"{param} has repetitions within repetitions that come to {times} times;"
            f" at most {MOST_NESTED_REPETITIONS} are taken",
            param=param,
        )
    return times


def _callees_first(rules: Mapping[str, Node], empties: Set[str], param: str) -> list[str]:
    """The rules in such an order that each follows those that it may begin with.

    Raises:
        InvalidRequest: there is none, because a rule may begin with itself.
    """
    order: list[str] = []
    done: set[str] = set()
    for start in rules:
        path = {start: _beginnings(rules[start], empties)} if start not in done else {}
        while path:
            name = next(reversed(path))
            following = next(path[name], None)
            if following is None:
                path.popitem()
                done.add(name)
                order.append(name)
            elif following in path:
                names = list(path)
                circle = " → ".join([*names[names.index(following) :], following])
                raise InvalidRequest(
                    f"{param}: rule {following!r} begins with itself ({circle}), which llama.cpp cannot"
                    " follow; begin with what comes first and put the rule behind it, or use * or +",
                    param=param,
                )
            elif following not in done:
                path[following] = _beginnings(rules[following], empties)
    return order


def _beginnings(node: Node, empties: Set[str]) -> Iterator[str]:
    """The rules that the node may begin with."""
    if isinstance(node, Reference):
        yield node.name
    for child in children(node):
        yield from _beginnings(child, empties)
        if isinstance(node, Sequence) and not may_be_empty(child, empties):
            return
