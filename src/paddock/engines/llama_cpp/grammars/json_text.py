"""Strings of JSON as grammars."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

from paddock.engines.llama_cpp.grammars.characters import (
    WRITABLE,
    Ranges,
    characters,
    complement,
    intersection,
    ranges,
    union,
    writable,
)
from paddock.engines.llama_cpp.grammars.json_places import JSON, Place, read_bounds
from paddock.engines.llama_cpp.grammars.regex import translate
from paddock.engines.llama_cpp.grammars.syntax import (
    EMPTY,
    Alternatives,
    CharacterClass,
    Literal,
    Node,
    Repetition,
    Sequence,
    alternatives,
    one_of,
    repetition,
    sequence,
)

_ESCAPED = union(characters('"\\'), ranges([(0x00, 0x1F)]))
_PLAIN = intersection(complement(_ESCAPED), WRITABLE)
_HEX = one_of(ranges([(0x30, 0x39), (0x41, 0x46), (0x61, 0x66)]))
CHARACTER = alternatives(
    [
        one_of(_PLAIN),
        sequence([Literal("\\"), one_of(characters('"\\/bfnrt'))]),
    ]
)
"""A character of a string as JSON has it. What only a number can say is left out: nobody needs it."""
QUOTE = Literal('"')

# Whatever else `format` may say is a remark, as JSON Schema has it.
_DATE = r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
_TIME = r"([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,6})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"
_BYTE = r"(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
FORMATS = {
    "date": _DATE,
    "time": _TIME,
    "date-time": f"{_DATE}T{_TIME}",
    "uuid": r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
    "ipv4": rf"{_BYTE}(\.{_BYTE}){{3}}",
    "email": r"[a-zA-Z0-9_.+-]{1,64}@[a-zA-Z0-9-]{1,63}(\.[a-zA-Z0-9-]{2,63}){1,4}",
}


def read_string(schema: JSON, place: Place) -> Node:
    """
    Raises:
        InvalidRequest: a keyword's value is none.
        UnsupportedParameter: it asks for a pattern and for a length.
    """
    least, most = read_bounds(schema, "minLength", "maxLength", place)
    has_length = schema.keys() & {"minLength", "maxLength"}
    if "pattern" in schema:
        if has_length:
            raise place.unsupported("pattern together with a length, which it may say itself")
        if not isinstance(schema["pattern"], str):
            raise place.at("pattern").wrong("it must be a regular expression")
        return _matching(schema["pattern"], place.at("pattern"))
    if schema.get("format") in FORMATS and not has_length:
        return _matching(FORMATS[schema["format"]], place)
    return string(least, most)


def literal(value: Any) -> Node:
    """Just this value."""
    text = json.dumps(value, ensure_ascii=False, separators=(", ", ": "))
    if not all(map(writable, text)):
        text = json.dumps(value, separators=(", ", ": "))
    return Literal(text)


def string(least: int = 0, most: int | None = None) -> Node:
    """A string of so many characters."""
    return sequence([QUOTE, repetition(CHARACTER, least, most), QUOTE])


def other_than(names: Collection[str]) -> Node:
    """A string of plain characters that is none of the names."""
    return sequence([QUOTE, _other(sorted(names)), QUOTE])


def _matching(pattern: str, place: Place) -> Node:
    found = translate(pattern, place.param, where=f"at {place}: ")
    return sequence([QUOTE, _encoded(found), QUOTE])


def _encoded(node: Node) -> Node:
    """What the node matches, as it is written between the quotes of a string."""
    match node:
        case Literal(text):
            return Literal(json.dumps(text, ensure_ascii=False)[1:-1])
        case CharacterClass(found):
            return _encoded_class(found)
        case Sequence(parts):
            return sequence(map(_encoded, parts))
        case Alternatives(options):
            return alternatives(map(_encoded, options))
        case Repetition(body, least, most):
            return repetition(_encoded(body), least, most)
    raise AssertionError("a regular expression has no rules")


def _encoded_class(found: Ranges) -> Node:
    plain = intersection(found, _PLAIN)
    options: list[Node] = [one_of(plain)] if plain else []
    for code in (code for first, last in intersection(found, _ESCAPED) for code in range(first, last + 1)):
        options.append(Literal(json.dumps(chr(code))[1:-1]))
    return alternatives(options)


def _other(names: list[str]) -> Node:
    """Text that is none of the sorted names, by the characters that they begin with."""
    if not names:
        return repetition(one_of(_PLAIN), 0, None)
    options: list[Node] = [] if names[0] == "" else [EMPTY]
    starts = sorted({name[0] for name in names if name})
    others = intersection(_PLAIN, complement(characters("".join(starts))))
    options.append(sequence([one_of(others), repetition(one_of(_PLAIN), 0, None)]))
    for start in starts:
        if intersection(_PLAIN, characters(start)):
            rest = [name[1:] for name in names if name.startswith(start)]
            options.append(sequence([Literal(start), _other(rest)]))
    return alternatives(options)
