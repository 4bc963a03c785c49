"""Objects and arrays of JSON as grammars."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from paddock.engines.llama_cpp.grammars.json_places import JSON, Place, read_bounds, read_list
from paddock.engines.llama_cpp.grammars.json_text import literal, other_than, string
from paddock.engines.llama_cpp.grammars.syntax import (
    EMPTY,
    Literal,
    Node,
    Reference,
    alternatives,
    optional,
    repetition,
    sequence,
)

Read = Callable[[Any, Place], Node]
"""Reads a schema within this one."""

COLON = sequence([Literal(":"), optional(Literal(" "))])
_COMMA = sequence([Literal(","), optional(Literal(" "))])


def read_array(schema: JSON, place: Place, read: Read) -> Node:
    """
    Raises:
        InvalidRequest: a keyword's value is none, or they leave no array.
    """
    least, most = read_bounds(schema, "minItems", "maxItems", place)
    items = schema.get("items", True)
    # An older draft has the first items' schemas in `items`.
    first = schema.get("prefixItems", items if isinstance(items, list) else [])
    if first:
        items = False if isinstance(items, list) else schema.get("items", False)
    listed = read_list(first, place.at("prefixItems"), 0)
    nodes = [read(one, place.at("prefixItems", at)) for at, one in enumerate(listed)][:most]
    if items is False or most == len(nodes):
        if least > len(nodes):
            raise place.wrong(f"it has at most {len(nodes)} items, not {least}")
        return sequence([Literal("["), _joined(nodes), Literal("]")])
    item = read(items, place.at("items"))
    rest = None if most is None else most - len(nodes)
    if not nodes:
        return sequence([Literal("["), listed_with_commas(item, least, rest), Literal("]")])
    more = repetition(sequence([_COMMA, item]), max(0, least - len(nodes)), rest)
    return sequence([Literal("["), _joined(nodes), more, Literal("]")])


def read_object(schema: JSON, place: Place, read: Read, rules: dict[str, Node]) -> Node:
    """
    Args:
        rules: takes a rule for each property.

    Raises:
        InvalidRequest: a keyword's value is none, or they leave no object.
        UnsupportedParameter: it counts properties that have names.
    """
    named, required = _named(schema, place)
    pairs: dict[str, Node] = {}
    for name, one in named.items():
        if one is not False or name in required:
            inside = place.at("properties", name)
            rules[inside.pointer] = read(one, inside)
            pairs[name] = sequence([literal(name), COLON, Reference(inside.pointer)])
    # Others are let through where the schema asks for them, or names none of its own.
    others = schema.get("additionalProperties", not named)
    more = None
    if others is not False:
        value = read(others, place.at("additionalProperties"))
        more = sequence([other_than(named) if named else string(), COLON, value])
    least, most = read_bounds(schema, "minProperties", "maxProperties", place)
    if pairs:
        if least > len(required) or (most is not None and (most < len(pairs) or more is not None)):
            raise place.unsupported("a number of properties where they have names")
        inner = _properties(pairs, required, more, place, rules)
    elif more is not None:
        inner = listed_with_commas(more, least, most)
    else:
        inner = EMPTY
        if least:
            raise place.wrong(f"it can have no property, and must have {least}")
    return sequence([Literal("{"), inner, Literal("}")])


def listed_with_commas(item: Node, least: int, most: int | None) -> Node:
    """The item so many times."""
    if most == 0:
        return EMPTY
    others = repetition(sequence([_COMMA, item]), max(0, least - 1), None if most is None else most - 1)
    listed = sequence([item, others])
    return listed if least else optional(listed)


def _named(schema: JSON, place: Place) -> tuple[dict[str, Any], set[str]]:
    """The schemas of all properties that have names, and the names of those that must be there."""
    properties, required = schema.get("properties", {}), schema.get("required", [])
    if not isinstance(properties, dict):
        raise place.at("properties").wrong("it must be an object of schemas")
    if not isinstance(required, list) or not all(isinstance(name, str) for name in required):
        raise place.at("required").wrong("it must be a list of names")
    named = dict(properties)
    for name in required:
        if name not in properties:
            named[name] = schema.get("additionalProperties", True)
            if named[name] is False:
                raise place.at("required").wrong(f"{name[:80]!r} is none of the properties")
    return named, set(required)


def _properties(
    pairs: dict[str, Node], required: set[str], more: Node | None, place: Place, rules: dict[str, Node]
) -> Node:
    """The pairs in their order, those that are not required perhaps, then others."""
    rest: Node = EMPTY if more is None else repetition(sequence([_COMMA, more]), 0, None)
    behind = [rest]
    for name in reversed(pairs):
        one = sequence([_COMMA, pairs[name]])
        # A rule of its own: whatever comes first, it is followed by the same.
        rule = f"{place.at('properties', name).pointer} and more"
        rules[rule] = sequence([one if name in required else optional(one), behind[0]])
        behind.insert(0, Reference(rule))
    options = []
    for at, name in enumerate(pairs):
        options.append(sequence([pairs[name], behind[at + 1]]))
        if name in required:
            return alternatives(options)
    if more is not None:
        options.append(sequence([more, behind[-1]]))
    return optional(alternatives(options))


def _joined(items: list[Node]) -> Node:
    return sequence(part for at, item in enumerate(items) for part in ([_COMMA, item] if at else [item]))
