"""OpenAI's fine-tuning jobs: made, looked at and cancelled. The work itself is a job, which a worker does."""

from __future__ import annotations

import time
from typing import Any

import orjson
from pydantic import TypeAdapter

from paddock.errors import InvalidRequest, NotFound, UnsupportedParameter
from paddock.gateway.app import Route
from paddock.gateway.http import Request, Response, query_values
from paddock.gateway.query import number
from paddock.gateway.validate import parse_whole
from paddock.schemas.jobs import Job
from paddock.schemas.openai_fine_tuning import CreateFineTuningJob
from paddock.schemas.own import Event
from paddock.services import jobs
from paddock.services.deployments import LOCAL
from paddock.services.finetunes import asking
from paddock.services.finetunes.asking import Asked
from paddock.services.finetunes.spec import KIND
from paddock.services.platform import Platform

JSON = dict[str, Any]
PAGE, LARGEST_PAGE = 20, 100
_CREATE = TypeAdapter(CreateFineTuningJob)
_EXAMPLE = {"model": "paddock/foal", "training_file": "file-0123456789abcdef01234567", "suffix": "shop"}
_LIST = {
    "limit": f"1 to {LARGEST_PAGE}, by default {PAGE}",
    "after": "the id of the last one of the page before",
}
_STATUSES = {
    "queued": "queued",
    "running": "running",
    "completed": "succeeded",
    "failed": "failed",
    "expired": "failed",
    "cancelled": "cancelled",
}
_METRICS = ("step", "evaluated")
# As they are asked for, and as the recipe has them.
_HYPERPARAMETERS = {
    "n_epochs": "epochs",
    "gradient_accumulation": "accumulation",
    "early_stopping": "patience",
    **{
        name: name
        for name in (
            "batch_size",
            "learning_rate",
            "scheduler",
            "weight_decay",
            "method",
            "lora_rank",
            "lora_alpha",
            "lora_dropout",
            "lora_targets",
            "max_length",
            "truncate",
            "packing",
            "group_by_length",
        )
    },
}


def fine_tuning_routes(platform: Platform) -> list[Route]:
    async def create(request: Request) -> Response:
        asked = parse_whole(_CREATE, request.body)
        if asked.integrations:
            raise UnsupportedParameter(
                "integrations must be left out: nothing is reported to Weights & Biases here",
                param="integrations",
            )
        field, hyperparameters = asked.supervised_hyperparameters()
        job = await asking.create(
            platform,
            LOCAL,
            Asked(
                dialect="openai",
                model=asked.model,
                training_file=asked.training_file,
                validation_file=asked.validation_file,
                suffix=asked.suffix,
                seed=asked.seed,
                hyperparameters=hyperparameters,
                hyperparameters_field=field,
                labels=asked.metadata or {},
            ),
        )
        return _answer(view(job))

    async def list_page(request: Request) -> Response:
        values = query_values(request, _LIST)
        limit = number(values, "limit", PAGE, least=1, most=LARGEST_PAGE)
        try:
            page = await jobs.list_page(platform, LOCAL, limit=limit, after=values.get("after"), kind=KIND)
        except NotFound as error:
            raise InvalidRequest(f"after: {error.message}; begin again without it", param="after") from None
        return _answer({"object": "list", "data": [view(job) for job in page.jobs], "has_more": page.more})

    async def get(request: Request) -> Response:
        return _answer(view(await jobs.get(platform, LOCAL, request.params["job"], kind=KIND)))

    async def cancel(request: Request) -> Response:
        return _answer(view(await jobs.cancel(platform, LOCAL, request.params["job"], kind=KIND)))

    async def list_events(request: Request) -> Response:
        found = await asking.events_of(platform, LOCAL, request.params["job"])
        page, more = _page(list(reversed(found)), request)
        return _answer({"object": "list", "data": [_event(one) for one in page], "has_more": more})

    async def checkpoints(request: Request) -> Response:
        """None can be asked here: only what comes of the whole job is served."""
        await jobs.get(platform, LOCAL, request.params["job"], kind=KIND)
        query_values(request, _LIST)
        empty: JSON = {"object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False}
        return _answer(empty)

    one = "/fine_tuning/jobs/{job}"
    return [
        Route("POST", "/fine_tuning/jobs", create, "Learn from a file.", body=_CREATE, example=_EXAMPLE),
        Route("GET", "/fine_tuning/jobs", list_page, "All fine-tunes, the newest first.", query=_LIST),
        Route("GET", one, get, "One fine-tune, and how far it is."),
        Route("POST", f"{one}/cancel", cancel, "Stop it."),
        Route("GET", f"{one}/events", list_events, "What happened, the newest first.", query=_LIST),
        Route("GET", f"{one}/checkpoints", checkpoints, "Models from the middle of it.", query=_LIST),
    ]


def view(job: Job) -> JSON:
    """A job as OpenAI's `FineTuningJob`."""
    asked, recipe = job.spec["asked"], job.spec["recipe"]
    shown = {name: recipe[one] for name, one in _HYPERPARAMETERS.items()}
    return {
        "id": job.id,
        "object": "fine_tuning.job",
        "created_at": int(job.created_at),
        "error": _error(job),
        "fine_tuned_model": job.results.get("fine_tuned_model"),
        "finished_at": int(job.finished_at) if job.finished_at else None,
        "hyperparameters": shown,
        "model": job.model,
        "organization_id": job.project,
        "result_files": [],
        "seed": recipe["seed"],
        "status": "validating_files" if job.phase == "validating" else _STATUSES[job.state],
        "trained_tokens": int(job.results["trained_tokens"]) if "trained_tokens" in job.results else None,
        "training_file": asked["training_file"],
        "validation_file": asked["validation_file"],
        "estimated_finish": _finish(job),
        "integrations": [],
        "metadata": job.labels or None,
        "method": {"type": "supervised", "supervised": {"hyperparameters": shown}},
    }


def _error(job: Job) -> JSON | None:
    if job.state not in ("failed", "expired"):
        return None
    code = job.errors[0].code if job.errors else f"job_{job.state}"
    return {"code": code, "message": job.reason, "param": None}


def _finish(job: Job) -> int | None:
    """By how fast it went until now."""
    if job.state != "running" or not job.done or "working" not in job.times:
        return None
    now = time.time()
    return int(now + (now - job.times["working"]) / job.done * (job.total - job.done))


def _page(newest: list[Event], request: Request) -> tuple[list[Event], bool]:
    values = query_values(request, _LIST)
    limit = number(values, "limit", PAGE, least=1, most=LARGEST_PAGE)
    begin = 0
    if (after := values.get("after")) is not None:
        places = [place for place, one in enumerate(newest) if _event_id(one) == after]
        if not places:
            raise InvalidRequest(
                f"after: there is no event {after[:80]!r}; begin again without it", param="after"
            )
        begin = places[0] + 1
    return newest[begin : begin + limit], len(newest) > begin + limit


def _event(one: Event) -> JSON:
    is_measured = one.kind in _METRICS
    return {
        "id": _event_id(one),
        "object": "fine_tuning.job.event",
        "created_at": int(one.at),
        "level": "error" if one.kind == "failed" else "info",
        "message": one.message or one.kind,
        "data": one.data,
        "type": "metrics" if is_measured else "message",
    }


def _event_id(one: Event) -> str:
    return f"ftevent-{one.id}"


def _answer(body: JSON) -> Response:
    return Response(orjson.dumps(body))
