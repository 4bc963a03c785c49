"""A browsable reference of every route, and the OpenAPI document behind it; no file from elsewhere."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from jinja2 import Environment, PackageLoader
from pydantic import TypeAdapter

from paddock import __version__
from paddock.gateway.app import ANY_KEY, PUBLIC, Mount, Route

_SECURITY: dict[str, Any] = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "basic": {"type": "http", "scheme": "basic", "description": "The key as the user's name."},
    "api_key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
}
_NAME = re.compile(r"\{(\w+)\}")


def openapi(mounts: Sequence[Mount]) -> dict[str, Any]:
    """The OpenAPI 3.1 document of all mounts."""
    paths: dict[str, Any] = {}
    schemas: dict[str, Any] = {}
    for mount in mounts:
        for route in mount.routes:
            paths.setdefault(mount.prefix + route.pattern, {})[route.method.lower()] = _operation(
                mount, route, schemas
            )
    return {
        "openapi": "3.1.0",
        "info": {"title": "Paddock", "version": __version__},
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": _SECURITY},
        # One of them, or none where the server asks for no key.
        "security": [*({name: []} for name in _SECURITY), {}],
    }


def page(mounts: Sequence[Mount]) -> bytes:
    """The reference as one HTML page."""
    groups = [
        {
            "title": mount.title,
            "prefix": mount.prefix,
            "anchor": _slug(mount),
            "summary": mount.summary,
            "routes": [_entry(mount, route) for route in mount.routes],
        }
        for mount in mounts
    ]
    environment = Environment(loader=PackageLoader("paddock.gateway.own"), autoescape=True)
    return environment.get_template("docs.html").render(groups=groups, version=__version__).encode()


def _entry(mount: Mount, route: Route) -> dict[str, Any]:
    path = mount.prefix + route.pattern
    return {
        "method": route.method,
        "path": path,
        "summary": route.summary,
        "curl": _curl(route, path),
        "fields": _fields(route),
        "query": route.query,
    }


def _curl(route: Route, path: str) -> str:
    body = route.example is not None
    # With a body curl posts, without one it gets.
    method = "" if route.method == ("POST" if body else "GET") else f"-X {route.method} "
    curl = f"curl {method}http://127.0.0.1:8800{path}"
    if body:
        curl += f" \\\n  -H 'content-type: application/json' \\\n  -d '{json.dumps(route.example)}'"
    return curl


def _slug(mount: Mount) -> str:
    return re.sub(r"[^\w.-]+", "-", mount.prefix).strip("-") or "server"


def _operation(mount: Mount, route: Route, schemas: dict[str, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": "OK"}
    if isinstance(route.answer, TypeAdapter):
        schema = {"schema": _reference(mount, route.answer, schemas)}
        answer["content"] = {"application/json": schema}
    operation: dict[str, Any] = {
        "summary": route.summary,
        "tags": [mount.title],
        "responses": {"2XX": answer, "default": {"description": "An error in the dialect's shape"}},
    }
    if route.needs == PUBLIC:
        operation["security"] = []
    elif route.needs != ANY_KEY:
        operation["description"] = f"Needs a key with the scope `{route.needs}`, where keys are asked for."
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _NAME.findall(mount.prefix + route.pattern)
    ]
    parameters += [
        {"name": name, "in": "query", "description": text, "schema": {"type": "string"}}
        for name, text in route.query.items()
    ]
    if parameters:
        operation["parameters"] = parameters
    if isinstance(route.body, TypeAdapter):
        content: dict[str, Any] = {"schema": _reference(mount, route.body, schemas)}
        if route.example is not None:
            content["example"] = route.example
        operation["requestBody"] = {"required": True, "content": {"application/json": content}}
    return operation


def _reference(mount: Mount, type: TypeAdapter[Any], schemas: dict[str, Any]) -> dict[str, str]:
    """To the schema of a type, which is put among `schemas`."""
    # Dialects have types of the same names.
    prefix = f"{_slug(mount)}."
    schema = type.json_schema(ref_template=f"#/components/schemas/{prefix}{{model}}")
    found = {**schema.pop("$defs", {}), schema.get("title", "Body"): schema}
    schemas.update({prefix + name: definition for name, definition in found.items()})
    return {"$ref": f"#/components/schemas/{prefix}{schema.get('title', 'Body')}"}


def _fields(route: Route) -> list[dict[str, Any]]:
    if not isinstance(route.body, TypeAdapter):
        return []
    schema = route.body.json_schema()
    properties: dict[str, Any] = schema.get("properties", {})
    required = set(schema.get("required", ()))
    return [
        {
            "name": name,
            "type": _type(spec),
            "required": name in required,
            "text": spec.get("description", ""),
        }
        for name, spec in sorted(properties.items(), key=lambda item: item[0] not in required)
    ]


def _type(spec: dict[str, Any]) -> str:
    if "anyOf" in spec:
        return " or ".join(_type(option) for option in spec["anyOf"] if option.get("type") != "null")
    if "$ref" in spec:
        return str(spec["$ref"]).rsplit("/", 1)[-1]
    if "enum" in spec:
        return " or ".join(json.dumps(value) for value in spec["enum"])
    kind = str(spec.get("type", "any"))
    if kind == "array":
        return f"list of {_type(spec.get('items', {}))}"
    bounds = [
        f"{sign} {spec[key]:g}"
        for key, sign in (("minimum", "≥"), ("exclusiveMinimum", ">"), ("maximum", "≤"))
        if key in spec
    ]
    return " ".join([kind, *bounds])
