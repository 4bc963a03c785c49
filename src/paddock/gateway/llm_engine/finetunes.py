"""Fine-tunes: asked for, looked at and cancelled. The work itself is a job, which a worker does."""

from __future__ import annotations

from typing import Any

import orjson
from pydantic import TypeAdapter

from paddock.errors import Conflict, InvalidRequest, ModelNotFound, UnsupportedParameter
from paddock.gateway.app import Route
from paddock.gateway.http import Request, Response
from paddock.gateway.llm_engine.batch_wish import refuse_unknown
from paddock.gateway.validate import parse_whole
from paddock.gateway.visible import permit
from paddock.schemas.jobs import Job
from paddock.schemas.llm_engine.finetunes import CreateFineTuneRequest
from paddock.schemas.own import Event
from paddock.services import jobs
from paddock.services.finetunes import asking, tracking
from paddock.services.finetunes.asking import Asked
from paddock.services.finetunes.spec import KIND
from paddock.services.finetunes.tracking import Wandb
from paddock.services.platform import Platform

JSON = dict[str, Any]
_CREATE = TypeAdapter(CreateFineTuneRequest)
_EXAMPLE = {"model": "paddock/foal", "training_file": "file-0123456789abcdef01234567", "suffix": "shop"}
_STATUSES = {
    "queued": "PENDING",
    "running": "RUNNING",
    "completed": "SUCCESS",
    "failed": "FAILURE",
    "cancelled": "CANCELLED",
    "expired": "TIMEOUT",
}
_LEVELS = {"failed": "error", "warning": "warning"}
_PATH = "/v1/llm/fine-tunes"


def fine_tune_routes(platform: Platform) -> list[Route]:
    async def create(request: Request) -> Response:
        asked = parse_whole(_CREATE, request.body)
        refuse_unknown(asked, of="fine-tunes")
        hyperparameters = dict(asked.hyperparameters or {})
        report_to = hyperparameters.pop("report_to", None)
        try:
            job = await asking.create(
                platform,
                request.project,
                Asked(
                    dialect="llm_engine.v1",
                    key_id=request.key.id,
                    model=asked.model,
                    training_file=asked.training_file,
                    validation_file=asked.validation_file,
                    suffix=asked.suffix,
                    hyperparameters=hyperparameters,
                    anywhere=True,
                    wandb=_wandb(report_to, asked.wandb_config),
                ),
                permit(request.key),
            )
        except ModelNotFound as error:
            # The route's address is right: what is not found is named in the body.
            raise InvalidRequest(error.message, param=error.param, code=error.code) from None
        return _answer({"id": job.id})

    async def list_all(request: Request) -> Response:
        page = await jobs.list_page(platform, request.project, kind=KIND)
        return _answer({"jobs": [view(job) for job in page.jobs]})

    async def get(request: Request) -> Response:
        return _answer(view(await jobs.get(platform, request.project, request.params["job"], kind=KIND)))

    async def cancel(request: Request) -> Response:
        try:
            await jobs.cancel(platform, request.project, request.params["job"], kind=KIND)
        except Conflict:
            # It is over, by itself or because somebody was faster.
            job = await jobs.get(platform, request.project, request.params["job"], kind=KIND)
            return _answer({"success": job.state == "cancelled"})
        return _answer({"success": True})

    async def list_events(request: Request) -> Response:
        found = await asking.events_of(platform, request.project, request.params["job"])
        return _answer({"events": [_event(one) for one in found]})

    one = _PATH + "/{job}"
    return [
        Route("POST", _PATH, create, "Learn from a file.", body=_CREATE, example=_EXAMPLE),
        Route("GET", _PATH, list_all, "All fine-tunes, the newest first."),
        Route("GET", one, get, "One fine-tune, and how far it is."),
        Route("PUT", f"{one}/cancel", cancel, "Stop it."),
        Route("GET", f"{one}/events", list_events, "What happened, the oldest first."),
    ]


def view(job: Job) -> JSON:
    """A job as the reference's `GetFineTuneResponse`, with the status that the published client needs."""
    return {
        "id": job.id,
        "fine_tuned_model": job.results.get("fine_tuned_model"),
        "status": _STATUSES[job.state],
        "model": job.model,
        "suffix": job.spec["asked"]["suffix"],
        "progress": job.done / job.total if job.total else 0.0,
        "reason": job.reason or None,
    }


def _wandb(report_to: Any, config: JSON | None) -> Wandb | None:
    """Who gives a configuration wants it to be used, whether `report_to` is given too or not."""
    where = "hyperparameters.report_to"
    if report_to not in (None, "none", "wandb"):
        raise UnsupportedParameter(f'{where} must be "wandb" or "none"', param=where)
    if report_to == "none" and config is not None:
        raise InvalidRequest(f'{where} must be "wandb" where wandb_config is given', param=where)
    if report_to != "wandb" and config is None:
        return None
    return tracking.read(config or {}, "wandb_config")


def _event(one: Event) -> JSON:
    # The published client takes numbers as Python writes a dictionary.
    message = str(one.data) if one.data else one.message or one.kind
    return {
        "timestamp": one.at,
        "message": message,
        "level": _LEVELS.get(one.kind, "info"),
    }


def _answer(body: JSON) -> Response:
    return Response(orjson.dumps(body))
