"""Deleting fine-tuned models. Which models there are is told by the routes."""

from __future__ import annotations

from contextlib import suppress

import orjson

from paddock.errors import InvalidRequest, NotFound
from paddock.gateway.app import Route
from paddock.gateway.http import Request, Response
from paddock.inference.routing import Directory, Routes
from paddock.services import adapters, tuned_deployments
from paddock.services.platform import Platform


def model_routes(platform: Platform, directory: Directory) -> list[Route]:
    async def delete(request: Request) -> Response:
        name = request.params["model"]
        gone = await _delete(platform, request.project, directory.of(request.project), name)
        return Response(orjson.dumps({"id": gone, "object": "model", "deleted": True}))

    return [Route("DELETE", "/models/{model}", delete, "Delete a fine-tuned model.")]


async def _delete(platform: Platform, project: str, routes: Routes, name: str) -> str:
    """
    Raises:
        ModelNotFound: there is no such model.
        InvalidRequest: it is none that was fine-tuned here.
        Conflict: something needs it.
    """
    if (gone := await _delete_named(platform, project, name)) is not None:
        return gone
    # By what else it is called, as when it is asked.
    served = routes.resolve(name).name
    if (gone := await _delete_named(platform, project, served)) is not None:
        return gone
    raise InvalidRequest(
        f"model: {served!r} was not fine-tuned here, or is being deleted; only fine-tuned models are deleted"
        f" so, and a deployment is ended with DELETE /api/v1/deployments/{served}",
        param="model",
    )


async def _delete_named(platform: Platform, project: str, name: str) -> str | None:
    if (model := await tuned_deployments.owner(platform, project, name)) is not None:
        return (await tuned_deployments.delete(platform, project, model.id)).name
    with suppress(NotFound):
        return (await adapters.delete(platform, project, name)).name
    return None
