"""Two schemas that both hold, as one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

JSON = dict[str, Any]

REMARKS = frozenset(
    [
        "$schema",
        "$id",
        "$comment",
        "$anchor",
        "$defs",
        "definitions",
        "title",
        "description",
        "default",
        "examples",
        "deprecated",
        "readOnly",
        "writeOnly",
    ]
)
_BOUNDS: dict[str, Callable[[Any, Any], Any]] = {
    **dict.fromkeys(("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"), max),
    **dict.fromkeys(("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"), min),
}


class Contradiction(Exception):
    """The keyword stands in both, and no schema can say both."""

    def __init__(self, keyword: str) -> None:
        super().__init__(keyword)
        self.keyword = keyword


def merged(one: Any, other: Any) -> Any:
    """
    Raises:
        Contradiction: they cannot be put together.
    """
    if one is True or other is False:
        return other
    if other is True or one is False:
        return one
    _refuse_half(one, other)
    result = dict(one)
    for keyword, value in other.items():
        if keyword not in result:
            result[keyword] = value
        elif keyword not in REMARKS and result[keyword] != value:
            result[keyword] = _both(keyword, result[keyword], value)
    return result


def _refuse_half(one: JSON, other: JSON) -> None:
    """What a schema says of all it does not name holds for what only the other one names."""
    for first, second in ((one, other), (other, one)):
        more = second.get("properties", {}).keys() - first.get("properties", {}).keys()
        if more and first.get("additionalProperties", True) is not True:
            raise Contradiction("additionalProperties")
        if "items" in first and "prefixItems" in second and first.get("prefixItems") != second["prefixItems"]:
            raise Contradiction("prefixItems")


def _both(keyword: str, one: Any, other: Any) -> Any:
    try:
        if keyword in _BOUNDS:
            return _BOUNDS[keyword](one, other)
        if keyword == "properties":
            shared = {name: merged(one[name], other[name]) for name in one.keys() & other.keys()}
            return {**one, **other, **shared}
        if keyword == "required":
            return list(dict.fromkeys([*one, *other]))
        if keyword == "enum":
            return [value for value in one if value in other]
        if keyword == "type":
            return _types(one, other)
    except (TypeError, AttributeError):
        pass  # one of them is no schema: said as a contradiction, which it is too
    raise Contradiction(keyword)


def _types(one: Any, other: Any) -> list[str]:
    first, second = ([types] if isinstance(types, str) else types for types in (one, other))
    both = [type for type in first if type in second]
    for types, wider in ((first, second), (second, first)):
        if "integer" in types and "number" in wider and "integer" not in both:
            both.append("integer")
    if not both:
        raise Contradiction("type")
    return both
