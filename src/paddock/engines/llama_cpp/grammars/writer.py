"""Grammars as GBNF text in the form that llama.cpp's parser takes."""

from __future__ import annotations

import re
from collections.abc import Set

from paddock.engines.llama_cpp.grammars.ambiguity import unambiguous
from paddock.engines.llama_cpp.grammars.emptiness import empty_rules, may_be_empty
from paddock.engines.llama_cpp.grammars.limits import WIDE, check
from paddock.engines.llama_cpp.grammars.normal import MOST_REPETITIONS, normalized
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
from paddock.errors import InvalidRequest

_IN_RULE, _IN_SEQUENCE, _REPEATED = range(3)
_ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\\": "\\\\"}


def write(grammar: Grammar, param: str) -> str:
    """The grammar as GBNF whose `root` matches what the grammar's root does.

    Raises:
        InvalidRequest: llama.cpp could not take it; `param` names the field that it came in.
    """
    try:
        normal = normalized(grammar)
        check(normal, param)
        normal = unambiguous(normal, param)
        return _Writer(normal).text()
    except RecursionError:
        raise InvalidRequest(f"{param} is nested too deeply", param=param) from None


class _Writer:
    def __init__(self, grammar: Grammar) -> None:
        self._grammar = grammar
        self._empties: Set[str] = empty_rules(grammar.rules)
        self._taken: set[str] = {"root"}
        self._names = {grammar.root: "root"}
        self._names |= {name: self._name(name) for name in grammar.rules if name != grammar.root}
        self._added: dict[Node, str] = {}
        self._lines: list[str] = []

    def text(self) -> str:
        for name, node in self._grammar.rules.items():
            self._lines.append(f"{self._names[name]} ::= {self._expression(node, _IN_RULE)}\n")
        return "".join(self._lines)

    def _name(self, wanted: str) -> str:
        name = base = re.sub("[^A-Za-z0-9]+", "-", wanted).strip("-") or "rule"
        number = 2
        while name in self._taken:
            name = f"{base}-{number}"
            number += 1
        self._taken.add(name)
        return name

    def _expression(self, node: Node, place: int) -> str:
        match node:
            case Literal(text):
                return '"' + "".join(_in_literal(character) for character in text) + '"'
            case CharacterClass(ranges):
                wide = len(ranges) > WIDE and place != _IN_RULE
                return self._rule_for(node, "characters") if wide else _class(node)
            case Reference(name):
                # In brackets llama.cpp does not see that it may be empty, which it would refuse to repeat.
                brackets = place == _REPEATED and name in self._empties
                return f"({self._names[name]})" if brackets else self._names[name]
            case Sequence(parts):
                text = " ".join(self._expression(part, _IN_SEQUENCE) for part in parts) or '""'
                return f"({text})" if place == _REPEATED else text
            case Alternatives(options):
                text = " | ".join(self._expression(option, _IN_SEQUENCE) for option in options)
                return text if place == _IN_RULE else f"({text})"
            case Repetition():
                text = self._repetition(node)
                return f"({text})" if place == _REPEATED else text

    def _repetition(self, node: Repetition) -> str:
        least, most = node.least, node.most
        if _made_rules(node.body) * max(least, most or 1) > MOST_REPETITIONS:
            # llama.cpp counts the rules that it makes for the brackets within, once for each repetition.
            body = self._rule_for(node.body, "repeated")
            body = f"({body})" if may_be_empty(node.body, self._empties) else body
        else:
            body = self._expression(node.body, _REPEATED)
        match least, most:
            case 0, None:
                return f"{body}*"
            case 1, None:
                return f"{body}+"
            case 0, 1:
                return f"{body}?"
        if most is None:
            return f"{body}{{{least},}}"
        return f"{body}{{{least}}}" if least == most else f"{body}{{{least},{most}}}"

    def _rule_for(self, node: Node, kind: str) -> str:
        if node not in self._added:
            self._added[node] = name = self._name(kind)
            self._lines.append(f"{name} ::= {self._expression(node, _IN_RULE)}\n")
        return self._added[node]


def _made_rules(node: Node) -> int:
    """The rules that llama.cpp makes up for the node's brackets and repetitions, counted as repeated."""
    match node:
        case Sequence(parts):
            return 1 + sum(map(_made_rules, parts))
        case Alternatives(options):
            return 1 + sum(map(_made_rules, options))
        case Repetition(body, least, most):
            return 1 + _made_rules(body) + (1 if most is None else most - least)
    return 1


def _class(node: CharacterClass) -> str:
    return "[" + "".join(_range(first, last) for first, last in node.ranges) + "]"


def _range(first: int, last: int) -> str:
    if first == last:
        return _in_class(first)
    return f"{_in_class(first)}{'-' if last > first + 1 else ''}{_in_class(last)}"


def _in_class(code: int) -> str:
    character = chr(code)
    return f"\\{character}" if character in "[]-" else _escaped(character) if character != "^" else "\\x5E"


def _in_literal(character: str) -> str:
    return '\\"' if character == '"' else _escaped(character)


def _escaped(character: str) -> str:
    if character.isprintable():
        return _ESCAPES.get(character, character)
    code = ord(character)
    if character in _ESCAPES:
        return _ESCAPES[character]
    return f"\\x{code:02X}" if code < 0x100 else f"\\u{code:04X}" if code < 0x10000 else f"\\U{code:08X}"
