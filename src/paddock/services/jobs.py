"""What can be done with jobs: asked for, looked at, cancelled. How they are worked at: `services.work`."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import literal, select, tuple_
from sqlalchemy.orm import Session

from paddock.errors import Conflict, InvalidRequest, NotFound
from paddock.schemas.jobs import LEAST_PRIORITY, MOST_PRIORITY, Dialect, Job
from paddock.services import events, job_secrets
from paddock.services.platform import Platform
from paddock.store.sessions import ChangeSession
from paddock.store.tables import JobRow

JSON = dict[str, Any]
_ID = re.compile(r"[A-Za-z0-9_-]{1,80}")
_SHOWN = tuple(name for name in Job.model_fields)


@dataclass(frozen=True)
class NewJob:
    """What a dialect asks for.

    Attributes:
        id: made by `new_id`, for what is stored under it before.
        seconds: after which it is given up.
        key_id: of the key that asks; empty for one without.
        needs: an attached server that its worker must know.
        input, output: for who must not have the same: see `JobRow`.
        secret: what its worker needs and nobody may see, as `job_secrets.seal` gives it.
    """

    id: str
    kind: str
    dialect: Dialect
    spec: JSON
    seconds: float
    key_id: str = ""
    model: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    priority: int = 0
    needs: str = ""
    input: str = ""
    output: str = ""
    results: dict[str, str] = field(default_factory=dict)
    secret: bytes = field(default=b"", repr=False)


@dataclass(frozen=True)
class Page:
    """
    Attributes:
        more: whether there are others behind the last one.
    """

    jobs: list[Job]
    more: bool


OWN_PLACE = "name:"
"""So begins an output that each project has for itself: see `JobRow.output`."""


def new_id(kind: str) -> str:
    return f"{kind}_{secrets.token_hex(12)}"


async def create(
    platform: Platform, project: str, asked: NewJob, check: Callable[[Session], None] | None = None
) -> Job:
    """Accepts a job: from here on it is finished, or fails with a reason.

    Args:
        check: raises if something that it needs is not there; in the same transaction.

    Raises:
        InvalidRequest: another unfinished job writes to the same place.
    """

    def work(session: ChangeSession) -> Job:
        if check is not None:
            check(session)
        if asked.output:
            other = select(JobRow.id, JobRow.project)
            other = other.where(JobRow.output == asked.output, JobRow.finished_at.is_(None))
            if asked.output.startswith(OWN_PLACE):
                other = other.where(JobRow.project == project)
            if (taken := session.execute(other).first()) is not None:
                whose = f"job {taken.id}" if taken.project == project else "another job"
                raise InvalidRequest(
                    f"output_data_path: {whose} is going to write there; choose another",
                    param="output_data_path",
                    code="output_exists",
                )
        now = time.time()
        row = JobRow(
            id=asked.id,
            project=project,
            key_id=asked.key_id,
            kind=asked.kind,
            dialect=asked.dialect,
            state="queued",
            phase="",
            model=asked.model,
            labels=asked.labels,
            priority=asked.priority,
            needs=asked.needs,
            spec=asked.spec,
            input=asked.input,
            output=asked.output,
            results=asked.results,
            deadline_at=now + asked.seconds,
            created_at=now,
            times={"queued": now},
        )
        session.add(row)
        if asked.secret:
            job_secrets.keep(session, row.id, asked.secret)
        session.flush()
        events.record_job(session, row, "created", asked.model, now)
        return snapshot(row)

    return await platform.change(work)


async def get(
    platform: Platform,
    project: str,
    identity: str,
    dialects: Collection[Dialect] | None = None,
    *,
    kind: str | None = None,
) -> Job:
    """
    Raises:
        NotFound: there is none, or it is another project's, dialect's or kind's.
    """
    return await platform.store.read(
        lambda session: snapshot(find(session, project, identity, dialects, kind=kind))
    )


async def list_page(
    platform: Platform,
    project: str,
    *,
    limit: int | None = None,
    after: str | None = None,
    dialects: Collection[Dialect] | None = None,
    states: Collection[str] | None = None,
    kind: str | None = None,
) -> Page:
    """The newest first.

    Raises:
        NotFound: there is no job `after`.
    """

    def work(session: Session) -> Page:
        query = select(JobRow).where(JobRow.project == project)
        if dialects is not None:
            query = query.where(JobRow.dialect.in_(dialects))
        if states is not None:
            query = query.where(JobRow.state.in_(states))
        if kind is not None:
            query = query.where(JobRow.kind == kind)
        if after is not None:
            last = find(session, project, after, dialects)
            place = tuple_(JobRow.created_at, JobRow.id)
            query = query.where(place < tuple_(literal(last.created_at), literal(last.id)))
        query = query.order_by(JobRow.created_at.desc(), JobRow.id.desc())
        rows = list(session.scalars(query if limit is None else query.limit(limit + 1)))
        more = limit is not None and len(rows) > limit
        return Page([snapshot(row) for row in rows[:limit]], more)

    return await platform.store.read(work)


async def cancel(
    platform: Platform,
    project: str,
    identity: str,
    dialects: Collection[Dialect] | None = None,
    *,
    kind: str | None = None,
) -> Job:
    """Asks for the end of a job. Whoever works at it ends it within a second; one that nobody has begun ends
    at once. Asking twice changes nothing.

    Raises:
        NotFound: there is none.
        Conflict: it is over.
    """

    def work(session: ChangeSession) -> Job:
        row = find(session, project, identity, dialects, kind=kind, lock=True)
        if row.finished_at is not None:
            raise Conflict(f"job {row.id} cannot be cancelled: it is {row.state}", code="job_is_over")
        now = time.time()
        if row.cancel_requested_at is None:
            row.cancel_requested_at = now
            row.times = {**row.times, "cancelling": now}
            events.record_job(session, row, "cancelling", "", now)
        if row.state == "queued" and not row.attempts:
            row.state, row.reason, row.finished_at = "cancelled", "it was cancelled before it began", now
            row.times = {**row.times, "cancelled": now}
            job_secrets.forget(session, row.id)
            events.record_job(session, row, "cancelled", row.reason, now)
        return snapshot(row)

    return await platform.change(work)


async def set_priority(
    platform: Platform,
    project: str,
    identity: str,
    priority: int,
    dialects: Collection[Dialect] | None,
    *,
    kind: str | None = None,
) -> Job:
    """Takes effect when a worker next looks for a job; one that runs goes on.

    Raises:
        NotFound: there is none.
        Conflict: it is over.
    """

    def work(session: ChangeSession) -> Job:
        row = find(session, project, identity, dialects, kind=kind, lock=True)
        if row.finished_at is not None:
            raise Conflict(f"job {row.id} has no priority any more: it is {row.state}", code="job_is_over")
        row.priority = priority
        return snapshot(row)

    return await platform.change(work)


def read_priority(text: str | None) -> int:
    """A dialect's priority, which is a text.

    Raises:
        InvalidRequest: it is none.
    """
    if text is None:
        return 0
    words = {"low": -10, "normal": 0, "medium": 0, "high": 10}
    try:
        number = words[text.lower()] if text.lower() in words else int(text)
    except ValueError:
        number = MOST_PRIORITY + 1
    if not LEAST_PRIORITY <= number <= MOST_PRIORITY:
        raise InvalidRequest(
            f'priority must be "low", "normal", "high" or a whole number from {LEAST_PRIORITY} to'
            f" {MOST_PRIORITY} as text, higher going first, not {text[:40]!r}",
            param="priority",
        )
    return number


def find(
    session: Session,
    project: str,
    identity: str,
    dialects: Collection[Dialect] | None = None,
    *,
    kind: str | None = None,
    lock: bool = False,
) -> JobRow:
    """
    Raises:
        NotFound: there is none of this id in the project, or it is another dialect's or kind's.
    """
    # What no id looks like may be what no database takes.
    row = session.get(JobRow, identity, with_for_update=lock) if _ID.fullmatch(identity) else None
    is_ours = row is not None and row.project == project and (kind is None or row.kind == kind)
    if row is None or not is_ours or (dialects is not None and row.dialect not in dialects):
        raise NotFound(f"there is no job {identity[:140]!r}", code="job_not_found")
    return row


def snapshot(row: JobRow) -> Job:
    return Job.model_validate({name: getattr(row, name) for name in _SHOWN})
