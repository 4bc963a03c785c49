"""The reference page and the OpenAPI document, from mounts as the dialects make them."""

from __future__ import annotations

import html
from typing import Any

import pytest
from pydantic import BaseModel, Field, TypeAdapter

from paddock.gateway.app import Mount, Route
from paddock.gateway.own.docs import openapi, page
from paddock.gateway.own.routes import error_body


class Inner(BaseModel):
    size: int


class Create(BaseModel):
    name: str = Field(description="What it is called.")
    inner: Inner | None = None


class Things(BaseModel):
    data: list[Inner]


def other_type() -> Any:
    """A type of another dialect that has the same name and is not the same."""

    class Create(BaseModel):
        model: int

    return Create


async def endpoint(request: Any) -> None: ...


@pytest.fixture
def mounts() -> list[Mount]:
    one = [
        Route("GET", "/things", endpoint, "All.", query={"limit": "how many"}, answer=TypeAdapter(Things)),
        Route("POST", "/things", endpoint, "Make.", body=TypeAdapter(Create), example={"name": "a"}),
        Route("PATCH", "/things/{name}", endpoint, "Change.", example={"name": "b"}),
        Route("DELETE", "/things/{name}", endpoint, "Delete."),
        Route("POST", "/things/{name}/stop", endpoint, "Stop."),
    ]
    two = [Route("POST", "/things/{name}", endpoint, "Make.", body=TypeAdapter(other_type()))]
    return [
        Mount("/one/v1", "One", error_body, one, "For things."),
        Mount("/{id}/two", "Two", error_body, two),
    ]


class TestPage:
    def test_groups_by_mount(self, mounts: list[Mount]) -> None:
        text = page(mounts).decode()
        assert '<a href="#one-v1">One' in text
        assert '<section id="one-v1">' in text
        assert "<p>For things.</p>" in text
        assert (
            text.index("One <small>") < text.index("/one/v1/things/{name}/stop") < text.index("Two <small>")
        )

    def test_commands_use_the_route_s_method(self, mounts: list[Mount]) -> None:
        text = html.unescape(page(mounts).decode())
        address = "http://127.0.0.1:8800/one/v1/things"
        for command in (
            f"curl {address}<",
            f"curl {address} \\\n  -H 'content-type: application/json' \\\n  -d '{{\"name\": \"a\"}}'",
            f"curl -X PATCH {address}/{{name}} \\\n",
            f"curl -X DELETE {address}/{{name}}<",
            f"curl -X POST {address}/{{name}}/stop<",
        ):
            assert command in text

    def test_query_and_fields(self, mounts: list[Mount]) -> None:
        text = page(mounts).decode()
        assert "<td><code>limit</code></td><td>how many</td>" in text
        assert "<code>name</code> *</td><td>string</td><td>What it is called.</td>" in text


class TestOpenApi:
    def test_types_of_the_same_name_are_kept_apart(self, mounts: list[Mount]) -> None:
        document = openapi(mounts)
        schemas = document["components"]["schemas"]
        assert set(schemas) == {"one-v1.Create", "one-v1.Inner", "one-v1.Things", "id-two.Create"}
        assert set(schemas["id-two.Create"]["properties"]) == {"model"}
        body = document["paths"]["/one/v1/things"]["post"]["requestBody"]["content"]["application/json"]
        assert body == {"schema": {"$ref": "#/components/schemas/one-v1.Create"}, "example": {"name": "a"}}
        inner = schemas["one-v1.Create"]["properties"]["inner"]["anyOf"][0]
        assert inner == {"$ref": "#/components/schemas/one-v1.Inner"}

    def test_answers(self, mounts: list[Mount]) -> None:
        told = openapi(mounts)["paths"]["/one/v1/things"]["get"]["responses"]["2XX"]
        assert told["content"] == {
            "application/json": {"schema": {"$ref": "#/components/schemas/one-v1.Things"}}
        }

    def test_parameters(self, mounts: list[Mount]) -> None:
        paths = openapi(mounts)["paths"]
        assert [(one["name"], one["in"]) for one in paths["/one/v1/things"]["get"]["parameters"]] == [
            ("limit", "query")
        ]
        found = paths["/{id}/two/things/{name}"]["post"]["parameters"]
        assert [(one["name"], one["in"]) for one in found] == [("id", "path"), ("name", "path")]
