"""Who works at which job. A worker holds a job by a lease with a fencing token; each write proves it.

All that a worker writes goes through `row_of` or `count`: a worker that was taken for dead can write
nothing any more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import bindparam, select, update
from sqlalchemy.orm import Session

from paddock.errors import Fenced
from paddock.schemas.jobs import Job
from paddock.services import events, holds, job_secrets, jobs
from paddock.store.sessions import ChangeSession, WriteSession
from paddock.store.tables import JobRow

JSON = dict[str, Any]
LEASE_SECONDS = 10.0
"""How long a job stays a worker's after each sign of life."""
MOST_STALLS = 50
"""Workers that may have a job without getting on with it; then it is the job that ends them."""
_COUNT = (
    update(JobRow)
    .where(
        JobRow.id == bindparam("held_id"),
        JobRow.fence == bindparam("held_fence"),
        JobRow.state == "running",
        JobRow.finished_at.is_(None),
    )
    .values(done=JobRow.done + bindparam("answered"), failed=JobRow.failed + bindparam("badly"), stalls=0)
)


@dataclass(frozen=True)
class Held:
    """A job in the hands of one worker, as it was when that took it up.

    Attributes:
        stalls: workers that had it since it last got on, this one included.
    """

    job: Job
    fence: int
    checkpoint: JSON
    stalls: int = 1

    @property
    def id(self) -> str:
        return self.job.id


@dataclass(frozen=True)
class Ending:
    """How a job is over.

    Attributes:
        write: what else is written in the same transaction.
    """

    state: str
    reason: str = ""
    errors: list[JSON] = field(default_factory=list)
    results: dict[str, str] = field(default_factory=dict)
    write: Callable[[ChangeSession, JobRow], None] | None = None


@dataclass(frozen=True)
class Offer:
    """What a worker can do.

    Attributes:
        knows: attached servers that it can ask.
        gone: whether a worker is surely dead, though its lease has not run out.
        holds: the jobs that it is at, whatever became of their leases.
        room: whether it takes up new work; else only jobs that are to be ended, for which there is always
            room.
    """

    worker: str
    kinds: Collection[str]
    knows: Collection[str]
    gone: Callable[[str], bool]
    holds: Collection[str] = ()
    room: bool = True


def claimable(session: Session, now: float, offer: Offer) -> bool:
    """Whether there is a job for this worker. It may be gone until it is claimed."""
    return any(_is_free(row, now, offer) for row in _unfinished(session))


def claim(session: ChangeSession, now: float, offer: Offer) -> Held | None:
    """The next job for this worker: the highest priority, then who has the fewest running, then the oldest.

    Claims come one after the other, as all changes do, so that no job has two workers.
    """
    rows = _unfinished(session)
    running = Counter(row.project for row in rows if row.worker and row.lease_expires_at > now)
    free = [row for row in rows if _is_free(row, now, offer)]
    for found in sorted(free, key=lambda one: (-one.priority, running[one.project], one.created_at, one.id)):
        row = session.get_one(JobRow, found.id, with_for_update=True, populate_existing=True)
        if row.finished_at is not None or not _is_free(row, now, offer):
            continue
        again = row.attempts > 0
        row.state, row.worker, row.fence = "running", offer.worker, row.fence + 1
        row.lease_expires_at = now + LEASE_SECONDS
        row.attempts += 1
        row.stalls += 1
        row.started_at = row.started_at or now
        events.record_job(session, row, "resumed" if again else "started", f"by {offer.worker}", now)
        session.flush()
        return Held(jobs.snapshot(row), row.fence, dict(row.checkpoint), row.stalls)
    return None


def row_of(session: WriteSession, held: Held) -> JobRow:
    """The job's row, for writing.

    Raises:
        Fenced: another worker has it now.
    """
    row = session.get_one(JobRow, held.id, with_for_update=True)
    if row.fence != held.fence or row.finished_at is not None or row.state != "running":
        raise _fenced(held)
    return row


def renew(session: WriteSession, one: Held, now: float, message: str) -> None:
    """A sign of life.

    Raises:
        Fenced: another worker has it now.
    """
    row = row_of(session, one)
    row.lease_expires_at = now + LEASE_SECONDS
    row.message = message


def count(session: WriteSession, held: Held, done: int, failed: int) -> None:
    """So many more rows are answered, `failed` of them by an error. Whoever writes that has not stalled.

    One statement, and the row is not read: it is written many times a second beside an engine at work.

    Raises:
        Fenced: another worker has it now.
    """
    values = {"held_id": held.id, "held_fence": held.fence, "answered": done, "badly": failed}
    if not session.connection().execute(_COUNT, values).rowcount:
        raise _fenced(held)


def get_on(session: WriteSession, held: Held, **columns: Any) -> None:
    """Writes how far it is. Whoever does has not stalled.

    Raises:
        Fenced: another worker has it now.
    """
    _get_on(row_of(session, held), columns)


def enter(session: ChangeSession, one: Held, phase: str, now: float, **changes: Any) -> None:
    """Goes on to the next phase, with `changes` of the job's columns. Whoever does has not stalled.

    Raises:
        Fenced: another worker has it now.
    """
    row = row_of(session, one)
    if row.phase != phase:
        row.times = {**row.times, phase: now}
        events.record_job(session, row, phase, "", now)
    _get_on(row, {"phase": phase, **changes})


def end(session: ChangeSession, one: Held, ending: Ending, now: float) -> None:
    """It is over, with all that this means for others.

    Raises:
        Fenced: another worker has it now.
    """
    _end(session, row_of(session, one), ending, now)


def put_back(session: ChangeSession, one: Held, now: float, why: str) -> None:
    """Lets another worker go on with it at once. Does nothing if one has it already."""
    row = session.get_one(JobRow, one.id, with_for_update=True)
    if row.fence == one.fence and row.state == "running" and row.finished_at is None:
        row.state, row.worker, row.lease_expires_at = "queued", "", 0.0
        row.stalls = max(0, row.stalls - 1)
        row.message = why
        events.record_job(session, row, "put back", why, now)


def unwanted(session: Session, ids: Collection[str]) -> list[str]:
    """Those of these jobs that are to be cancelled."""
    query = select(JobRow.id).where(JobRow.id.in_(ids), JobRow.cancel_requested_at.is_not(None))
    return list(session.scalars(query))


def _end(session: ChangeSession, row: JobRow, ending: Ending, now: float) -> None:
    row.state, row.phase, row.reason, row.finished_at = ending.state, "", ending.reason, now
    row.errors, row.message = ending.errors, ""
    row.results = {**row.results, **ending.results}
    row.times = {**row.times, ending.state: now}
    row.worker, row.lease_expires_at = "", 0.0
    holds.let_go(session, row.id, now)
    job_secrets.forget(session, row.id)
    if ending.write is not None:
        ending.write(session, row)
    events.record_job(session, row, ending.state, ending.reason, now)


def _get_on(row: JobRow, columns: Mapping[str, Any]) -> None:
    row.stalls = 0
    for name, value in columns.items():
        setattr(row, name, value)


def _fenced(held: Held) -> Fenced:
    return Fenced(f"job {held.id} is another worker's now")


def _unfinished(session: Session) -> list[JobRow]:
    # In these very words the condition is that of the partial index.
    return list(session.scalars(select(JobRow).where(JobRow.finished_at.is_(None))))


def _is_free(row: JobRow, now: float, offer: Offer) -> bool:
    if row.kind not in offer.kinds or row.id in offer.holds:
        return False
    is_over = row.cancel_requested_at is not None or row.deadline_at <= now
    if not is_over and (not offer.room or (row.needs and row.needs not in offer.knows)):
        return False
    if row.state == "queued" or row.lease_expires_at <= now:
        return True
    return row.worker != offer.worker and offer.gone(row.worker)
