"""The models that can be deployed, in Paddock's own API."""

from __future__ import annotations

import orjson

from paddock.gateway.app import Route
from paddock.gateway.http import Request, Response
from paddock.services import tuned_models
from paddock.services.platform import Platform, in_thread

_SHOWN = (
    "name",
    "screen_name",
    "creator",
    "description",
    "context_length",
    "size",
    "parameters",
    "generates",
    "embeds",
    "parent",
)
"""What is kept back, such as paths of this machine, is nobody's business."""


def routes(platform: Platform) -> list[Route]:
    async def catalogue(request: Request) -> Response:
        tuned = await platform.store.read(lambda session: tuned_models.known(session, request.project))
        found = await in_thread(lambda: platform.catalogue.all(tuned))
        return Response(
            orjson.dumps({"data": [{name: getattr(one, name) for name in _SHOWN} for one in found]})
        )

    return [Route("GET", "/models", catalogue, "The models that are here to be deployed.")]
