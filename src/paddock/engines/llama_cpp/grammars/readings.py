"""In how many ways the beginning of an answer can be read by a grammar.

llama.cpp follows all of them, each as a stack of what must still come. To find that a token does not fit, it
tries every way of reading every beginning of the token, even where two come to the same: with two ways for
each letter, a token of twenty letters takes a million steps, and no other request gets an answer meanwhile.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TypeAlias

from paddock.engines.llama_cpp.grammars.characters import Ranges, characters
from paddock.engines.llama_cpp.grammars.syntax import (
    Alternatives,
    CharacterClass,
    Literal,
    Node,
    Reference,
    Repetition,
    Sequence,
)

Stack: TypeAlias = tuple[tuple[int, int], ...]
"""What must still come, the next thing last: (number of a node, how far it is done)."""
State: TypeAlias = tuple[Stack, ...]
"""All ways to read a text: different stacks, each with a character next, or empty at an end."""


_DEEP = 10
"""Things to come that take as long to copy as all else takes that is done with a stack."""
_LONGEST_WALK = 40_000
"""Stacks to look at while some characters are read."""


class Readings:
    """The ways of reading by one grammar's rules, none of which begins with itself.

    Attributes:
        budget: stacks and ranges that may still be looked at; the callers stop where none is left.
    """

    def __init__(self, rules: Mapping[str, Node], budget: int) -> None:
        self.rules = rules
        self._nodes: list[Node] = []
        self._numbers: dict[int, int] = {}
        self._closed: dict[Stack, State] = {}
        self.budget = budget

    def start(self, rule: str) -> State:
        return self._close(((self._number(self.rules[rule]), 0),))

    def after(self, stack: Stack) -> State:
        """The ways to go on when the character that is next in the stack has come."""
        number, done = stack[-1]
        node = self._nodes[number]
        if isinstance(node, Literal) and done + 1 < len(node.text):
            return ((*stack[:-1], (number, done + 1)),)
        following = self._close(stack[:-1])
        self.budget -= len(following)
        return following

    def wanted(self, stack: Stack) -> Ranges:
        """The characters that may come next, for a stack that is not empty."""
        number, done = stack[-1]
        node = self._nodes[number]
        if isinstance(node, Literal):
            return characters(node.text[done])
        assert isinstance(node, CharacterClass)
        return node.ranges

    def wanting(self, state: Iterable[Stack], character: int) -> list[Stack]:
        """The stacks that want the character next."""
        return [
            stack
            for stack in state
            if stack and any(first <= character <= last for first, last in self.wanted(stack))
        ]

    def pieces(self, state: Iterable[Stack]) -> list[tuple[int, int, tuple[Stack, ...]]]:
        """(first, last, stacks that want these characters), apart from each other and in order."""
        edges: list[tuple[int, int, Stack]] = []
        for stack in state:
            if stack:
                for first, last in self.wanted(stack):
                    edges += [(first, 1, stack), (last + 1, 0, stack)]
        self.budget -= len(edges)
        edges.sort(key=lambda edge: edge[:2])
        result: list[tuple[int, int, tuple[Stack, ...]]] = []
        active: dict[Stack, None] = {}
        before = 0
        for at, opens, stack in edges:
            if active and at > before:
                result.append((before, at - 1, tuple(active)))
                self.budget -= len(active)
            before = at
            if opens:
                active[stack] = None
            else:
                active.pop(stack)
        return result

    def _close(self, stack: Stack) -> State:
        known = self._closed.get(stack)
        if known is not None:
            return known
        found: dict[Stack, None] = {}
        seen = {stack}
        waiting = [stack]
        while waiting:
            top = waiting.pop()
            self.budget -= 1 + len(top) // _DEEP
            if not top or isinstance(self._nodes[top[-1][0]], Literal | CharacterClass):
                found[top] = None
                continue
            for following in self._expand(top):
                if following not in seen:
                    seen.add(following)
                    waiting.append(following)
        self._closed[stack] = tuple(found)
        return self._closed[stack]

    def _expand(self, stack: Stack) -> list[Stack]:
        number, done = stack[-1]
        rest = stack[:-1]
        match self._nodes[number]:
            case Reference(name):
                return [(*rest, (self._number(self.rules[name]), 0))]
            case Alternatives(options):
                return [(*rest, (self._number(option), 0)) for option in options]
            case Sequence(parts) if done < len(parts):
                later = () if done + 1 == len(parts) else ((number, done + 1),)
                return [(*rest, *later, (self._number(parts[done]), 0))]
            case Repetition(body, least, most):
                ends = [rest] if done >= least else []
                if most is not None and done == most:
                    return ends
                # llama.cpp has the copies that must come apart from those that may.
                counted = min(done, least) + 1 if most is None else done + 1
                return [*ends, (*rest, (number, counted), (self._number(body), 0))]
        return [rest]

    def _number(self, node: Node) -> int:
        number = self._numbers.setdefault(id(node), len(self._nodes))
        if number == len(self._nodes):
            self._nodes.append(node)
        return number


def count(readings: Readings, state: State, character: int | None, length: int, enough: int) -> int:
    """The ways to read `character` from the state on, up to `length` times in a row.

    Without a character, those are taken one by one that can be read in the most ways. The count stops where
    there are `enough`, and where it has become too long to go on: llama.cpp would have to do the same.
    """
    steps = 0
    ways = Counter(dict.fromkeys(state, 1))
    largest = 1
    for _ in range(length):
        stacks = _most_wanted(readings, ways) if character is None else readings.wanting(ways, character)
        following: Counter[Stack] = Counter()
        found = 0
        for stack in stacks:
            before = readings.budget
            for next_one in readings.after(stack):
                following[next_one] += ways[stack]
                found += ways[stack]
            steps += before - readings.budget
            if found >= enough or steps > _LONGEST_WALK:
                return max(found, enough)
        if not found:
            break
        ways = following
        largest = max(largest, found)
    return largest


def _most_wanted(readings: Readings, ways: Counter[Stack]) -> tuple[Stack, ...]:
    pieces = readings.pieces(ways)
    return max(
        (piece[2] for piece in pieces), key=lambda stacks: sum(ways[stack] for stack in stacks), default=()
    )
