"""Numbers that no database takes, in each field of each body that is kept: none is a server error."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from paddock.services.keys import ADMIN, INFERENCE
from tests.api.test_every_route import path_of
from tests.api.two_projects import serving_two

Place = tuple[str | int, ...]
"""Where a field is: names and indexes, one within the other."""


def numbers(schema: dict[str, Any], known: dict[str, Any], at: Place = (), *within: str) -> Iterator[Place]:
    """The places of all numbers in what a JSON schema describes.

    Args:
        within: the definitions that this one stands in.
    """
    if (name := schema.get("$ref", "").rpartition("/")[2]) and name not in within:
        yield from numbers(known[name], known, at, *within, name)
    for one in (*schema.get("anyOf", ()), *schema.get("oneOf", ()), *schema.get("allOf", ())):
        yield from numbers(one, known, at, *within)
    if schema.get("type") in ("integer", "number"):
        yield at
    for name, one in schema.get("properties", {}).items():
        yield from numbers(one, known, (*at, name), *within)
    if isinstance(one := schema.get("items"), dict):
        yield from numbers(one, known, (*at, 0), *within)


def put(body: Any, at: Place, value: Any) -> Any:
    """The body with the value at that place, whatever was there and above it."""
    if not at:
        return value
    first, *rest = at
    if isinstance(first, int):
        there = body[0] if isinstance(body, list) and body else None
        return [put(there, tuple(rest), value)]
    fields = body if isinstance(body, dict) else {}
    return {**fields, first: put(fields.get(first), tuple(rest), value)}


@pytest.mark.parametrize("value", [2**31, 2**63, -(2**63) - 1, 10**400, 1e308])
async def test_no_number_is_a_server_error(tmp_path: Path, value: float) -> None:
    async with serving_two(tmp_path) as on:
        key, secret = await on.key("farm", ADMIN)
        await on.make(secret, "pony")
        ids = {"key": key.id, "project": "farm", **{name: of[0] for name, of in on.things.items()}}
        tried, wrong = 0, {}
        for mount, route in on.routes():
            # What is not kept goes to an engine, and these would wait for one.
            if route.body is None or route.needs == INFERENCE:
                continue
            schema, path = route.body.json_schema(), path_of(mount, route, **ids)
            for at in sorted(set(numbers(schema, schema.get("$defs", {}))), key=str):
                body = put(route.example or {}, at, value)
                answer = await on.client.request(
                    route.method, path, content=json.dumps(body), headers={"x-api-key": secret}
                )
                tried += 1
                if answer.status_code >= 500:
                    wrong[f"{route.method} {path} {at}"] = answer.text
        assert not wrong
        assert tried > 60
