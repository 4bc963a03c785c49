"""Guided decoding by the names that vLLM's users know, as grammars for llama.cpp.

It takes JSON schemas itself, in two ways: for plain completions it leaves out without a word what it cannot
follow, up to the whole schema. So a schema is written as a grammar here.
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
    "response_format": lambda given, param: from_schema(given, f"{param}.json_schema.schema"),
}
GUIDED = frozenset(_GRAMMARS) - {"response_format"}
KEPT = 64
"""Grammars that are remembered: a program asks for the same one again and again."""
SHORT = 500
"""Bytes of what is written as a grammar within a few milliseconds; longer ones are written in a thread."""


async def guide(fields: JSON, *, chat: bool) -> JSON:
    """What the engine's body gets for the `guided_*` field of a request, or for the JSON schema that a plain
    completion must follow; empty if there is none.

    Raises:
        InvalidRequest: there are several, or another field that says what the answer must look like, or it
            cannot be followed.
    """
    given = [name for name in _GRAMMARS if name in GUIDED and name in fields]
    schema = None if chat else _format_schema(fields)
    if not given and schema is None:
        return {}
    name = given[0] if given else "response_format"
    others = given[1:] + [
        one for one in ("response_format", "grammar", "tools") if one != name and _shapes(fields, one)
    ]
    if others:
        raise InvalidRequest(
            f"{name} does not go together with {' and '.join(others)}: an answer can follow one of them only",
            param=name,
        )
    return {"grammar": await _written(name, fields[name] if given else schema)}


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
