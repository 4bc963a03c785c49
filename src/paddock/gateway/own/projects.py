"""Projects and their limits in Paddock's own API, for whoever runs the server."""

from __future__ import annotations

import time

import orjson
from pydantic import TypeAdapter

from paddock.gateway.app import Route
from paddock.gateway.http import Request, Response
from paddock.gateway.validate import parse_whole
from paddock.schemas.own_keys import UpdateProject
from paddock.services import projects
from paddock.services.keys import ADMIN
from paddock.services.platform import Platform

_UPDATE = TypeAdapter(UpdateProject)
_EXAMPLE = {"limits": {"requests_per_minute": 600, "budget": 50, "budget_period": "month"}}


def routes(platform: Platform) -> list[Route]:
    async def list_all(request: Request) -> Response:
        found = await platform.store.read(projects.list_all)
        return Response(orjson.dumps({"data": [projects.show(one) for one in found]}))

    async def update(request: Request) -> Response:
        asked = parse_whole(_UPDATE, request.body).limits.model_dump(exclude_unset=True)
        name, now = request.params["project"], time.time()
        changed = await platform.change(lambda session: projects.set_limits(session, name, asked, now))
        return Response(orjson.dumps(projects.show(changed)))

    return [
        Route("GET", "/projects", list_all, "The projects that have keys, with their limits.", ADMIN),
        Route(
            "PATCH",
            "/projects/{project}",
            update,
            "Change its limits; null takes one away.",
            ADMIN,
            body=_UPDATE,
            example=_EXAMPLE,
        ),
    ]
