"""What happened to deployments, in Paddock's own API: as pages, and as it happens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic import TypeAdapter

from paddock.gateway.app import Route
from paddock.gateway.http import Request, Response, query_values
from paddock.gateway.own.follow import Read, event, follow, resume_from, wants_stream
from paddock.gateway.own.query import number
from paddock.schemas.own import Event
from paddock.services import deployments, events
from paddock.services.deployments import LOCAL
from paddock.services.platform import Platform

PAGE = 100
LARGEST_PAGE = 1000
_QUERY = {
    "after": "only those after the one with this id, the oldest first; without it, the newest ones",
    "deployment": "only those of the deployment of this name or id",
    "limit": f"1 to {LARGEST_PAGE}, by default {PAGE}",
    "follow": "true: as server-sent events, as they happen",
}
_PAGE: TypeAdapter[Any] = TypeAdapter(dict[str, list[Event] | int | None])


def routes(platform: Platform, ending: Callable[[], bool]) -> list[Route]:
    """
    Args:
        ending: whether the server drains.
    """

    async def look(request: Request) -> Response | None:
        values = query_values(request, _QUERY)
        limit = number(values, "limit", PAGE, least=1, most=LARGEST_PAGE)
        last = resume_from(request, values)
        deployment_id = None
        if "deployment" in values:
            deployment_id = (await deployments.get(platform, LOCAL, values["deployment"])).id
        if wants_stream(request, values):
            if last is None:
                newest = await platform.store.read(lambda session: events.latest(session, LOCAL, limit=1))
                last = newest[0].id if newest else 0
            await follow(request, platform.store, _reading(platform, deployment_id, last), ending)
            return None
        found = await _page(platform, deployment_id, last, limit)
        more = last is not None and len(found) == limit
        return Response(_PAGE.dump_json({"data": found, "next": found[-1].id if more else None}))

    return [Route("GET", "/events", look, "What happened, and what happens.", query=_QUERY)]


async def _page(platform: Platform, deployment_id: str | None, last: int | None, limit: int) -> list[Event]:
    if last is None:
        return await platform.store.read(
            lambda session: events.latest(session, LOCAL, deployment_id=deployment_id, limit=limit)
        )
    return await platform.store.read(
        lambda session: events.after(session, LOCAL, last, deployment_id=deployment_id, limit=limit)
    )


def _reading(platform: Platform, deployment_id: str | None, last: int) -> Read:
    async def read() -> bytes:
        nonlocal last
        found = await _page(platform, deployment_id, last, PAGE)
        if found:
            last = found[-1].id
        return b"".join(event(one.id, one.model_dump_json(), one.kind) for one in found)

    return read
