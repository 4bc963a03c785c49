"""The engine processes that live, in Paddock's own API."""

from __future__ import annotations

import orjson

from paddock.gateway.app import Route
from paddock.gateway.http import Request, Response, query_values
from paddock.services import deployments
from paddock.services.live_replicas import live_replicas
from paddock.services.platform import Platform

_QUERY = {"deployment": "only those of the deployment of this name or id"}


def routes(platform: Platform) -> list[Route]:
    async def list_live(request: Request) -> Response:
        values = query_values(request, _QUERY)
        wanted = None
        if "deployment" in values:
            wanted = (await deployments.get(platform, request.project, values["deployment"])).id
        found = await platform.store.read(
            lambda session: live_replicas(session, request.project, deployment_id=wanted)
        )
        data = [
            {
                **one.replica.model_dump(),
                "deployment": one.deployment,
                "deployment_id": one.deployment_id,
            }
            for one in found
        ]
        return Response(orjson.dumps({"data": data}))

    return [Route("GET", "/replicas", list_live, "The replicas that have not ended.", query=_QUERY)]
