"""The OpenAI/Fireworks dialect at `/v1` and `/inference/v1`."""

from __future__ import annotations

from typing import Any

import orjson
from pydantic import TypeAdapter

from paddock.gateway.app import Mount, Route
from paddock.gateway.http import Request, Response
from paddock.gateway.openai.embed import embed
from paddock.gateway.openai.errors import error_body
from paddock.gateway.openai.generate import generate
from paddock.gateway.validate import parse
from paddock.inference.routing import Deployment, Routes
from paddock.schemas.openai import ChatCompletionRequest, CompletionRequest, EmbeddingRequest

_CHAT: TypeAdapter[Any] = TypeAdapter(ChatCompletionRequest)
_COMPLETION: TypeAdapter[Any] = TypeAdapter(CompletionRequest)
_EMBEDDING: TypeAdapter[Any] = TypeAdapter(EmbeddingRequest)

_HELLO = {"model": "foal", "messages": [{"role": "user", "content": "What is the capital of France?"}]}
_CAPITAL = {"model": "foal", "prompt": "The capital of France is", "max_tokens": 8}


def mounts(routes: Routes) -> list[Mount]:
    """Both faces: `/v1` in OpenAI's shapes, `/inference/v1` in those of the published Fireworks client."""
    return [
        Mount("/v1", "OpenAI", error_body, _routes(routes, fireworks=False)),
        Mount("/inference/v1", "Fireworks", error_body, _routes(routes, fireworks=True)),
    ]


def _routes(routes: Routes, *, fireworks: bool) -> list[Route]:
    async def list_models(request: Request) -> Response:
        data = [_model(deployment, fireworks) for deployment in routes.all()]
        return Response(orjson.dumps({"object": "list", "data": data}))

    async def get_model(request: Request) -> Response:
        return Response(orjson.dumps(_model(routes.resolve(request.params["model"]), fireworks)))

    async def chat(request: Request) -> Response | None:
        return await generate(request, parse(_CHAT, request.body), routes, chat=True, fireworks=fireworks)

    async def complete(request: Request) -> Response | None:
        return await generate(
            request, parse(_COMPLETION, request.body), routes, chat=False, fireworks=fireworks
        )

    async def embeddings(request: Request) -> Response:
        return await embed(request, parse(_EMBEDDING, request.body), routes)

    return [
        Route("GET", "/models", list_models, "The served models."),
        Route("GET", "/models/{model}", get_model, "One served model, by any of its names."),
        Route("POST", "/chat/completions", chat, "Answer a conversation.", body=_CHAT, example=_HELLO),
        Route("POST", "/completions", complete, "Continue a text.", body=_COMPLETION, example=_CAPITAL),
        Route("POST", "/embeddings", embeddings, "Vectors for texts.", body=_EMBEDDING),
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
    if deployment.context_length:
        model["context_length"] = deployment.context_length
    return {**model, "engine": deployment.engine, "ready": bool(deployment.replicas)}
