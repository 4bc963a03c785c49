"""JSON Schema as GBNF: every text that the grammar lets through is valid by the schema.

Not every valid text is let through. Properties come in the order in which the schema has them, at most one
space stands between two things, and numbers have no exponents: what a model may fill with white space or
digits for ever, it does. llama.cpp's own readers of schemas drop what they cannot follow without a word.
"""

from __future__ import annotations

import math
from typing import Any
from urllib.parse import unquote

from paddock.engines.llama_cpp.grammars.json_merging import Contradiction, merged
from paddock.engines.llama_cpp.grammars.json_numbers import fractions, integers
from paddock.engines.llama_cpp.grammars.json_text import FORMATS, literal, matching, other_than, string
from paddock.engines.llama_cpp.grammars.syntax import (
    EMPTY,
    Grammar,
    Literal,
    Node,
    Reference,
    alternatives,
    optional,
    repetition,
    sequence,
)
from paddock.engines.llama_cpp.grammars.writer import write
from paddock.errors import InvalidRequest, UnsupportedParameter

JSON = dict[str, Any]

_OF_TYPE = {
    "object": ("properties", "required", "additionalProperties", "minProperties", "maxProperties"),
    "array": ("items", "prefixItems", "minItems", "maxItems"),
    "string": ("pattern", "minLength", "maxLength", "format"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
}
_TYPES = ("object", "array", "string", "number", "integer", "boolean", "null")
# Each with the value that asks for nothing. All other keywords that are not known are remarks.
_UNSAYABLE: dict[str, Any] = {
    **dict.fromkeys(
        [
            "not",
            "if",
            "then",
            "else",
            "dependentRequired",
            "dependentSchemas",
            "dependencies",
            "contains",
            "minContains",
            "maxContains",
            "unevaluatedItems",
            "additionalItems",
            "propertyNames",
            "$dynamicRef",
            "$recursiveRef",
        ]
    ),
    "uniqueItems": False,
    "patternProperties": {},
    "unevaluatedProperties": False,
}
_SAID = frozenset({"$ref", "type", "enum", "const", "anyOf", "oneOf", "allOf"}).union(*_OF_TYPE.values())
_KINDS: dict[str, Any] = {
    "object": dict,
    "array": list,
    "string": str,
    "number": (int, float),
    "null": type(None),
}
_COMMA = sequence([Literal(","), optional(Literal(" "))])
_COLON = sequence([Literal(":"), optional(Literal(" "))])
_VALUE = "value"


def from_schema(schema: JSON, param: str) -> str:
    """GBNF whose texts are JSON that is valid by the schema. A schema that describes an object, an array, a
    string or a number without saying `type` means one.

    Raises:
        InvalidRequest: it is no JSON Schema, nothing is valid by it, or it is too large; says where.
        UnsupportedParameter: it has something that no grammar can say.
    """
    reading = _Reading(schema, param)
    try:
        root = reading.node(schema, "")
    except RecursionError:
        raise InvalidRequest(f"{param} is nested too deeply", param=param) from None
    return write(Grammar({"root": root, **reading.rules}, "root"), param)


class _Reading:
    """
    Attributes:
        rules: those of what the schema refers to, of properties, and of any value at all.
    """

    def __init__(self, schema: JSON, param: str) -> None:
        self.rules: dict[str, Node] = {}
        self._schema = schema
        self._param = param

    def node(self, schema: Any, where: str) -> Node:
        if schema is True:
            return self._any()
        if not isinstance(schema, dict):
            what = "nothing is valid by it" if schema is False else "a schema must be an object"
            raise self._wrong(where, what)
        for keyword in schema.keys() & _UNSAYABLE.keys():
            if schema[keyword] != _UNSAYABLE[keyword]:
                raise self._unsupported(where, keyword)
        if "$ref" in schema:
            return self._reference(schema, where)
        if "allOf" in schema:
            parts = self._list(schema["allOf"], f"{where}/allOf")
            return self.node(self._all(_without(schema, "allOf"), parts, where), where)
        for keyword in ("anyOf", "oneOf"):
            if keyword in schema:
                return self._any_of(schema, keyword, where)
        if "const" in schema or "enum" in schema:
            return self._constants(schema, where)
        types = self._types(schema, where)
        return alternatives(self._typed(type, schema, where) for type in types) if types else self._any()

    # ---- schemas that lead to others

    def _reference(self, schema: JSON, where: str) -> Node:
        pointer = schema["$ref"]
        target = self._target(pointer, where)
        beside = _without(schema, "$ref")
        if beside.keys() & _SAID:
            return self.node(self._all(beside, [target], where), where)
        name = f"ref {pointer}"
        if name not in self.rules:
            self.rules[name] = EMPTY  # until it is known: it may lead back to itself
            self.rules[name] = self.node(target, pointer.removeprefix("#"))
        return Reference(name)

    def _any_of(self, schema: JSON, keyword: str, where: str) -> Node:
        options = self._list(schema[keyword], f"{where}/{keyword}")
        beside = _without(schema, keyword)
        if beside.keys() & _SAID:
            options = [self._all(beside, [option], where) for option in options]
        return alternatives(self.node(option, f"{where}/{keyword}/{at}") for at, option in enumerate(options))

    def _target(self, pointer: Any, where: str) -> Any:
        if not isinstance(pointer, str) or not (pointer == "#" or pointer.startswith("#/")):
            raise self._unsupported(where, f"$ref {str(pointer)[:80]!r}, which does not begin with #/")
        found: Any = self._schema
        for part in pointer.split("/")[1:]:
            part = unquote(part).replace("~1", "/").replace("~0", "~")
            if isinstance(found, dict) and part in found:
                found = found[part]
            elif isinstance(found, list) and part.isdecimal() and int(part) < len(found):
                found = found[int(part)]
            else:
                raise self._wrong(where, f"$ref {pointer[:80]!r} leads nowhere")
        return found

    def _all(self, schema: Any, others: list[Any], where: str) -> Any:
        """One schema for all of them."""
        for other in others:
            while isinstance(other, dict) and "$ref" in other:
                other = self._all(_without(other, "$ref"), [self._target(other["$ref"], where)], where)
            if not isinstance(other, dict | bool):
                raise self._wrong(where, "a schema must be an object")
            try:
                schema = merged(schema, other)
            except Contradiction as error:
                raise self._unsupported(
                    where, f"a second {error.keyword} that the first does not allow"
                ) from None
        return schema

    # ---- values

    def _constants(self, schema: JSON, where: str) -> Node:
        for keyword in (schema.keys() & _SAID) - {"const", "enum", "type"}:
            raise self._unsupported(where, f"{keyword} beside the values themselves")
        values = [schema["const"]] if "const" in schema else self._list(schema["enum"], f"{where}/enum")
        if "const" in schema and "enum" in schema:
            values = [value for value in values if value in schema["enum"]]
        types = self._types({"type": schema["type"]}, where) if "type" in schema else _TYPES
        values = [value for value in values if any(_is_a(value, type) for type in types)]
        if not values:
            raise self._wrong(where, "none of its values is valid")
        return alternatives(map(literal, values))

    def _types(self, schema: JSON, where: str) -> list[str]:
        """What it may be; empty if it says nothing about that."""
        if "type" not in schema:
            return [type for type, keywords in _OF_TYPE.items() if schema.keys() & set(keywords)][:1]
        types = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
        if not isinstance(types, list) or not types or not all(type in _TYPES for type in types):
            raise self._wrong(f"{where}/type", f"it must be one or several of {', '.join(_TYPES)}")
        return types

    def _typed(self, type: str, schema: JSON, where: str) -> Node:
        match type:
            case "object":
                return self._object(schema, where)
            case "array":
                return self._array(schema, where)
            case "string":
                return self._string(schema, where)
            case "boolean":
                return alternatives([Literal("true"), Literal("false")])
            case "null":
                return Literal("null")
        return self._number(schema, where, whole=type == "integer")

    def _any(self) -> Node:
        if _VALUE not in self.rules:
            value = self.rules[_VALUE] = Reference(_VALUE)
            pair = sequence([string(), _COLON, value])
            self.rules[_VALUE] = alternatives(
                [
                    sequence([Literal("{"), _listed(pair, 0, None), Literal("}")]),
                    sequence([Literal("["), _listed(value, 0, None), Literal("]")]),
                    string(),
                    *integers(-math.inf, math.inf),
                    *fractions(-math.inf, math.inf),
                    *map(Literal, ("true", "false", "null")),
                ]
            )
        return Reference(_VALUE)

    def _string(self, schema: JSON, where: str) -> Node:
        least, most = self._bounds(schema, "minLength", "maxLength", where)
        has_length = schema.keys() & {"minLength", "maxLength"}
        if "pattern" in schema:
            if has_length:
                raise self._unsupported(where, "pattern together with a length, which it may say itself")
            pattern = schema["pattern"]
            if not isinstance(pattern, str):
                raise self._wrong(f"{where}/pattern", "it must be a regular expression")
            return matching(pattern, self._param, f"{where}/pattern: ")
        if schema.get("format") in FORMATS and not has_length:
            return matching(FORMATS[schema["format"]], self._param)
        return string(least, most)

    def _number(self, schema: JSON, where: str, *, whole: bool) -> Node:
        least, most = (
            schema.get(name, bound) for name, bound in (("minimum", -math.inf), ("maximum", math.inf))
        )
        above, below = schema.get("exclusiveMinimum", False), schema.get("exclusiveMaximum", False)
        for bound in (least, most, above, below):
            if not isinstance(bound, int | float):
                raise self._wrong(where, f"a bound must be a number, not {str(bound)[:40]!r}")
        # An older draft says with true or false what the other bound means.
        above, below = (least if above is True else above), (most if below is True else below)
        step = schema.get("multipleOf", 1)
        if step != 1:
            raise self._unsupported(where, "multipleOf other than 1")
        low = least if above is False else max(least, math.floor(above) + 1)
        high = most if below is False else min(most, math.ceil(below) - 1)
        options = integers(low, high)
        if not whole and "multipleOf" not in schema:
            low = least if above is False else max(least, above)
            high = most if below is False else min(most, below)
            options += fractions(low, high)
        if not options:
            raise self._wrong(where, "no number is valid, or none between two integers")
        return alternatives(options)

    def _array(self, schema: JSON, where: str) -> Node:
        least, most = self._bounds(schema, "minItems", "maxItems", where)
        items = schema.get("items", True)
        first = schema.get("prefixItems", items if isinstance(items, list) else [])
        if first:
            items = False if isinstance(items, list) else schema.get("items", False)
        first = [
            self.node(one, f"{where}/prefixItems/{at}") for at, one in enumerate(self._list(first, where, 0))
        ]
        first = first if most is None else first[:most]
        if items is False or most == len(first):
            if least > len(first):
                raise self._wrong(where, f"it has at most {len(first)} items, not {least}")
            inner = _joined(first)
        else:
            item = self.node(items, f"{where}/items")
            rest = None if most is None else most - len(first)
            if first:
                more = repetition(sequence([_COMMA, item]), max(0, least - len(first)), rest)
                inner = sequence([_joined(first), more])
            else:
                inner = _listed(item, least, rest)
        return sequence([Literal("["), inner, Literal("]")])

    # ---- objects

    def _object(self, schema: JSON, where: str) -> Node:
        properties = schema.get("properties", {})
        required = schema.get("required", [])
        if not isinstance(properties, dict):
            raise self._wrong(f"{where}/properties", "it must be an object of schemas")
        if not isinstance(required, list) or not all(isinstance(name, str) for name in required):
            raise self._wrong(f"{where}/required", "it must be a list of names")
        named = {
            **properties,
            **{name: self._unnamed(schema, name, where) for name in required if name not in properties},
        }
        pairs = {
            name: self._pair(name, one, where)
            for name, one in named.items()
            if one is not False or name in required
        }
        # Others are let through where the schema asks for them, or has none of its own.
        others = schema.get("additionalProperties", not named)
        more = None
        if others is not False:
            value = self.node(others, f"{where}/additionalProperties")
            more = sequence([other_than(named) if named else string(), _COLON, value])
        least, most = self._bounds(schema, "minProperties", "maxProperties", where)
        if not pairs:
            inner = _listed(more, least, most) if more is not None else EMPTY
            if more is None and least:
                raise self._wrong(where, f"it can have no property, and must have {least}")
        else:
            if least > len(set(required)) or (most is not None and (most < len(pairs) or more is not None)):
                raise self._unsupported(where, "a number of properties where they have names")
            inner = self._properties(pairs, set(required), more, where)
        return sequence([Literal("{"), inner, Literal("}")])

    def _unnamed(self, schema: JSON, name: str, where: str) -> Any:
        others = schema.get("additionalProperties", True)
        if others is False:
            raise self._wrong(f"{where}/required", f"{name[:80]!r} is none of the properties")
        return others

    def _pair(self, name: str, schema: Any, where: str) -> Node:
        place = f"{where}/properties/{_escaped(name)}"
        self.rules[place] = self.node(schema, place)
        return sequence([literal(name), _COLON, Reference(place)])

    def _properties(self, pairs: dict[str, Node], required: set[str], more: Node | None, where: str) -> Node:
        """The pairs in their order, those that are not required perhaps, then others."""
        rest: Node = EMPTY if more is None else repetition(sequence([_COMMA, more]), 0, None)
        behind = [rest]
        for name in reversed(pairs):
            one = sequence([_COMMA, pairs[name]])
            rest = sequence([one if name in required else optional(one), behind[0]])
            # A rule of its own: whatever comes first, it is followed by the same.
            rule = f"{where}/properties/{_escaped(name)} and more"
            self.rules[rule] = rest
            behind.insert(0, Reference(rule))
        options = []
        for at, name in enumerate(pairs):
            options.append(sequence([pairs[name], behind[at + 1]]))
            if name in required:
                return alternatives(options)
        if more is not None:
            options.append(sequence([more, behind[-1]]))
        return optional(alternatives(options))

    # ---- what is wrong

    def _bounds(self, schema: JSON, least: str, most: str, where: str) -> tuple[int, int | None]:
        low, high = schema.get(least, 0), schema.get(most)
        for name, value in ((least, low), (most, high)):
            whole = isinstance(value, int) and not isinstance(value, bool)
            if value is not None and (not whole or value < 0):
                raise self._wrong(f"{where}/{name}", f"it must be a whole number, not {str(value)[:40]!r}")
        if high is not None and low > high:
            raise self._wrong(where, f"{least} is more than {most}")
        return low, high

    def _list(self, value: Any, where: str, least: int = 1) -> list[Any]:
        if not isinstance(value, list) or len(value) < least:
            raise self._wrong(where, "it must be a list that is not empty")
        return value

    def _wrong(self, where: str, what: str) -> InvalidRequest:
        return InvalidRequest(f"{self._param}: at {_place(where)}: {what}", param=self._param)

    def _unsupported(self, where: str, what: str) -> UnsupportedParameter:
        return UnsupportedParameter(
            f"{self._param}: at {_place(where)}: {what} cannot be honoured: no grammar says it",
            param=self._param,
        )


def _joined(items: list[Node]) -> Node:
    return sequence(part for at, item in enumerate(items) for part in ([_COMMA, item] if at else [item]))


def _listed(item: Node, least: int, most: int | None) -> Node:
    """So many of it, with commas between."""
    if most == 0:
        return EMPTY
    others = repetition(sequence([_COMMA, item]), max(0, least - 1), None if most is None else most - 1)
    listed = sequence([item, others])
    return listed if least else optional(listed)


def _without(schema: JSON, keyword: str) -> JSON:
    return {name: value for name, value in schema.items() if name != keyword}


def _is_a(value: Any, type: str) -> bool:
    if isinstance(value, bool):
        return type == "boolean"
    if type == "integer":
        return isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    return isinstance(value, _KINDS.get(type, ()))


def _escaped(name: str) -> str:
    """As a part of a JSON pointer."""
    return name.replace("~", "~0").replace("/", "~1")


def _place(where: str) -> str:
    return where[:200] or "its top"
