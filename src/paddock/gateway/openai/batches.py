"""OpenAI's batches: made, looked at and cancelled. The work itself is a job, which a worker does."""

from __future__ import annotations

import re
from typing import Any

import orjson
from pydantic import TypeAdapter
from sqlalchemy.orm import Session

from paddock.errors import InvalidRequest, NotFound
from paddock.gateway.app import Route
from paddock.gateway.http import Request, Response, query_values
from paddock.gateway.openai.batch_input import check_input, missing
from paddock.gateway.query import number
from paddock.gateway.validate import parse_whole
from paddock.gateway.visible import visible
from paddock.inference.routing import Directory
from paddock.schemas.jobs import Dialect, Job
from paddock.schemas.openai_batches import CreateBatch
from paddock.services import files, jobs
from paddock.services.batches.spec import KIND, BatchSpec
from paddock.services.jobs import NewJob
from paddock.services.keys import INFERENCE
from paddock.services.platform import Platform

JSON = dict[str, Any]
PAGE, LARGEST_PAGE = 20, 100
LONGEST_WINDOW = 14 * 24
"""Hours."""
_OURS: tuple[Dialect, ...] = ("openai",)
_CREATE = TypeAdapter(CreateBatch)
_LIST = {
    "limit": f"1 to {LARGEST_PAGE}, by default {PAGE}",
    "after": "the id of the last batch of the page before",
}
_EXAMPLE = {
    "input_file_id": "file-0123456789abcdef01234567",
    "endpoint": "/v1/chat/completions",
    "completion_window": "24h",
}
_WINDOW = re.compile(r"([1-9][0-9]{0,2})([hd])")
_STATUSES = {
    "": "validating",
    "validating": "validating",
    "working": "in_progress",
    "finishing": "finalizing",
}
_TIMES = {
    "in_progress_at": "working",
    "finalizing_at": "finishing",
    "completed_at": "completed",
    "failed_at": "failed",
    "expired_at": "expired",
    "cancelling_at": "cancelling",
    "cancelled_at": "cancelled",
}


def batch_routes(platform: Platform, directory: Directory) -> list[Route]:
    """
    Args:
        directory: what is served, to find out at once what a batch could not be asked of.
    """

    async def create(request: Request) -> Response:
        asked = parse_whole(_CREATE, request.body)
        hours = window_hours(asked.completion_window)
        found = await check_input(
            platform, request.key, visible(directory, request.key), asked.input_file_id, asked.endpoint
        )
        spec = BatchSpec(
            input_kind="file",
            input=asked.input_file_id,
            output_kind="files",
            output="",
            endpoint=asked.endpoint,
            window=asked.completion_window,
            wish={"model": found.model} if found.model else {},
            asked=asked.model_dump(include={"output_expires_after"}, exclude_none=True),
        )
        new = NewJob(
            id=jobs.new_id(KIND),
            key_id=request.key.id,
            kind=KIND,
            dialect="openai",
            spec=spec.to_json(),
            seconds=3600.0 * hours,
            model=found.model,
            labels=asked.metadata or {},
            needs=found.needs,
            input=f"file:{asked.input_file_id}",
        )

        def check(session: Session) -> None:
            try:
                files.find(session, request.project, asked.input_file_id)
            except NotFound as error:
                raise missing(error) from None

        return _answer(await jobs.create(platform, request.project, new, check))

    async def list_page(request: Request) -> Response:
        values = query_values(request, _LIST)
        limit = number(values, "limit", PAGE, least=1, most=LARGEST_PAGE)
        try:
            page = await jobs.list_page(
                platform, request.project, limit=limit, after=values.get("after"), dialects=_OURS, kind=KIND
            )
        except NotFound as error:
            raise InvalidRequest(f"after: {error.message}; begin again without it", param="after") from None
        body = {
            "object": "list",
            "data": [view(job) for job in page.jobs],
            "first_id": page.jobs[0].id if page.jobs else None,
            "last_id": page.jobs[-1].id if page.jobs else None,
            "has_more": page.more,
        }
        return Response(orjson.dumps(body))

    async def get(request: Request) -> Response:
        return _answer(await jobs.get(platform, request.project, request.params["batch"], _OURS, kind=KIND))

    async def cancel(request: Request) -> Response:
        return _answer(
            await jobs.cancel(platform, request.project, request.params["batch"], _OURS, kind=KIND)
        )

    one = "/batches/{batch}"
    return [
        Route(
            "POST",
            "/batches",
            create,
            "Answer every line of a file.",
            INFERENCE,
            body=_CREATE,
            example=_EXAMPLE,
        ),
        Route("GET", "/batches", list_page, "All batches, the newest first.", query=_LIST),
        Route("GET", one, get, "One batch, and how far it is."),
        Route("POST", f"{one}/cancel", cancel, "Stop it; what is answered already stays.", INFERENCE),
    ]


def window_hours(window: str) -> int:
    """
    Raises:
        InvalidRequest: it is no whole number of hours or days, or too long.
    """
    found = _WINDOW.fullmatch(window)
    hours = int(found[1]) * (24 if found[2] == "d" else 1) if found else 0
    if not 0 < hours <= LONGEST_WINDOW:
        raise InvalidRequest(
            f'completion_window must be "24h", or other hours or days from "1h" to "{LONGEST_WINDOW}h" or'
            f' "{LONGEST_WINDOW // 24}d", not {window[:40]!r}',
            param="completion_window",
        )
    return hours


def view(job: Job) -> JSON:
    """A job as OpenAI's `Batch`. The times of what has not happened are null."""
    return {
        "id": job.id,
        "object": "batch",
        "endpoint": job.spec["endpoint"],
        "model": job.model or None,
        "errors": _errors(job),
        "input_file_id": job.spec["input"],
        "completion_window": job.spec["window"],
        "status": _status(job),
        "output_file_id": job.results.get("output_file_id"),
        "error_file_id": job.results.get("error_file_id"),
        "created_at": int(job.created_at),
        "expires_at": int(job.deadline_at),
        **{name: int(job.times[one]) if one in job.times else None for name, one in _TIMES.items()},
        "request_counts": {"total": job.total, "completed": job.done - job.failed, "failed": job.failed},
        "metadata": job.labels or None,
    }


def _status(job: Job) -> str:
    if not job.unfinished:
        return job.state
    if job.cancel_requested_at is not None:
        return "cancelling"
    # One that waits for another worker is as far as it was.
    return _STATUSES[job.phase]


def _errors(job: Job) -> JSON | None:
    """What is wrong with its input, or why else it failed."""
    found = [error.model_dump() for error in job.errors]
    if job.state == "failed" and not found:
        found = [{"code": "batch_failed", "message": job.reason, "param": None, "line": None}]
    return {"object": "list", "data": found} if found else None


def _answer(job: Job) -> Response:
    return Response(orjson.dumps(view(job)))
