"""The replicas of a project that have not ended, whatever deployments they belong to."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from paddock.schemas.own import Replica
from paddock.services.snapshots import replica
from paddock.store.tables import DeploymentRow, ReplicaRow


@dataclass(frozen=True)
class LiveReplica:
    """A replica, and the name and id of its deployment."""

    deployment: str
    deployment_id: str
    replica: Replica


def live_replicas(session: Session, project: str, *, deployment_id: str | None = None) -> list[LiveReplica]:
    """The oldest first; those of one deployment only if its id is given."""
    query = (
        select(ReplicaRow, DeploymentRow.name, DeploymentRow.id, DeploymentRow.hardware_type)
        .join(DeploymentRow, ReplicaRow.deployment_id == DeploymentRow.id)
        .where(ReplicaRow.ended_at.is_(None), DeploymentRow.project == project)
        .order_by(ReplicaRow.created_at, ReplicaRow.id)
    )
    if deployment_id is not None:
        query = query.where(DeploymentRow.id == deployment_id)
    return [
        LiveReplica(name, identity, replica(row, hardware_type))
        for row, name, identity, hardware_type in session.execute(query)
    ]
