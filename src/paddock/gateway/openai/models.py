"""Deleting fine-tuned models. Which models there are is told by the routes."""

from __future__ import annotations

from contextlib import suppress

import orjson

from paddock.errors import InvalidRequest, NotFound
from paddock.gateway.app import Route
from paddock.gateway.guard import changeable_model
from paddock.gateway.http import Request, Response
from paddock.gateway.visible import require, visible
from paddock.inference.routing import Directory, Routes
from paddock.services import adapters, tuned_deployments
from paddock.services.keys import Key
from paddock.services.platform import Platform


def model_routes(platform: Platform, directory: Directory) -> list[Route]:
    async def delete(request: Request) -> Response:
        name = request.params["model"]
        gone = await _delete(platform, request.key, visible(directory, request.key), name)
        return Response(orjson.dumps({"id": gone, "object": "model", "deleted": True}))

    return [Route("DELETE", "/models/{model}", delete, "Delete a fine-tuned model.")]


async def _delete(platform: Platform, key: Key, routes: Routes, name: str) -> str:
    """
    Raises:
        ModelNotFound: there is no such model.
        InvalidRequest: it is none that was fine-tuned here.
        Conflict: something needs it.
        Forbidden: the key is not for it, or it is for all and the key is no admin's.
    """
    if (gone := await _delete_named(platform, key, name)) is not None:
        return gone
    # By what else it is called, as when it is asked.
    served = routes.resolve(name).name
    if (gone := await _delete_named(platform, key, served)) is not None:
        return gone
    raise InvalidRequest(
        f"model: {served!r} was not fine-tuned here, or is being deleted; only fine-tuned models are deleted"
        f" so, and a deployment is ended with DELETE /api/v1/deployments/{served}",
        param="model",
    )


async def _delete_named(platform: Platform, key: Key, name: str) -> str | None:
    if (model := await tuned_deployments.owner(platform, key.project, name)) is not None:
        require(key, model.name)
        await changeable_model(platform, key, model)
        return (await tuned_deployments.delete(platform, key.project, model.id)).name
    with suppress(NotFound):
        adapter = await adapters.get(platform, key.project, name)
        require(key, adapter.name)
        return (await adapters.delete(platform, key.project, adapter.id)).name
    return None
