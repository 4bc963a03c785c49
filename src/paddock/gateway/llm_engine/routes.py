"""The LLM Engine dialect at `/llm-engine`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import orjson

from paddock.errors import InvalidRequest, PaddockError
from paddock.gateway.app import PUBLIC, Endpoint, Mount, Route
from paddock.gateway.http import Request, Response, query_values
from paddock.gateway.llm_engine import bodies, completions, endpoints
from paddock.gateway.llm_engine.batches import batch_routes
from paddock.gateway.llm_engine.completions import NAME, QUERY
from paddock.gateway.llm_engine.downloads import download_routes
from paddock.gateway.llm_engine.errors import error_body
from paddock.gateway.llm_engine.files import file_routes
from paddock.gateway.llm_engine.finetunes import fine_tune_routes
from paddock.gateway.visible import visible
from paddock.inference.routing import Directory
from paddock.services.keys import INFERENCE
from paddock.services.platform import Platform

PREFIX = "/llm-engine"
_ENDPOINTS = "/v1/llm/model-endpoints"
_PONY = {
    "name": "pony",
    "model_name": "paddock/foal",
    "min_workers": 0,
    "max_workers": 1,
    "per_worker": 2,
}
_CAPITAL = {"prompt": "The capital of France is", "max_new_tokens": 8, "temperature": 0}


def mount(
    directory: Directory,
    platform: Platform,
    openai: Sequence[Route],
    refusal: Callable[[], PaddockError | None],
) -> Mount:
    """
    Args:
        openai: the routes of OpenAI's shapes, which this dialect has as its second version. Their streams
            must end as `errors.ENDING` says.
        refusal: why no requests are taken at the moment, or None if they are.
    """

    async def healthz(request: Request) -> Response:
        reason = refusal()
        if reason is not None:
            return Response(orjson.dumps({"status": reason.code, "detail": reason.message}), 503)
        return Response(b'{"status":"ok"}')

    async def readyz(request: Request) -> Response:
        seen = visible(directory, request.key).all()
        waiting = {one.name: one.problem for one in seen if not one.serves and one.base is None}
        if waiting or refusal() is not None:
            return Response(orjson.dumps({"status": "waiting", "models": waiting}), 503)
        return Response(b'{"status":"ok"}')

    return Mount(
        PREFIX,
        "LLM Engine",
        error_body,
        [
            *_endpoint_routes(platform),
            *_completion_routes(directory),
            *file_routes(platform),
            *batch_routes(platform, directory),
            *fine_tune_routes(platform),
            *download_routes(platform, PREFIX),
            *(_second_version(route) for route in openai),
            Route(
                "GET",
                "/healthz",
                healthz,
                "200 once requests can be taken.",
                PUBLIC,
                always=True,
                logged=False,
            ),
            Route(
                "GET", "/readyz", readyz, "200 once every endpoint serves.", PUBLIC, always=True, logged=False
            ),
        ],
    )


def _endpoint_routes(platform: Platform) -> list[Route]:
    def on(verb: Callable[[Request, Platform], Any]) -> Endpoint:
        return lambda request: verb(request, platform)

    one = _ENDPOINTS + "/{name}"
    return [
        Route(
            "POST",
            _ENDPOINTS,
            on(endpoints.create),
            "Make a model endpoint.",
            body=bodies.CREATE,
            example=_PONY,
        ),
        Route(
            "GET",
            _ENDPOINTS,
            on(endpoints.list_all),
            "Every model endpoint.",
            query=endpoints.LISTED,
        ),
        Route("GET", one, on(endpoints.get), "One model endpoint."),
        Route(
            "PUT",
            one,
            on(endpoints.update),
            "Change what is given of it.",
            body=bodies.UPDATE,
            example={"max_workers": 2},
        ),
        Route("DELETE", one, on(endpoints.delete), "End its workers and forget it."),
    ]


def _completion_routes(directory: Directory) -> list[Route]:
    async def sync(request: Request) -> Response:
        return await completions.complete(request, visible(directory, request.key))

    async def stream(request: Request) -> None:
        await completions.stream(request, visible(directory, request.key))

    return [
        Route(
            "POST",
            "/v1/llm/completions-sync",
            sync,
            "Continue a text.",
            INFERENCE,
            body=completions.SYNC,
            example=_CAPITAL,
            query=QUERY,
        ),
        Route(
            "POST",
            "/v1/llm/completions-stream",
            stream,
            "Continue a text, token by token.",
            INFERENCE,
            body=completions.STREAM,
            example=_CAPITAL,
            query=QUERY,
        ),
    ]


def _second_version(route: Route) -> Route:
    """A route of OpenAI's shapes at `/v2`; the endpoint may be named in the query as well."""

    async def named(request: Request) -> Response | None:
        name = query_values(request, QUERY).get(NAME)
        if name is not None:
            request.body = _with_model(request.body, name)
        return await route.endpoint(request)

    return dataclasses.replace(route, pattern=f"/v2{route.pattern}", endpoint=named, query=QUERY)


def _with_model(body: bytes, name: str) -> bytes:
    try:
        fields = orjson.loads(body)
    except orjson.JSONDecodeError:
        return body
    if not isinstance(fields, dict):
        return body
    if fields.get("model") not in (None, name):
        raise InvalidRequest(
            f"{NAME} in the query is {name!r} and model in the body another: name one", param=NAME
        )
    return orjson.dumps({**fields, "model": name})
