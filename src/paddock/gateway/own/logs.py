"""What engines write, in Paddock's own API."""

from __future__ import annotations

from collections.abc import Callable

from pydantic import TypeAdapter

from paddock.errors import NotFound
from paddock.gateway.app import Route
from paddock.gateway.guard import changeable
from paddock.gateway.http import Request, Response, query_values
from paddock.gateway.own.follow import event, follow, resume_from, wants_stream
from paddock.gateway.query import number
from paddock.schemas.own import LogLine
from paddock.services import deployments, events
from paddock.services.keys import MANAGE
from paddock.services.platform import Platform
from paddock.store.sessions import ReadSession

_QUERY = {
    "after": "only lines after the one with this id",
    "tail": f"only the last so many of them, up to {events.KEPT_LINES}",
    "follow": "true: as server-sent events, while more come",
}
_LINES = TypeAdapter(dict[str, list[LogLine]])


def routes(platform: Platform, ending: Callable[[], bool]) -> list[Route]:
    """
    Args:
        ending: whether the server drains.
    """

    async def logs(request: Request) -> Response | None:
        values = query_values(request, _QUERY)
        tail = number(values, "tail", events.KEPT_LINES, least=1, most=events.KEPT_LINES)
        deployment = await changeable(platform, request, request.params["name"])
        last = resume_from(request, values) or 0
        if not wants_stream(request, values):
            lines = await platform.store.read(lambda session: _lines(session, deployment.id, last))
            return Response(_LINES.dump_json({"lines": lines[-tail:]}))

        async def read() -> bytes | None:
            nonlocal last, tail
            lines, gone = await platform.store.read(look)
            if lines:
                last = lines[-1].id
                sent, tail = lines[-tail:], events.KEPT_LINES
                return b"".join(event(line.id, line.model_dump_json()) for line in sent)
            return None if gone else b""

        def look(session: ReadSession) -> tuple[list[LogLine], bool]:
            return _lines(session, deployment.id, last), _is_gone(session, request.project, deployment.id)

        await follow(request, platform.store, read, ending)
        return None

    return [
        Route(
            "GET",
            "/deployments/{name}/logs",
            logs,
            "The last lines of its engines' logs, and those to come.",
            MANAGE,
            query=_QUERY,
        )
    ]


def _lines(session: ReadSession, deployment_id: str, after: int) -> list[LogLine]:
    found = events.lines_after(session, deployment_id, after)
    return [LogLine(id=id, at=at, replica=replica, text=text) for id, at, replica, text in found]


def _is_gone(session: ReadSession, project: str, deployment_id: str) -> bool:
    try:
        deployments.find(session, project, deployment_id)
    except NotFound:
        return True
    return False
