"""What happened to deployments and jobs, for people: kept in order, read in pages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Select, delete, select
from sqlalchemy.orm import Session

from paddock.schemas.own import Event
from paddock.services.snapshots import COMMANDED
from paddock.services.webhooks import outbox
from paddock.store.sessions import ChangeSession, WriteSession
from paddock.store.tables import DeploymentRow, EventRow, JobRow, LogLineRow

KEPT = 100_000
"""Events kept in all; each thousandth one clears away what is older."""
KEPT_LINES = 1_000
"""Lines of log kept of a deployment."""


def record(
    session: ChangeSession, deployment: DeploymentRow, kind: str, message: str, now: float, replica: str = ""
) -> None:
    """And puts down whatever webhooks are to be told of it."""
    row = EventRow(
        project=deployment.project,
        at=now,
        kind=kind,
        deployment_id=deployment.id,
        deployment=deployment.name,
        replica_id=replica,
        message=message,
    )
    _add(session, row)
    outbox.tell_of_deployment(session, deployment, kind, now)


def record_job(session: ChangeSession, job: JobRow, kind: str, message: str, now: float) -> None:
    """And puts down whatever webhooks are to be told of it."""
    row = EventRow(
        project=job.project,
        at=now,
        kind=kind,
        deployment_id="",
        deployment="",
        job_id=job.id,
        message=message,
    )
    _add(session, row)
    outbox.tell_of_job(session, job, kind, now)


def record_progress(
    session: WriteSession, job: JobRow, kind: str, message: str, data: dict[str, Any], now: float
) -> None:
    """How far a job is, in words and in numbers."""
    row = EventRow(
        project=job.project,
        at=now,
        kind=kind,
        deployment_id="",
        deployment="",
        job_id=job.id,
        message=message,
        data=data,
    )
    _add(session, row)


def _add(session: WriteSession, row: EventRow) -> None:
    session.add(row)
    session.flush()
    if row.id % 1000 == 0:
        session.execute(delete(EventRow).where(EventRow.id <= row.id - KEPT))


def after(
    session: Session,
    project: str,
    last: int,
    *,
    deployment_id: str | None = None,
    job_id: str | None = None,
    limit: int = 100,
) -> list[Event]:
    """Those that came after the event `last`, the oldest first."""
    query = _of(project, deployment_id, job_id).where(EventRow.id > last)
    return [_event(*row) for row in session.execute(query.order_by(EventRow.id).limit(limit))]


def latest(
    session: Session,
    project: str,
    *,
    deployment_id: str | None = None,
    job_id: str | None = None,
    limit: int = 100,
) -> list[Event]:
    """The newest ones, the oldest of them first."""
    query = _of(project, deployment_id, job_id)
    rows = list(session.execute(query.order_by(EventRow.id.desc()).limit(limit)))
    return [_event(*row) for row in reversed(rows)]


def _of(project: str, deployment_id: str | None, job_id: str | None) -> Select[EventRow, str | None]:
    query = select(EventRow, DeploymentRow.origin).where(EventRow.project == project)
    query = query.outerjoin(DeploymentRow, DeploymentRow.id == EventRow.deployment_id)
    if deployment_id is not None:
        query = query.where(EventRow.deployment_id == deployment_id)
    if job_id is not None:
        query = query.where(EventRow.job_id == job_id)
    return query


def add_lines(
    session: Session, deployment_id: str, replica_id: str, lines: Sequence[str], now: float
) -> None:
    """Keeps lines of an engine's log, and drops the oldest beyond the limit."""
    session.add_all(
        LogLineRow(deployment_id=deployment_id, replica_id=replica_id, at=now, text=line) for line in lines
    )
    session.flush()
    oldest = session.scalar(
        select(LogLineRow.id)
        .where(LogLineRow.deployment_id == deployment_id)
        .order_by(LogLineRow.id.desc())
        .offset(KEPT_LINES)
        .limit(1)
    )
    if oldest is not None:
        session.execute(
            delete(LogLineRow).where(LogLineRow.deployment_id == deployment_id, LogLineRow.id <= oldest)
        )


def lines_after(
    session: Session, deployment_id: str, last: int, limit: int = KEPT_LINES
) -> Iterator[tuple[int, float, str, str]]:
    """(id, time, replica, text) of log lines after the line `last`."""
    query = select(LogLineRow).where(LogLineRow.deployment_id == deployment_id, LogLineRow.id > last)
    for row in session.scalars(query.order_by(LogLineRow.id).limit(limit)):
        yield row.id, row.at, row.replica_id, row.text


def _event(row: EventRow, origin: str | None) -> Event:
    return Event(
        id=row.id,
        at=row.at,
        kind=row.kind,
        deployment=row.deployment,
        deployment_id=row.deployment_id,
        replica=row.replica_id,
        job=row.job_id,
        message=row.message,
        data=row.data,
        public=origin == COMMANDED,
    )
