"""Checks a request body against its schema and says in one sentence what would be right."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from paddock.errors import InvalidRequest

Body = TypeVar("Body")

_NUL = b"\\u0000"
"""JSON has no other way to write one."""

# Of a union pydantic reports each branch; a person wants one sentence for the field.
_UNIONS = {
    "content": 'a string or a list of parts like {"type": "text", "text": "..."}',
    "guided_json": "a JSON Schema, as an object or as its text",
    "input": "a non-empty string, a list of strings, a list of token ids, or a list of lists of token ids",
    "prompt": "a string, a list of strings, a list of token ids, or a list of lists of token ids",
    "stop": "a string or a list of at most 16 strings",
    "tool_choice": '"none", "auto", "required" or {"type": "function", "function": {"name": "..."}}',
}
_TYPES = {
    "string_type": "a string",
    "int_type": "an integer",
    "int_from_float": "an integer",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "an object",
    "model_type": "an object",
    "finite_number": "a finite number",
}
_BOUNDS = {
    "greater_than_equal": ("ge", "at least {}"),
    "less_than_equal": ("le", "at most {}"),
    "greater_than": ("gt", "greater than {}"),
    "less_than": ("lt", "less than {}"),
}


def parse(adapter: TypeAdapter[Any], body: bytes) -> dict[str, Any]:
    """The body as a dictionary without its null fields; texts may have any characters.

    Raises:
        InvalidRequest: the body is not JSON, or a field is missing, of a wrong type or out of range.
    """
    fields: dict[str, Any] = parse_unkept(adapter, body)
    if None in fields.values():
        return {name: value for name, value in fields.items() if value is not None}
    return fields


def parse_whole(adapter: TypeAdapter[Body], body: bytes) -> Body:
    """The body as what the adapter makes of it, where null is not the same as not given, for what is kept in
    the store.

    Raises:
        InvalidRequest: as `parse`, or there is a NUL in it, for which PostgreSQL has no place.
    """
    found = parse_unkept(adapter, body)
    if _NUL in body:
        _refuse_nul(json.loads(body), [])
    return found


def parse_unkept(adapter: TypeAdapter[Body], body: bytes) -> Body:
    """As `parse_whole`, for what goes to an engine or nowhere: texts may have any characters.

    Raises:
        InvalidRequest: as `parse`.
    """
    try:
        return adapter.validate_json(body)
    except ValidationError as error:
        raise _explain(error, adapter) from None


def checked(adapter: TypeAdapter[Body], fields: Mapping[str, Any]) -> Body:
    """What the adapter makes of fields that are parsed already.

    Raises:
        InvalidRequest: one is of a wrong type or out of range.
    """
    try:
        return adapter.validate_python(fields)
    except ValidationError as error:
        raise _explain(error, adapter) from None


def _refuse_nul(value: Any, location: list[int | str]) -> None:
    """
    Raises:
        InvalidRequest: a text of the JSON value, or a name in it, has a NUL.
    """
    if isinstance(value, str) and "\0" in value:
        raise _has_nul(location, "")
    if isinstance(value, dict):
        for name, within in value.items():
            if "\0" in name:
                raise _has_nul(location, "names with ")
            _refuse_nul(within, [*location, name])
    elif isinstance(value, list):
        for index, within in enumerate(value):
            _refuse_nul(within, [*location, index])


def _has_nul(location: list[int | str], what: str) -> InvalidRequest:
    name = _dotted(location)
    return InvalidRequest(
        f"{name or 'the body'} must not have {what}a NUL character (\\u0000)", param=name or None
    )


def _explain(error: ValidationError, adapter: TypeAdapter[Any]) -> InvalidRequest:
    details = error.errors(include_url=False)
    # A field that is there and wrong says more than one that is missing.
    detail = next((one for one in details if one["type"] != "missing"), details[0])
    kind, value, context = detail["type"], detail["input"], detail.get("ctx", {})
    if kind == "json_invalid":
        return InvalidRequest(f"the body is not valid JSON: {context['error']}", code="invalid_json")
    location = list(detail["loc"])
    for index, name in enumerate(location[:-1]):
        # `content.str`, `prompt.list[str].1`: what follows the name is a branch, not a field.
        if name in _UNIONS:
            location = location[: index + 1]
            value = _UNKNOWN
            return _must(location, _UNIONS[str(name)], value)
    if kind == "missing":
        return InvalidRequest(
            f"{_dotted(location)} is required", param=_dotted(location), code="missing_field"
        )
    if kind in _TYPES:
        return _must(location, _TYPES[kind], value)
    if kind in _BOUNDS:
        bound, phrase = _BOUNDS[kind]
        return _must(location, phrase.format(context[bound]), value)
    if kind == "literal_error":
        return _must(location, f"one of {context['expected']}".replace("'", '"'), value)
    if kind == "extra_forbidden" and len(location) == 1:
        known = ", ".join(adapter.json_schema().get("properties", ()))
        name = _dotted(location)
        return InvalidRequest(
            f"{name} is not known here; known fields are: {known}", param=name, code="unknown_field"
        )
    if kind == "too_short":
        return InvalidRequest(f"{_dotted(location)} must not be empty", param=_dotted(location))
    if kind == "string_too_short":
        return InvalidRequest(f"{_dotted(location)} must not be an empty string", param=_dotted(location))
    if kind == "too_long":
        return _must(location, f"at most {context['max_length']} items", _UNKNOWN)
    return InvalidRequest(f"{_dotted(location)}: {detail['msg']}", param=_dotted(location))


_UNKNOWN = object()


def _must(location: list[int | str], right: str, value: Any) -> InvalidRequest:
    name = _dotted(location)
    wrong = "" if value is _UNKNOWN else f", not {_shown(value)}"
    return InvalidRequest(f"{name or 'the body'} must be {right}{wrong}", param=name or None)


def _dotted(location: list[int | str]) -> str:
    return ".".join(str(part)[:80] for part in location)


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else f"{text[:57]}..."
