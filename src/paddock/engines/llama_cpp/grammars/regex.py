"""Regular expressions as GBNF.

Python's own parser reads the pattern: what it accepts means here what it means there, and what it refuses is
refused in its words. \\d, \\s and \\w are ASCII's, as in vLLM.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable
from importlib import import_module
from threading import Lock
from typing import Any

from paddock.engines.llama_cpp.grammars.characters import (
    DIGIT,
    NEWLINE,
    SPACE,
    WORD,
    WRITABLE,
    Ranges,
    any_case,
    characters,
    complement,
    intersection,
    ranges,
    unicode_class,
    union,
)
from paddock.engines.llama_cpp.grammars.limits import MOST_TEXT
from paddock.engines.llama_cpp.grammars.syntax import (
    EMPTY,
    Grammar,
    Node,
    alternatives,
    one_of,
    repetition,
    sequence,
)
from paddock.engines.llama_cpp.grammars.writer import write
from paddock.errors import InvalidRequest, UnsupportedParameter

_parser: Any = import_module("re._parser")
_WARNINGS = Lock()
"""Filters of warnings are one list for all threads."""
_CLASSES = {"DIGIT": (r"\d", DIGIT), "SPACE": (r"\s", SPACE), "WORD": (r"\w", WORD)}
_REFUSED = {
    "ASSERT": (r"\(\?<?=", "looking ahead or back"),
    "ASSERT_NOT": (r"\(\?<?!", "looking ahead or back"),
    "FAILURE": (r"\(\?!", "looking ahead or back"),
    "GROUPREF": (r"\\[1-9]|\(\?P=", "a reference back to a group"),
    "GROUPREF_EXISTS": (r"\(\?\(", "a condition on a group"),
    "ATOMIC_GROUP": (r"\(\?>", "an atomic group"),
    "POSSESSIVE_REPEAT": (r"[*+?}]\+", "a possessive repetition"),
}
"""Parser's name → (how it is written, what it is)."""
_TOKEN = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\(\?P?<?[=!>(]|[*+?}]\+|.", re.DOTALL)


def from_regex(pattern: str, param: str) -> str:
    """GBNF that matches the texts that the whole pattern matches, in the syntax of Python's `re`.

    A lazy repetition matches what a greedy one does. ^ and $ are taken at the ends only.

    Raises:
        InvalidRequest: it is no regular expression, matches nothing, or is too large.
        UnsupportedParameter: it has something that no grammar can say.
    """
    return write(Grammar({"root": translate(pattern, param)}, "root"), param)


def translate(pattern: str, param: str, flags: int = 0, where: str = "") -> Node:
    """The pattern as a part of a grammar; `where` tells an error's reader where in `param` it stands.

    Raises:
        InvalidRequest: as for `from_regex`.
    """
    return _Translation(pattern, param, where).translate(flags)


class _Translation:
    def __init__(self, pattern: str, param: str, where: str) -> None:
        self._pattern = pattern
        self._param = param
        self._where = where

    def translate(self, flags: int) -> Node:
        if len(self._pattern) > MOST_TEXT:
            raise self._invalid(f"at most {MOST_TEXT} characters are taken")
        try:
            with _WARNINGS, warnings.catch_warnings():
                # Of patterns that may mean something else in a later Python.
                warnings.simplefilter("ignore")
                parsed = _parser.parse(self._pattern, flags)
            return self._sequence(parsed, parsed.state.flags, start=True, end=True)
        except re.error as error:
            place = "" if error.pos is None else f" at position {error.pos}"
            raise self._invalid(f"{error.msg}{place} of the regular expression") from None
        except OverflowError as error:
            raise self._invalid(str(error)) from None
        except RecursionError:
            raise self._invalid("the regular expression is nested too deeply") from None

    def _sequence(self, items: Iterable[Any], flags: int, start: bool, end: bool) -> Node:
        items = list(items)
        empty = [_name(op) == "AT" for op, _ in items]
        return sequence(
            self._node(op, value, flags, start and all(empty[:at]), end and all(empty[at + 1 :]))
            for at, (op, value) in enumerate(items)
        )

    def _node(self, op: Any, value: Any, flags: int, start: bool, end: bool) -> Node:
        match _name(op):
            case "LITERAL" | "NOT_LITERAL" | "IN" | "ANY":
                return self._character(_name(op), value, flags)
            case "BRANCH":
                return alternatives(self._sequence(branch, flags, start, end) for branch in value[1])
            case "SUBPATTERN":
                _, added, removed, inner = value
                return self._sequence(inner, (flags | added) & ~removed, start, end)
            case "MAX_REPEAT" | "MIN_REPEAT":
                least, most, inner = value
                most = None if most == _parser.MAXREPEAT else most
                once = most == 1
                return repetition(
                    self._sequence(inner, flags, start and once, end and once), int(least), most
                )
            case "AT":
                return self._anchor(_name(value), start, end)
        raise self._unsupported(*_REFUSED[_name(op)])

    def _anchor(self, name: str, start: bool, end: bool) -> Node:
        if "BOUNDARY" in name:
            raise self._unsupported(r"\\[bB]", "a boundary of words")
        at_start = "BEGINNING" in name
        if start if at_start else end:
            return EMPTY
        written = r"\^|\\A" if at_start else r"\$|\\[Zz]"
        raise self._unsupported(written, f"an anchor not at the {'start' if at_start else 'end'}")

    def _character(self, kind: str, value: Any, flags: int) -> Node:
        if kind == "ANY":
            return one_of(WRITABLE if flags & re.DOTALL else intersection(complement(NEWLINE), WRITABLE))
        cased: Callable[[Any], Any] = any_case if flags & re.IGNORECASE else lambda one: one
        if kind != "IN":
            own = cased(characters(chr(value)))
            found = intersection(own if kind == "LITERAL" else complement(own), WRITABLE)
        else:
            negated = _name(value[0][0]) == "NEGATE"
            items = [_item(op, item, flags, negated) for op, item in value[negated:]]
            own = cased(union(*items))
            found = intersection(complement(own) if negated else own, WRITABLE)
        if not found:
            raise self._invalid(
                "the regular expression asks for a character that no answer can have, or for one of none"
            )
        return one_of(found)

    def _invalid(self, reason: str) -> InvalidRequest:
        return InvalidRequest(f"{self._param}: {self._where}{reason}", param=self._param)

    def _unsupported(self, written: str, what: str) -> UnsupportedParameter:
        # The parser does not tell where: the first that is written so, escapes and classes left out.
        places = (
            token.start() for token in _TOKEN.finditer(self._pattern) if re.fullmatch(written, token[0])
        )
        place = next((f" (position {place})" for place in places), "")
        return UnsupportedParameter(
            f"{self._param}: {self._where}{what}{place} cannot be honoured:"
            " a grammar only says what follows what",
            param=self._param,
        )


def _item(op: Any, value: Any, flags: int, negated: bool) -> Ranges:
    """What a class lists, or excludes.

    \\d is ASCII's digits for some and those of every script for others, so that a class lists the smaller set
    and excludes the larger one: what comes out matches by both readings.
    """
    match _name(op):
        case "LITERAL":
            return ((value, value),)
        case "RANGE":
            return ranges([value])
    name = _name(value).removeprefix("CATEGORY_")
    excludes = name.startswith("NOT_")
    escape, ascii_class = _CLASSES[name.removeprefix("NOT_")]
    known = ascii_class if flags & re.ASCII or excludes == negated else unicode_class(escape)
    return complement(known) if excludes else known


def _name(op: Any) -> str:
    """The name of one of the parser's constants, which are integers with a name."""
    return str(op)
