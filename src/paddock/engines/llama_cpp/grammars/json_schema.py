"""JSON Schema as GBNF: every text that the grammar lets through is valid by the schema.

Not every valid text is let through. Properties come in the order in which the schema has them, at most one
space stands between two things, and numbers have no exponents: what a model may fill with white space or
digits for ever, it does. llama.cpp's own readers of schemas drop what they cannot follow without a word.
"""

from __future__ import annotations

import math
from typing import Any
from urllib.parse import unquote

from paddock.engines.llama_cpp.grammars.json_containers import (
    COLON,
    listed_with_commas,
    read_array,
    read_object,
)
from paddock.engines.llama_cpp.grammars.json_merging import Contradiction, merged
from paddock.engines.llama_cpp.grammars.json_numbers import fractions, integers, read_number
from paddock.engines.llama_cpp.grammars.json_places import JSON, Place, read_list
from paddock.engines.llama_cpp.grammars.json_text import literal, read_string, string
from paddock.engines.llama_cpp.grammars.syntax import (
    EMPTY,
    Grammar,
    Literal,
    Node,
    Reference,
    alternatives,
    sequence,
)
from paddock.engines.llama_cpp.grammars.writer import write
from paddock.errors import InvalidRequest

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
_VALUE = "value"


def from_schema(schema: JSON, param: str) -> str:
    """GBNF whose texts are JSON that is valid by the schema. A schema that describes an object, an array, a
    string or a number without saying `type` means one.

    Raises:
        InvalidRequest: it is no JSON Schema, nothing is valid by it, or it is too large; says where.
        UnsupportedParameter: it has something that no grammar can say.
    """
    reading = _Reading(schema)
    try:
        root = reading.node(schema, Place(param))
    except RecursionError:
        raise InvalidRequest(f"{param} is nested too deeply", param=param) from None
    return write(Grammar({"root": root, **reading.rules}, "root"), param)


class _Reading:
    """
    Attributes:
        rules: those of what the schema refers to, of properties, and of any value at all.
    """

    def __init__(self, schema: JSON) -> None:
        self.rules: dict[str, Node] = {}
        self._schema = schema

    def node(self, schema: Any, place: Place) -> Node:
        if schema is True:
            return self._any()
        if not isinstance(schema, dict):
            raise place.wrong("nothing is valid by it" if schema is False else "a schema must be an object")
        for keyword in schema.keys() & _UNSAYABLE.keys():
            if schema[keyword] != _UNSAYABLE[keyword]:
                raise place.unsupported(keyword)
        if "$ref" in schema:
            return self._reference(schema, place)
        if "allOf" in schema:
            parts = read_list(schema["allOf"], place.at("allOf"))
            return self.node(self._all(_without(schema, "allOf"), parts, place), place)
        for keyword in ("anyOf", "oneOf"):
            if keyword in schema:
                return self._any_of(schema, keyword, place)
        if "const" in schema or "enum" in schema:
            return _constants(schema, place)
        types = _types(schema, place)
        return alternatives(self._typed(type, schema, place) for type in types) if types else self._any()

    def _reference(self, schema: JSON, place: Place) -> Node:
        pointer = schema["$ref"]
        target = self._target(pointer, place)
        beside = _without(schema, "$ref")
        if beside.keys() & _SAID:
            return self.node(self._all(beside, [target], place), place)
        name = f"ref {pointer}"
        if name not in self.rules:
            self.rules[name] = EMPTY  # until it is known: it may lead back to itself
            self.rules[name] = self.node(target, Place(place.param, pointer.removeprefix("#")))
        return Reference(name)

    def _any_of(self, schema: JSON, keyword: str, place: Place) -> Node:
        options = read_list(schema[keyword], place.at(keyword))
        beside = _without(schema, keyword)
        if beside.keys() & _SAID:
            options = [self._all(beside, [option], place) for option in options]
        return alternatives(self.node(option, place.at(keyword, at)) for at, option in enumerate(options))

    def _target(self, pointer: Any, place: Place) -> Any:
        if not isinstance(pointer, str) or not (pointer == "#" or pointer.startswith("#/")):
            raise place.unsupported(f"$ref {str(pointer)[:80]!r}, which does not begin with #/")
        found: Any = self._schema
        for part in pointer.split("/")[1:]:
            part = unquote(part).replace("~1", "/").replace("~0", "~")
            if isinstance(found, dict) and part in found:
                found = found[part]
            elif isinstance(found, list) and part.isdecimal() and int(part) < len(found):
                found = found[int(part)]
            else:
                raise place.wrong(f"$ref {pointer[:80]!r} leads nowhere")
        return found

    def _all(self, schema: Any, others: list[Any], place: Place) -> Any:
        """One schema for all of them."""
        for other in others:
            while isinstance(other, dict) and "$ref" in other:
                other = self._all(_without(other, "$ref"), [self._target(other["$ref"], place)], place)
            if not isinstance(other, dict | bool):
                raise place.wrong("a schema must be an object")
            try:
                schema = merged(schema, other)
            except Contradiction as error:
                what = f"a second {error.keyword} that the first does not allow"
                raise place.unsupported(what) from None
        return schema

    def _typed(self, type: str, schema: JSON, place: Place) -> Node:
        match type:
            case "object":
                return read_object(schema, place, self.node, self.rules)
            case "array":
                return read_array(schema, place, self.node)
            case "string":
                return read_string(schema, place)
            case "boolean":
                return alternatives([Literal("true"), Literal("false")])
            case "null":
                return Literal("null")
        return read_number(schema, place, whole=type == "integer")

    def _any(self) -> Node:
        if _VALUE not in self.rules:
            value = self.rules[_VALUE] = Reference(_VALUE)
            pair = sequence([string(), COLON, value])
            self.rules[_VALUE] = alternatives(
                [
                    sequence([Literal("{"), listed_with_commas(pair, 0, None), Literal("}")]),
                    sequence([Literal("["), listed_with_commas(value, 0, None), Literal("]")]),
                    string(),
                    *integers(-math.inf, math.inf),
                    *fractions(-math.inf, math.inf),
                    *map(Literal, ("true", "false", "null")),
                ]
            )
        return Reference(_VALUE)


def _constants(schema: JSON, place: Place) -> Node:
    for keyword in (schema.keys() & _SAID) - {"const", "enum", "type"}:
        raise place.unsupported(f"{keyword} beside the values themselves")
    values = [schema["const"]] if "const" in schema else read_list(schema["enum"], place.at("enum"))
    if "const" in schema and "enum" in schema:
        values = [value for value in values if value in read_list(schema["enum"], place.at("enum"))]
    types = _types({"type": schema["type"]}, place) if "type" in schema else _TYPES
    values = [value for value in values if any(_is_a(value, type) for type in types)]
    if not values:
        raise place.wrong("none of its values is valid")
    return alternatives(map(literal, values))


def _types(schema: JSON, place: Place) -> list[str]:
    """What it may be; empty if it says nothing about that."""
    if "type" not in schema:
        return [type for type, keywords in _OF_TYPE.items() if schema.keys() & set(keywords)][:1]
    types = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
    if not isinstance(types, list) or not types or not all(type in _TYPES for type in types):
        raise place.at("type").wrong(f"it must be one or several of {', '.join(_TYPES)}")
    return types


def _without(schema: JSON, keyword: str) -> JSON:
    return {name: value for name, value in schema.items() if name != keyword}


def _is_a(value: Any, type: str) -> bool:
    if isinstance(value, bool):
        return type == "boolean"
    if type == "integer":
        return isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    return isinstance(value, _KINDS.get(type, ()))
