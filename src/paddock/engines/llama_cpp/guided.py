"""What an answer must look like, as grammars for llama.cpp.

It takes JSON schemas itself, in two ways: one leaves out without a word what it cannot follow, up to the
whole schema; the other ends or hangs the engine over some. It does so over some grammars, too. So whatever
callers give is read here, and written as a grammar that the engine takes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import orjson

from paddock.engines.llama_cpp.grammars.choice import from_choice
from paddock.engines.llama_cpp.grammars.grammar import from_grammar
from paddock.engines.llama_cpp.grammars.json_schema import from_schema
from paddock.engines.llama_cpp.grammars.regex import from_regex
from paddock.errors import InvalidRequest

JSON = dict[str, Any]

_GRAMMARS: dict[str, Callable[[Any, str], str]] = {
    "guided_json": lambda given, param: from_schema(_schema(given, param), param),
    "guided_regex": from_regex,
    "guided_choice": from_choice,
    "guided_grammar": from_grammar,
    "grammar": from_grammar,
    "response_format": lambda given, param: from_schema(given, f"{param}.json_schema.schema"),
}
GUIDED = frozenset(_GRAMMARS) - {"grammar", "response_format"}
LARGEST_TOOL = 64 * 1024
_KEPT_OF_TOOLS = ("type", "properties", "required", "items", "enum", "const", "description", "title", "anyOf")
KEPT = 64
"""Grammars that are remembered: a program asks for the same one again and again."""
SHORT = 500
"""Bytes of what is written as a grammar within a few milliseconds; longer ones are written in a thread."""


async def guide(fields: JSON) -> JSON:
    """What the engine's body gets for the field that says what the answer must look like: a `grammar`, or
    nothing if there is no such field.

    Raises:
        InvalidRequest: there are several of them, or it cannot be followed.
    """
    schema = _format_schema(fields)
    given = [name for name in _GRAMMARS if name in fields and name != "response_format"]
    if not given and schema is None:
        return {}
    name = given[0] if given else "response_format"
    # The engine takes a schema beside tools, and no grammar.
    beside_tools = name == "response_format" and _shapes(fields, "tools")
    others = given[1:] + [one for one in ("response_format", "tools") if one != name and _shapes(fields, one)]
    if others and not beside_tools:
        raise InvalidRequest(
            f"{name} does not go together with {' and '.join(others)}: an answer can follow one of them only",
            param=name,
        )
    if fields.get("ignore_eos"):
        raise InvalidRequest(f"ignore_eos does not go together with {name}", param="ignore_eos")
    written = await _written(name, fields[name] if given else schema)
    return {} if beside_tools else {"grammar": written}


async def safe_tools(tools: list[JSON]) -> list[JSON]:
    """The tools with parameters that the engine survives: it writes a grammar of them by itself.

    Where a schema is beyond what is followed here, the bounds and patterns are left out of it: the model may
    break them in any case.

    Raises:
        InvalidRequest: a schema is too large.
    """
    safe = []
    for number, tool in enumerate(tools):
        function = tool["function"]
        parameters = function.get("parameters") or {}
        where = f"tools.{number}.function.parameters"
        if len(repr(parameters)) > LARGEST_TOOL:
            raise InvalidRequest(f"{where} is longer than {LARGEST_TOOL} characters", param=where)
        try:
            await _written("guided_json", parameters)
        except InvalidRequest:
            tool = {**tool, "function": {**function, "parameters": _loose(parameters)}}
        safe.append(tool)
    return safe


async def check_schema(schema: JSON, param: str) -> None:
    """
    Raises:
        InvalidRequest: the engine might not survive the schema.
    """
    try:
        await _written("guided_json", schema)
    except InvalidRequest as error:
        raise InvalidRequest(f"{param}: {error.message}", param=param) from None


async def _written(name: str, value: Any) -> str:
    try:
        written = orjson.dumps(value)
    except TypeError as error:
        raise InvalidRequest(f"{name}: {error}", param=name) from None
    if len(written) <= SHORT:
        return _grammar(name, written)
    return await asyncio.to_thread(_grammar, name, written)


@lru_cache(KEPT)
def _grammar(name: str, written: bytes) -> str:
    return _GRAMMARS[name](orjson.loads(written), name)


def _format_schema(fields: JSON) -> Any:
    """The schema of `response_format`, if it has one in its right place."""
    wanted = fields.get("response_format") or {}
    nested = wanted.get("json_schema") if wanted.get("type") == "json_schema" else None
    schema = nested.get("schema") if isinstance(nested, dict) else None
    return schema if isinstance(schema, dict) else None


def _shapes(fields: JSON, name: str) -> bool:
    """Whether the field says what the answer must look like."""
    value = fields.get(name)
    if name == "response_format":
        return value is not None and value.get("type") != "text"
    if name == "tools":
        return bool(value) and fields.get("tool_choice") != "none"
    return value is not None


def _schema(given: Any, param: str) -> JSON:
    """vLLM takes a schema as text, too."""
    if isinstance(given, str):
        try:
            given = orjson.loads(given)
        except orjson.JSONDecodeError as error:
            raise InvalidRequest(f"{param} is not valid JSON: {error}", param=param) from None
    if not isinstance(given, dict):
        raise InvalidRequest(f"{param} must be a JSON Schema, which is an object", param=param)
    return given


def _loose(schema: Any) -> Any:
    """The schema without what bounds values, all the way down."""
    if not isinstance(schema, dict):
        return {}
    loose = {name: schema[name] for name in _KEPT_OF_TOOLS if name in schema}
    if isinstance(loose.get("properties"), dict):
        loose["properties"] = {name: _loose(one) for name, one in loose["properties"].items()}
    if "items" in loose:
        loose["items"] = _loose(loose["items"])
    if isinstance(loose.get("anyOf"), list):
        loose["anyOf"] = [_loose(one) for one in loose["anyOf"]]
    return loose
