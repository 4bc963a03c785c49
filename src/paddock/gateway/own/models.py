"""The models that can be deployed, in Paddock's own API."""

from __future__ import annotations

import orjson

from paddock.gateway.app import Route
from paddock.gateway.http import Request, Response
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
)
"""What is kept back, such as paths of this machine, is nobody's business."""


def routes(platform: Platform) -> list[Route]:
    async def catalogue(request: Request) -> Response:
        found = await in_thread(platform.catalogue.all)
        return Response(
            orjson.dumps({"data": [{name: getattr(one, name) for name in _SHOWN} for one in found]})
        )

    return [Route("GET", "/models", catalogue, "The models that are here to be deployed.")]
