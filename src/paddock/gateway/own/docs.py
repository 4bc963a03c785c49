"""A browsable reference of every route, and the OpenAPI document behind it; no file from elsewhere."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from jinja2 import Environment, PackageLoader
from pydantic import TypeAdapter

from paddock import __version__
from paddock.gateway.app import Mount, Route

_REF = "#/components/schemas/{model}"


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
        "components": {"schemas": schemas},
    }


def page(mounts: Sequence[Mount]) -> bytes:
    """The reference as one HTML page."""
    groups = [
        {
            "title": mount.title,
            "prefix": mount.prefix or "/",
            "routes": [_entry(mount, route) for route in mount.routes],
        }
        for mount in mounts
    ]
    environment = Environment(loader=PackageLoader("paddock.gateway.own"), autoescape=True)
    return environment.get_template("docs.html").render(groups=groups, version=__version__).encode()


def _entry(mount: Mount, route: Route) -> dict[str, Any]:
    path = mount.prefix + route.pattern
    curl = f"curl http://127.0.0.1:8800{path}"
    if route.example is not None:
        curl += f" \\\n  -H 'content-type: application/json' \\\n  -d '{json.dumps(route.example)}'"
    return {
        "method": route.method,
        "path": path,
        "summary": route.summary,
        "curl": curl,
        "fields": _fields(route),
    }


def _operation(mount: Mount, route: Route, schemas: dict[str, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "summary": route.summary,
        "tags": [mount.title],
        "responses": {
            "200": {"description": "OK"},
            "default": {"description": "An error in the dialect's shape"},
        },
    }
    names = [part[1:-1] for part in route.pattern.split("/") if part.startswith("{")]
    if names:
        operation["parameters"] = [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names
        ]
    if isinstance(route.body, TypeAdapter):
        schema = route.body.json_schema(ref_template=_REF)
        schemas.update(schema.pop("$defs", {}))
        name = schema.get("title", "Body")
        schemas[name] = schema
        content = {"schema": {"$ref": _REF.format(model=name)}}
        if route.example is not None:
            content["example"] = route.example
        operation["requestBody"] = {"required": True, "content": {"application/json": content}}
    return operation


def _fields(route: Route) -> list[dict[str, Any]]:
    if not isinstance(route.body, TypeAdapter):
        return []
    schema = route.body.json_schema()
    required = set(schema.get("required", ()))
    return [
        {
            "name": name,
            "type": _type(spec),
            "required": name in required,
            "text": spec.get("description", ""),
        }
        for name, spec in sorted(schema["properties"].items(), key=lambda item: item[0] not in required)
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
