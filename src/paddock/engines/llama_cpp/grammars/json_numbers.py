"""Numbers of JSON as grammars: without exponents, and never so long that an answer is lost in digits."""

from __future__ import annotations

import math

from paddock.engines.llama_cpp.grammars.characters import ranges
from paddock.engines.llama_cpp.grammars.json_places import JSON, Place
from paddock.engines.llama_cpp.grammars.syntax import (
    Literal,
    Node,
    alternatives,
    one_of,
    repetition,
    sequence,
)

DIGITS = 16
"""Of a number before its point, and behind it."""
_LARGEST = 10**DIGITS - 1
_DIGIT = one_of(ranges([(0x30, 0x39)]))
_FRACTION = sequence([Literal("."), repetition(_DIGIT, 0, DIGITS - 1), one_of(ranges([(0x31, 0x39)]))])
"""It ends in no 0, so that it is none and lies between two integers."""


def read_number(schema: JSON, place: Place, *, whole: bool) -> Node:
    """
    Args:
        whole: whether only integers are valid.

    Raises:
        InvalidRequest: a bound is none, or they leave no number.
        UnsupportedParameter: it asks for multiples.
    """
    least, most = schema.get("minimum", -math.inf), schema.get("maximum", math.inf)
    above, below = schema.get("exclusiveMinimum", False), schema.get("exclusiveMaximum", False)
    for bound in (least, most, above, below):
        if not isinstance(bound, int | float):
            raise place.wrong(f"a bound must be a number, not {str(bound)[:40]!r}")
    # An older draft says with true or false what the other bound means.
    above, below = (least if above is True else above), (most if below is True else below)
    if schema.get("multipleOf", 1) != 1:
        raise place.unsupported("multipleOf other than 1")
    low = least if above is False else max(least, math.floor(above) + 1)
    high = most if below is False else min(most, math.ceil(below) - 1)
    options = integers(low, high)
    if not whole and "multipleOf" not in schema:
        low = least if above is False else max(least, above)
        high = most if below is False else min(most, below)
        options += fractions(low, high)
    if not options:
        raise place.wrong("no number is valid, or none between two integers")
    return alternatives(options)


def integers(least: float, most: float) -> list[Node]:
    """The integers from `least` to `most`, as alternatives; none if there are none with so few digits."""
    low, high = math.ceil(max(least, -_LARGEST)), math.floor(min(most, _LARGEST))
    options = []
    if low <= high and low < 0:
        options.append(sequence([Literal("-"), _between(max(1, -high), -low)]))
    if low <= high and high >= 0:
        options.append(_between(max(0, low), high))
    return options


def fractions(least: float, most: float) -> list[Node]:
    """Numbers that lie between two integers from `least` to `most`, as alternatives."""
    low, high = math.ceil(max(least, -_LARGEST)), math.floor(min(most, _LARGEST))
    options = []
    if low < min(high, 0):
        below = _between(max(0, -high), -low - 1)
        options.append(sequence([Literal("-"), below, _FRACTION]))
    if high > max(low, 0):
        options.append(sequence([_between(max(0, low), high - 1), _FRACTION]))
    return options


def _between(low: int, high: int) -> Node:
    """The integers from `low` to `high`, both at least 0."""
    if low <= 1 and high >= _LARGEST - 1:
        any_other = sequence([one_of(ranges([(0x31, 0x39)])), repetition(_DIGIT, 0, DIGITS - 1)])
        return any_other if low else alternatives([Literal("0"), any_other])
    options = []
    for length in range(len(str(low)), len(str(high)) + 1):
        first = max(low, 10 ** (length - 1) if length > 1 else 0)
        options.append(_same_length(str(first), str(min(high, 10**length - 1))))
    return alternatives(options)


def _same_length(first: str, last: str) -> Node:
    """The numbers from `first` to `last`, which have the same number of digits."""
    if first == last:
        return Literal(first)
    rest = len(first) - 1
    low, high = first[0], last[0]
    if low == high:
        return sequence([Literal(low), _same_length(first[1:], last[1:])])
    options = []
    if first[1:] != "0" * rest:
        options.append(sequence([Literal(low), _same_length(first[1:], "9" * rest)]))
        low = chr(ord(low) + 1)
    if last[1:] != "9" * rest:
        options.append(sequence([Literal(high), _same_length("0" * rest, last[1:])]))
        high = chr(ord(high) - 1)
    if low <= high:
        options.append(sequence([one_of(ranges([(ord(low), ord(high))])), repetition(_DIGIT, rest, rest)]))
    return alternatives(options)
