"""Jobs of all dialects in Paddock's own API: how far they are, and their end."""

from __future__ import annotations

from typing import Any, get_args

from pydantic import TypeAdapter

from paddock.errors import InvalidRequest, NotFound
from paddock.gateway.app import ANY_KEY, Route, require_scope
from paddock.gateway.http import Request, Response, query_values
from paddock.gateway.query import number
from paddock.schemas.jobs import Job, JobState
from paddock.services import jobs
from paddock.services.finetunes.spec import KIND as FINE_TUNE
from paddock.services.keys import INFERENCE, MANAGE
from paddock.services.platform import Platform

PAGE = 100
LARGEST_PAGE = 1000
_STATES: tuple[str, ...] = get_args(JobState)
_LIST = {
    "limit": f"1 to {LARGEST_PAGE}, by default {PAGE}",
    "after": "the `next` of the page before",
    "state": f"only those in one of these states, with commas between: {', '.join(_STATES)}",
    "kind": "only those of this kind: batch or ft",
}
_PAGE: TypeAdapter[Any] = TypeAdapter(dict[str, list[Job] | str | None])


def routes(platform: Platform) -> list[Route]:
    async def list_page(request: Request) -> Response:
        values = query_values(request, _LIST)
        limit = number(values, "limit", PAGE, least=1, most=LARGEST_PAGE)
        states = _read_states(values["state"]) if "state" in values else None
        try:
            page = await jobs.list_page(
                platform,
                request.project,
                limit=limit,
                after=values.get("after"),
                states=states,
                kind=values.get("kind"),
            )
        except NotFound as error:
            raise InvalidRequest(f"after: {error.message}; begin again without it", param="after") from None
        body = {"data": page.jobs, "next": page.jobs[-1].id if page.more else None}
        return Response(_PAGE.dump_json(body))

    async def get(request: Request) -> Response:
        return _answer(await jobs.get(platform, request.project, request.params["job"]))

    async def cancel(request: Request) -> Response:
        job = await jobs.get(platform, request.project, request.params["job"])
        # As where it was asked for: to learn changes what the project has.
        require_scope(request.key, MANAGE if job.kind == FINE_TUNE else INFERENCE)
        return _answer(await jobs.cancel(platform, request.project, job.id))

    return [
        Route("GET", "/jobs", list_page, "Batches and other long work, the newest first.", query=_LIST),
        Route("GET", "/jobs/{job}", get, "One job, and how far it is."),
        Route("POST", "/jobs/{job}/cancel", cancel, "Stop it within a second of work.", ANY_KEY),
    ]


def _read_states(text: str) -> list[str]:
    """
    Raises:
        InvalidRequest: one of them is none.
    """
    states = text.split(",")
    for state in states:
        if state not in _STATES:
            raise InvalidRequest(
                f"state must be one or several of {', '.join(_STATES)}, with commas between, not"
                f" {state[:40]!r}",
                param="state",
            )
    return states


def _answer(job: Job) -> Response:
    return Response(job.model_dump_json().encode())
