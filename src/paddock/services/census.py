"""How many replicas and jobs there are and how far the jobs are: what no single process can count."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from paddock.services.holds import ORIGIN
from paddock.store.tables import DeploymentRow, HardwareLeaseRow, JobRow, ReplicaRow
from paddock.store.webhook_tables import DeliveryRow


@dataclass(frozen=True)
class JobCount:
    """
    Attributes:
        count: jobs.
        done, failed: rows or steps of them all; those that failed are among those that are done.
        left: rows or steps that are still to be done, as far as they are known.
    """

    count: int
    done: int
    failed: int
    left: int


@dataclass(frozen=True)
class Census:
    """
    Attributes:
        replicas: those that have not ended, by model, state and hardware type. The model is the deployment's
            name, or of one that a job brought up for itself the name of its weights.
        jobs: by kind and state.
        webhooks: messages that are on their way to one.
    """

    replicas: dict[tuple[str, str, str], int] = field(default_factory=dict)
    jobs: dict[tuple[str, str], JobCount] = field(default_factory=dict)
    webhooks: int = 0


def take(session: Session) -> Census:
    """All that there is now, of all projects."""
    waiting = select(func.count()).select_from(DeliveryRow).where(DeliveryRow.finished_at.is_(None))
    return Census(_replicas(session), _jobs(session), session.scalars(waiting).one())


def _replicas(session: Session) -> dict[tuple[str, str, str], int]:
    hardware_type = func.coalesce(HardwareLeaseRow.hardware_type, DeploymentRow.hardware_type)
    query = (
        select(DeploymentRow.name, DeploymentRow.model, DeploymentRow.origin, ReplicaRow.state, hardware_type)
        .join(ReplicaRow, ReplicaRow.deployment_id == DeploymentRow.id)
        .outerjoin(HardwareLeaseRow, HardwareLeaseRow.replica_id == ReplicaRow.id)
        .where(ReplicaRow.ended_at.is_(None))
    )
    found: Counter[tuple[str, str, str]] = Counter()
    for name, model, origin, state, kind in session.execute(query):
        found[model if origin == ORIGIN else name, state, kind] += 1
    return dict(found)


def _jobs(session: Session) -> dict[tuple[str, str], JobCount]:
    query = select(
        JobRow.kind,
        JobRow.state,
        func.count(),
        func.sum(JobRow.done),
        func.sum(JobRow.failed),
        func.sum(JobRow.total - JobRow.done),
    ).group_by(JobRow.kind, JobRow.state)
    return {
        (kind, state): JobCount(int(count), int(done), int(failed), max(0, int(left)))
        for kind, state, count, done, failed, left in session.execute(query)
    }
