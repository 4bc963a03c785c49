"""Rows of the store as the objects that every dialect shows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from paddock.schemas.own import Deployment, DeploymentStatus, Replica, ReplicaState
from paddock.store.tables import DeploymentRow, HardwareLeaseRow, ReplicaRow

COMMANDED = "command"
"""The `origin` of a deployment that the command line names; see `commanded`."""


def snapshots(session: Session, rows: Sequence[DeploymentRow]) -> list[Deployment]:
    """The deployments with their replicas, in two questions however many they are."""
    replicas = living(session, [row.id for row in rows])
    return [snapshot(row, replicas.get(row.id, ())) for row in rows]


def living(session: Session, deployments: Sequence[str]) -> dict[str, list[ReplicaRow]]:
    """The replicas that have not ended, by deployment, the oldest first."""
    found: dict[str, list[ReplicaRow]] = defaultdict(list)
    if not deployments:
        return found
    query = select(ReplicaRow).where(ReplicaRow.deployment_id.in_(deployments), ReplicaRow.ended_at.is_(None))
    for row in session.scalars(query.order_by(ReplicaRow.created_at, ReplicaRow.id)):
        found[row.deployment_id].append(row)
    return found


def snapshot(row: DeploymentRow, replicas: Iterable[ReplicaRow]) -> Deployment:
    shown = [replica(one, row.hardware_type) for one in replicas]
    status: DeploymentStatus = row.status  # type: ignore[assignment]  # the controller writes only these
    blocked = next((one.description for one in shown if one.state == "queued" and one.description), "")
    return Deployment(
        id=row.id,
        name=row.name,
        project=row.project,
        model=row.model,
        parent=row.facts.get("parent", ""),
        engine=row.engine,
        hardware_type=row.hardware_type,
        context_length=row.context_length,
        min_workers=row.min_workers,
        max_workers=row.max_workers,
        per_worker=row.per_worker,
        idle_timeout=row.idle_timeout,
        options=row.options,
        labels=row.details.get("labels") or {},
        status=status,
        serving=any(one.state == "ready" for one in shown),
        reason=row.reason or blocked,
        log=row.log,
        public=row.origin == COMMANDED,
        generation=row.generation,
        replicas=shown,
        created_at=row.created_at,
        updated_at=row.updated_at,
        started_at=row.started_at,
        stopped_at=row.stopped_at,
        source=row.source,
        details=row.details,
    )


def replica(row: ReplicaRow, hardware_type: str) -> Replica:
    state: ReplicaState = row.state  # type: ignore[assignment]  # the controller writes only these
    return Replica(
        id=row.id,
        generation=row.generation,
        state=state,
        node=row.node,
        hardware_type=hardware_type,
        step=row.step,
        description=row.description,
        done=row.done,
        total=row.total,
        reason=row.reason,
        created_at=row.created_at,
        ready_at=row.ready_at,
        ended_at=row.ended_at,
    )


def leases(session: Session) -> list[dict[str, Any]]:
    """What replicas hold of the nodes."""
    return [
        {
            "replica": row.replica_id,
            "node": row.node,
            "hardware_type": row.hardware_type,
            "cores": row.cores,
            "memory": row.memory,
            "gpus": row.gpus,
            "since": row.since,
        }
        for row in session.scalars(select(HardwareLeaseRow).order_by(HardwareLeaseRow.since))
    ]
