"""The OpenAI/Fireworks dialect at `/v1`, `/inference/v1`, and pinned to one instance."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from paddock.errors import NotFound
from paddock.gateway.app import Mount, Route
from paddock.gateway.http import Request, Response
from paddock.gateway.openai.batches import batch_routes
from paddock.gateway.openai.bodies import CHAT, COMPLETION, EMBEDDING
from paddock.gateway.openai.embed import embed
from paddock.gateway.openai.errors import error_body
from paddock.gateway.openai.files import file_routes
from paddock.gateway.openai.fine_tuning import fine_tuning_routes
from paddock.gateway.openai.generate import generate
from paddock.gateway.openai.models import model_routes
from paddock.gateway.openai.streams import ENDING
from paddock.gateway.sse import Ending
from paddock.gateway.validate import parse
from paddock.gateway.visible import visible
from paddock.inference.routing import Deployment, Directory, Routes
from paddock.services.keys import INFERENCE
from paddock.services.platform import Platform

_HELLO = {"model": "foal", "messages": [{"role": "user", "content": "What is the capital of France?"}]}
_CAPITAL = {"model": "foal", "prompt": "The capital of France is", "max_tokens": 8}


Scope = Callable[[Request], Routes]
"""The models that a request can mean."""


def mounts(directory: Directory, platform: Platform | None = None) -> list[Mount]:
    """All faces: `/v1` in OpenAI's shapes, also for one instance only, and `/inference/v1` in those of the
    published Fireworks client.

    Args:
        platform: what files and batches are kept with; without it there are none.
    """

    def everything(request: Request) -> Routes:
        return visible(directory, request.key)

    def one_instance(request: Request) -> Routes:
        identity = request.params["instance"]
        deployment = everything(request).by_id(identity)
        if deployment is None:
            raise NotFound(f"there is no instance {identity[:140]!r}", code="instance_not_found")
        return Routes([deployment])

    kept: list[Route] = []
    if platform is not None:
        kept = [
            *file_routes(platform),
            *batch_routes(platform, directory),
            *fine_tuning_routes(platform),
            *model_routes(platform, directory),
        ]
    return [
        Mount("/v1", "OpenAI", error_body, [*_routes(everything, fireworks=False), *kept]),
        Mount("/inference/v1", "Fireworks", error_body, _routes(everything, fireworks=True)),
        Mount(
            "/instances/{instance}/v1",
            "One instance",
            error_body,
            _routes(one_instance, fireworks=False),
            "The OpenAI routes of one deployment, by its id: the `base_url` of a Cortecs instance.",
        ),
    ]


def completion_routes(
    directory: Directory, *, fireworks: bool = False, ending: Ending = ENDING
) -> list[Route]:
    """Chat and plain completions, for this dialect's mounts and for those of others who speak it in part."""
    return _completion_routes(lambda request: visible(directory, request.key), fireworks, ending)


def _completion_routes(scope: Scope, fireworks: bool, ending: Ending) -> list[Route]:
    async def chat(request: Request) -> Response | None:
        fields, routes = parse(CHAT, request.body), scope(request)
        return await generate(request, fields, routes, chat=True, fireworks=fireworks, ending=ending)

    async def complete(request: Request) -> Response | None:
        fields, routes = parse(COMPLETION, request.body), scope(request)
        return await generate(request, fields, routes, chat=False, fireworks=fireworks, ending=ending)

    return [
        Route(
            "POST", "/chat/completions", chat, "Answer a conversation.", INFERENCE, body=CHAT, example=_HELLO
        ),
        Route(
            "POST", "/completions", complete, "Continue a text.", INFERENCE, body=COMPLETION, example=_CAPITAL
        ),
    ]


def _routes(scope: Scope, *, fireworks: bool) -> list[Route]:
    async def list_models(request: Request) -> Response:
        data = [_model(deployment, fireworks) for deployment in scope(request).all()]
        return Response(orjson.dumps({"object": "list", "data": data}))

    async def get_model(request: Request) -> Response:
        return Response(orjson.dumps(_model(scope(request).resolve(request.params["model"]), fireworks)))

    async def embeddings(request: Request) -> Response:
        return await embed(request, parse(EMBEDDING, request.body), scope(request))

    return [
        Route("GET", "/models", list_models, "The served models."),
        Route("GET", "/models/{model}", get_model, "One served model, by any of its names."),
        *_completion_routes(scope, fireworks, ENDING),
        Route("POST", "/embeddings", embeddings, "Vectors for texts.", INFERENCE, body=EMBEDDING),
    ]


def _model(deployment: Deployment, fireworks: bool) -> dict[str, Any]:
    model: dict[str, Any] = {
        "id": deployment.name,
        "object": "model",
        "created": deployment.created,
        "owned_by": deployment.owned_by,
    }
    if fireworks:
        return model
    if parent := deployment.base.name if deployment.base is not None else deployment.parent:
        model["parent"] = parent
    if deployment.context_length:
        model["context_length"] = deployment.context_length
    return {**model, "engine": deployment.engine, "ready": deployment.serves}
