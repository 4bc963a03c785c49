"""OpenAI's fine-tuning jobs: made, looked at and cancelled. The work itself is a job, which a worker does."""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel, TypeAdapter

from paddock.errors import InvalidRequest, NotFound
from paddock.gateway.app import Route
from paddock.gateway.http import Request, Response, query_values
from paddock.gateway.openai.fine_tuning_views import checkpoint_view, event_view, view
from paddock.gateway.query import number
from paddock.gateway.validate import parse_whole
from paddock.gateway.visible import permit
from paddock.schemas.openai_fine_tuning import (
    CreateFineTuningJob,
    FineTuningJob,
    FineTuningJobCheckpoint,
    FineTuningJobCheckpointPage,
    FineTuningJobEvent,
    FineTuningJobEventPage,
    FineTuningJobPage,
    Integration,
)
from paddock.services import jobs
from paddock.services.finetunes import asking, checkpoints, tracking
from paddock.services.finetunes.asking import Asked
from paddock.services.finetunes.spec import KIND
from paddock.services.finetunes.tracking import Wandb
from paddock.services.platform import Platform

PAGE, LARGEST_PAGE = 20, 100
_CREATE = TypeAdapter(CreateFineTuningJob)
_EXAMPLE = {"model": "paddock/foal", "training_file": "file-0123456789abcdef01234567", "suffix": "shop"}
_LIST = {
    "limit": f"1 to {LARGEST_PAGE}, by default {PAGE}",
    "after": "the id of the last one of the page before",
}
_JOB, _JOBS = TypeAdapter(FineTuningJob), TypeAdapter(FineTuningJobPage)
_EVENTS, _CHECKPOINTS = TypeAdapter(FineTuningJobEventPage), TypeAdapter(FineTuningJobCheckpointPage)
Shown = TypeVar("Shown", FineTuningJobEvent, FineTuningJobCheckpoint)


def fine_tuning_routes(platform: Platform) -> list[Route]:
    async def create(request: Request) -> Response:
        asked = parse_whole(_CREATE, request.body)
        field, hyperparameters = asked.supervised_hyperparameters()
        job = await asking.create(
            platform,
            request.project,
            Asked(
                dialect="openai",
                key_id=request.key.id,
                model=asked.model,
                training_file=asked.training_file,
                validation_file=asked.validation_file,
                suffix=asked.suffix,
                seed=asked.seed,
                hyperparameters=hyperparameters,
                hyperparameters_field=field,
                labels=asked.metadata or {},
                wandb=_wandb(asked.integrations or []),
            ),
            permit(request.key),
        )
        return _answer(view(job))

    async def list_page(request: Request) -> Response:
        values = query_values(request, _LIST)
        limit = number(values, "limit", PAGE, least=1, most=LARGEST_PAGE)
        try:
            page = await jobs.list_page(
                platform, request.project, limit=limit, after=values.get("after"), kind=KIND
            )
        except NotFound as error:
            raise InvalidRequest(f"after: {error.message}; begin again without it", param="after") from None
        return _answer(FineTuningJobPage(data=[view(job) for job in page.jobs], has_more=page.more))

    async def get(request: Request) -> Response:
        return _answer(view(await jobs.get(platform, request.project, request.params["job"], kind=KIND)))

    async def cancel(request: Request) -> Response:
        return _answer(view(await jobs.cancel(platform, request.project, request.params["job"], kind=KIND)))

    async def list_events(request: Request) -> Response:
        found = await asking.events_of(platform, request.project, request.params["job"])
        page, more = _page([event_view(one) for one in reversed(found)], request)
        return _answer(FineTuningJobEventPage(data=page, has_more=more))

    async def list_checkpoints(request: Request) -> Response:
        """Those from the middle of it cannot be asked: what comes of the whole job is the only one."""
        job = await jobs.get(platform, request.project, request.params["job"], kind=KIND)
        found = await checkpoints.final(platform, request.project, job)
        page, more = _page([checkpoint_view(found, job)] if found is not None else [], request)
        ends = (page[0].id, page[-1].id) if page else (None, None)
        body = FineTuningJobCheckpointPage(data=page, first_id=ends[0], last_id=ends[1], has_more=more)
        return _answer(body)

    one = "/fine_tuning/jobs/{job}"
    return [
        Route(
            "POST",
            "/fine_tuning/jobs",
            create,
            "Learn from a file.",
            body=_CREATE,
            example=_EXAMPLE,
            answer=_JOB,
        ),
        Route(
            "GET",
            "/fine_tuning/jobs",
            list_page,
            "All fine-tunes, the newest first.",
            query=_LIST,
            answer=_JOBS,
        ),
        Route("GET", one, get, "One fine-tune, and how far it is.", answer=_JOB),
        Route("POST", f"{one}/cancel", cancel, "Stop it.", answer=_JOB),
        Route(
            "GET",
            f"{one}/events",
            list_events,
            "What happened, the newest first.",
            query=_LIST,
            answer=_EVENTS,
        ),
        Route(
            "GET",
            f"{one}/checkpoints",
            list_checkpoints,
            "The model that came of it, and what was measured of it.",
            query=_LIST,
            answer=_CHECKPOINTS,
        ),
    ]


def _wandb(asked: list[Integration]) -> Wandb | None:
    """With the operator's key: this dialect has no place for another."""
    if not asked:
        return None
    if len(asked) > 1:
        raise InvalidRequest("integrations must have at most one of wandb", param="integrations")
    return tracking.of_operator(asked[0].wandb.model_dump(exclude_none=True), "integrations")


def _page(newest: list[Shown], request: Request) -> tuple[list[Shown], bool]:
    """(those that were asked for, whether there are more behind them)."""
    values = query_values(request, _LIST)
    limit = number(values, "limit", PAGE, least=1, most=LARGEST_PAGE)
    begin = 0
    if (after := values.get("after")) is not None:
        places = [place for place, one in enumerate(newest) if one.id == after]
        if not places:
            raise InvalidRequest(f"after: there is no {after[:80]!r}; begin again without it", param="after")
        begin = places[0] + 1
    return newest[begin : begin + limit], len(newest) > begin + limit


def _answer(body: BaseModel) -> Response:
    return Response(body.model_dump_json().encode())
