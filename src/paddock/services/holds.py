"""Holds: a job's wish that a deployment has replicas while it works. The controller starts and keeps them."""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from paddock.services import events
from paddock.store.sessions import ChangeSession
from paddock.store.tables import DeploymentRow, HoldRow

ORIGIN = "job"
"""The `origin` of a deployment that a job brought up for itself; it goes with the job."""


def hold(session: ChangeSession, job_id: str, deployment_id: str, replicas: int) -> None:
    """From now on the deployment has at least so many replicas for this job; one job holds one deployment."""
    row = session.get(HoldRow, job_id)
    if row is None:
        session.add(HoldRow(job_id=job_id, deployment_id=deployment_id, replicas=replicas))
    else:
        _look(session, row.deployment_id)
        row.deployment_id, row.replicas = deployment_id, replicas
    _look(session, deployment_id)


def let_go(session: ChangeSession, job_id: str, now: float) -> None:
    """Ends the job's hold, and what was brought up for it."""
    row = session.get(HoldRow, job_id)
    if row is not None:
        session.delete(row)
        session.flush()
        _look(session, row.deployment_id)
    # It may have died before it held what it had brought up.
    own = select(DeploymentRow).where(
        DeploymentRow.origin == ORIGIN,
        DeploymentRow.name == own_name(job_id),
        DeploymentRow.deleted_at.is_(None),
        DeploymentRow.wanted != "delete",
    )
    for deployment in session.scalars(own):
        deployment.wanted, deployment.status = "delete", "deleting"
        deployment.updated_at = now
        _look(session, deployment.id)
        events.record(session, deployment, "deleting", "its job is over", now)


def own_name(job_id: str) -> str:
    """What a deployment is called that is brought up for this job only."""
    return f"for-{job_id}"


def held(session: Session) -> dict[str, int]:
    """Replicas that jobs hold, by deployment."""
    query = select(HoldRow.deployment_id, func.max(HoldRow.replicas)).group_by(HoldRow.deployment_id)
    return {identity: int(count) for identity, count in session.execute(query)}


def _look(session: ChangeSession, deployment_id: str) -> DeploymentRow:
    deployment = session.get_one(DeploymentRow, deployment_id)
    deployment.attention, deployment.revision = True, session.revision
    return deployment
