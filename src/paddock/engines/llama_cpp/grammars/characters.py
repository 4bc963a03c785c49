"""Sets of characters as sorted ranges of code points, and the classes that regular expressions know."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from typing import TypeAlias

Ranges: TypeAlias = tuple[tuple[int, int], ...]
"""(first, last) code points: sorted, apart from each other."""

LAST = 0x10FFFF
_LAST_CASED = 0x1E943
"""No script beyond it has capitals; the test of the table would tell of a newer Unicode."""


def ranges(pairs: Iterable[tuple[int, int]]) -> Ranges:
    """The union of the pairs, which may overlap and come in any order."""
    result: list[tuple[int, int]] = []
    for first, last in sorted(pairs):
        if result and first <= result[-1][1] + 1:
            result[-1] = (result[-1][0], max(last, result[-1][1]))
        else:
            result.append((first, last))
    return tuple(result)


def characters(text: str) -> Ranges:
    return ranges((ord(character), ord(character)) for character in text)


def union(*sets: Ranges) -> Ranges:
    return ranges(pair for one in sets for pair in one)


def complement(one: Ranges) -> Ranges:
    edges = [-1, *(edge for pair in one for edge in pair), LAST + 1]
    return tuple((a + 1, b - 1) for a, b in zip(edges[::2], edges[1::2], strict=True) if b - a > 1)


def intersection(one: Ranges, other: Ranges) -> Ranges:
    return complement(union(complement(one), complement(other)))


WRITABLE = complement(((0, 0), (0xD800, 0xDFFF)))
"""What an answer can consist of. llama.cpp never lets a NUL pass, and surrogates are no characters."""


def writable(character: str) -> bool:
    return character != "\0" and not "\ud800" <= character <= "\udfff"


NEWLINE = characters("\n")
DIGIT = ranges([(0x30, 0x39)])
SPACE = characters(" \t\n\r\f\v")
WORD = ranges([(0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A)])


@cache
def unicode_class(escape: str) -> Ranges:
    """What Python's `re` takes for `\\d`, `\\s` or `\\w`: some hundred ranges for the last."""
    everything = "".join(map(chr, range(LAST + 1)))
    return tuple((found.start(), found.end() - 1) for found in re.finditer(f"{escape}+", everything))


def any_case(one: Ranges) -> Ranges:
    """The set with all characters that differ from one of its own in case only, as Python's `re` sees it."""
    groups = (group for group in _cases() if any(_contains(one, code) for code in group))
    return union(one, ranges((code, code) for group in groups for code in group))


@cache
def _cases() -> tuple[tuple[int, ...], ...]:
    groups: dict[str, list[int]] = {}
    for code in range(_LAST_CASED + 1):
        lower = chr(code).lower()
        # One capital has two characters for its small letter; `re` takes the first.
        groups.setdefault(lower[0].upper() if len(lower) > 1 else lower.upper(), []).append(code)
    return tuple(tuple(group) for group in groups.values() if len(group) > 1)


def _contains(one: Ranges, code: int) -> bool:
    return any(first <= code <= last for first, last in one)
