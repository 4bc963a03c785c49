"""What happened to deployments and jobs, in Paddock's own API: as pages, and as it happens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter

from paddock.gateway.app import Route
from paddock.gateway.guard import shown_event
from paddock.gateway.http import Request, Response, query_values
from paddock.gateway.own.follow import Read, event, follow, resume_from, wants_stream
from paddock.gateway.query import number
from paddock.schemas.own import Event
from paddock.services import deployments, events, jobs
from paddock.services.keys import Key
from paddock.services.platform import Platform
from paddock.store.sessions import ReadSession

PAGE = 100
LARGEST_PAGE = 1000
_QUERY = {
    "after": "only those after the one with this id, the oldest first; without it, the newest ones",
    "deployment": "only those of the deployment of this name or id",
    "job": "only those of the job of this id",
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
            deployment_id = (await deployments.get(platform, request.project, values["deployment"])).id
        job_id = None
        if "job" in values:
            job_id = (await jobs.get(platform, request.project, values["job"])).id
        wanted = _Wanted(platform, request.key, deployment_id, job_id)
        if wants_stream(request, values):
            if last is None:
                newest = await platform.store.read(
                    lambda session: events.latest(session, request.project, limit=1)
                )
                last = newest[0].id if newest else 0
            await follow(request, platform.store, _reading(wanted, last), ending)
            return None
        found = await wanted.page(last, limit)
        more = last is not None and len(found) == limit
        return Response(_PAGE.dump_json({"data": found, "next": found[-1].id if more else None}))

    return [Route("GET", "/events", look, "What happened, and what happens.", query=_QUERY)]


@dataclass(frozen=True)
class _Wanted:
    """What the key sees of whose events; None for those of all."""

    platform: Platform
    key: Key
    deployment_id: str | None
    job_id: str | None

    async def page(self, last: int | None, limit: int) -> list[Event]:
        """The newest ones, or those after the event `last`."""

        def work(session: ReadSession) -> list[Event]:
            of = {"deployment_id": self.deployment_id, "job_id": self.job_id}
            if last is None:
                return events.latest(session, self.key.project, **of, limit=limit)
            return events.after(session, self.key.project, last, **of, limit=limit)

        return [shown_event(self.key, one) for one in await self.platform.store.read(work)]


def _reading(wanted: _Wanted, last: int) -> Read:
    async def read() -> bytes:
        nonlocal last
        found = await wanted.page(last, PAGE)
        if found:
            last = found[-1].id
        return b"".join(event(one.id, one.model_dump_json(), one.kind) for one in found)

    return read
