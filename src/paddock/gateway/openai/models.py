"""Deleting fine-tuned models. Which models there are is told by the routes."""

from __future__ import annotations

from contextlib import suppress

import orjson

from paddock.errors import InvalidRequest, NotFound
from paddock.gateway.app import Route
from paddock.gateway.http import Request, Response
from paddock.inference.routing import Routes
from paddock.services import adapters, tuned_deployments
from paddock.services.deployments import LOCAL
from paddock.services.platform import Platform


def model_routes(platform: Platform, routes: Routes) -> list[Route]:
    async def delete(request: Request) -> Response:
        name = request.params["model"]
        gone = await _delete(platform, routes, name)
        return Response(orjson.dumps({"id": gone, "object": "model", "deleted": True}))

    return [Route("DELETE", "/models/{model}", delete, "Delete a fine-tuned model.")]


async def _delete(platform: Platform, routes: Routes, name: str) -> str:
    """
    Raises:
        ModelNotFound: there is no such model.
        InvalidRequest: it is none that was fine-tuned here.
        Conflict: something needs it.
    """
    if (gone := await _delete_named(platform, name)) is not None:
        return gone
    # By what else it is called, as when it is asked.
    served = routes.resolve(name).name
    if (gone := await _delete_named(platform, served)) is not None:
        return gone
    raise InvalidRequest(
        f"model: {served!r} was not fine-tuned here, or is being deleted; only fine-tuned models are deleted"
        f" so, and a deployment is ended with DELETE /api/v1/deployments/{served}",
        param="model",
    )


async def _delete_named(platform: Platform, name: str) -> str | None:
    if (model := await tuned_deployments.owner(platform, LOCAL, name)) is not None:
        return (await tuned_deployments.delete(platform, LOCAL, model.id)).name
    with suppress(NotFound):
        return (await adapters.delete(platform, LOCAL, name)).name
    return None
