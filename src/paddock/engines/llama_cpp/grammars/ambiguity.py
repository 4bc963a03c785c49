"""Grammars that can be read in too many ways: rewritten so that there is one, where that can be done."""

from __future__ import annotations

from collections import defaultdict, deque
from itertools import chain
from itertools import count as count_from

from paddock.engines.llama_cpp.grammars.characters import ranges
from paddock.engines.llama_cpp.grammars.normal import needed
from paddock.engines.llama_cpp.grammars.readings import Readings, Stack, State, count
from paddock.engines.llama_cpp.grammars.syntax import (
    EMPTY,
    Grammar,
    Node,
    Reference,
    alternatives,
    one_of,
    optional,
    references,
    sequence,
)
from paddock.errors import InvalidRequest

TOKEN = 16
"""Characters of a long token; few have more that a grammar lets begin alike."""
MOST = 10_000
"""Ways to read a token. A hundred tokens of a vocabulary may share a long beginning: a second's work."""
_MOST_STATES = 1000
_MOST_STACKS = 200
"""Ways to read a text that an automaton can be made of in good time."""
_SEARCH = 20_000
"""Steps in search of a place that can be read in many ways: some tenth of a second."""
_SEARCH_RULES = 5 * _SEARCH
_CONSTRUCTION = 40 * _SEARCH


def unambiguous(grammar: Grammar, param: str) -> Grammar:
    """The grammar with the rules that can be read in too many ways as automata, which read in one way only.

    Those that lead back to themselves cannot be; neither are those that would become too large.

    Raises:
        InvalidRequest: what is left would keep llama.cpp busy for too long; `param` names the field.
    """
    if _ways(Readings(grammar.rules, _SEARCH), grammar.root) < MOST:
        return grammar
    recursive = _recursive(grammar)
    search = Readings(grammar.rules, _SEARCH_RULES)
    construction = Readings(grammar.rules, _CONSTRUCTION)
    rules = dict(grammar.rules)
    for name in needed(grammar):
        if search.budget <= 0 or construction.budget <= 0:
            break
        if name not in recursive and _ways(search, name) >= MOST:
            rules |= _automaton(construction, name)
    grammar = Grammar(rules, grammar.root)
    ways = _ways(Readings(rules, _SEARCH), grammar.root)
    if ways >= MOST:
        raise InvalidRequest(
            f"{param} is too ambiguous: there are {ways} ways or more to read {TOKEN} characters, and all are"
            f" followed; at most {MOST} are taken. Let alternatives begin with different characters, and put"
            " something between repetitions that can follow each other",
            param=param,
        )
    return Grammar({name: rules[name] for name in needed(grammar)}, grammar.root)


def _ways(readings: Readings, rule: str) -> int:
    """The most ways to read some characters from anywhere in the rule, as far as the budget goes."""
    start = readings.start(rule)
    largest = count(readings, start, None, TOKEN, MOST)
    seen = {frozenset(start)}
    waiting = deque([start])
    while waiting and readings.budget > 0 and largest < MOST:
        for first, _, stacks in readings.pieces(waiting.popleft()):
            following = _after(readings, stacks)
            if frozenset(following) not in seen:
                seen.add(frozenset(following))
                waiting.append(following)
                for character in (first, None):
                    largest = max(largest, count(readings, following, character, TOKEN, MOST))
    return largest


def _automaton(readings: Readings, name: str) -> dict[str, Node]:
    """The rule with one rule for each state that reading it can be in; empty if there are too many.

    The budget is for all of it.
    """
    states: dict[frozenset[Stack], str] = {}
    others = (f"{name} {number}" for number in count_from(2))
    names = chain([name], (other for other in others if other not in readings.rules))

    def rule_of(state: State) -> str:
        key = frozenset(state)
        if key not in states:
            states[key] = next(names)
            waiting.append(state)
        return states[key]

    waiting: deque[State] = deque()
    rule_of(readings.start(name))
    rules: dict[str, Node] = {}
    while waiting:
        state = waiting.popleft()
        if len(states) > _MOST_STATES or len(state) > _MOST_STACKS:
            return {}
        ways: dict[str, list[tuple[int, int]]] = {}
        for first, last, stacks in readings.pieces(state):
            ways.setdefault(rule_of(_after(readings, stacks)), []).append((first, last))
        if readings.budget <= 0:
            return {}
        node = (
            alternatives(
                sequence([one_of(ranges(pairs)), Reference(following)]) for following, pairs in ways.items()
            )
            if ways
            else EMPTY
        )
        rules[states[frozenset(state)]] = optional(node) if () in state else node
    return rules


def _after(readings: Readings, stacks: tuple[Stack, ...]) -> State:
    found: dict[Stack, None] = {}
    for stack in stacks:
        if readings.budget > 0:
            found |= dict.fromkeys(readings.after(stack))
    return tuple(found)


def _recursive(grammar: Grammar) -> set[str]:
    """The rules that lead to a rule that leads back to itself."""
    users: defaultdict[str, set[str]] = defaultdict(set)
    uses = {name: set(references(node)) for name, node in grammar.rules.items()}
    for name, used in uses.items():
        for other in used:
            users[other].add(name)
    ready = [name for name, used in uses.items() if not used]
    finite: set[str] = set()
    while ready:
        name = ready.pop()
        finite.add(name)
        for user in users[name]:
            uses[user].discard(name)
            if not uses[user]:
                ready.append(user)
    return set(grammar.rules) - finite
