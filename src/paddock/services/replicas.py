"""The steps that a replica walks, as changes to its row. Only the controller with its fence writes it."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from paddock.schemas.hardware import Placement
from paddock.services import events
from paddock.store.sessions import ChangeSession, WriteSession
from paddock.store.tables import DeploymentRow, HardwareLeaseRow, ReplicaRow

KEPT = 20
"""Ended replicas that are remembered of a deployment."""


def add(
    session: ChangeSession, deployment: DeploymentRow, fence: int, now: float, deadline_at: float
) -> ReplicaRow:
    """A new replica of the wished generation, queued."""
    row = ReplicaRow(
        id=f"rep-{secrets.token_hex(8)}",
        deployment_id=deployment.id,
        generation=deployment.generation,
        fence=fence,
        state="queued",
        description="Waiting for its turn",
        created_at=now,
        state_at=now,
        deadline_at=deadline_at,
    )
    session.add(row)
    session.flush()
    return row


def placements(session: Session) -> dict[str, Placement]:
    """What live replicas hold, by their ids."""
    return {
        row.replica_id: Placement(row.node, row.hardware_type, int(row.cores), row.memory, tuple(row.gpus))
        for row in session.scalars(select(HardwareLeaseRow))
    }


def reserve(
    session: ChangeSession, row: ReplicaRow, place: Placement, now: float, deadline_at: float
) -> None:
    """Gives the replica what it asked for of a node, until `end`."""
    session.add(
        HardwareLeaseRow(
            replica_id=row.id,
            node=place.node,
            hardware_type=place.hardware_type,
            cores=place.cores,
            memory=place.memory,
            gpus=list(place.gpus),
            since=now,
        )
    )
    row.node, row.blocked = place.node, ""
    advance(row, "reserving", 2, f"Reserved {place.hardware_type} on {place.node}", now, deadline_at)
    row.key = secrets.token_urlsafe(24)


def advance(
    row: ReplicaRow, state: str, step: int, description: str, now: float, deadline_at: float | None
) -> None:
    row.state, row.step, row.description = state, step, description
    row.state_at, row.deadline_at = now, deadline_at


def end(
    session: ChangeSession, deployment: DeploymentRow, row: ReplicaRow, state: str, reason: str, now: float
) -> None:
    """Its process is gone: what it held is free again."""
    row.state, row.reason, row.ended_at, row.state_at = state, reason, now, now
    row.deadline_at, row.key, row.blocked = None, "", ""
    session.execute(delete(HardwareLeaseRow).where(HardwareLeaseRow.replica_id == row.id))
    events.record(session, deployment, f"replica_{state}", reason, now, row.id)
    _forget_old(session, deployment.id)


def progress(session: WriteSession, replica_id: str, fence: int, values: dict[str, Any]) -> None:
    """How far a passing step is; nothing if the replica is past it."""
    # Locked: PostgreSQL would let this overwrite a step that is being written at the same time.
    row = session.get(ReplicaRow, replica_id, with_for_update=True)
    if row is not None and row.fence == fence and row.state in ("reserving", "fetching", "loading"):
        for name, value in values.items():
            setattr(row, name, value)


def of(session: Session, deployment_ids: Sequence[str]) -> list[ReplicaRow]:
    """All replicas of these deployments that are still remembered, the newest first."""
    query = select(ReplicaRow).where(ReplicaRow.deployment_id.in_(deployment_ids))
    return list(session.scalars(query.order_by(ReplicaRow.created_at.desc())))


def _forget_old(session: ChangeSession, deployment_id: str) -> None:
    old = select(ReplicaRow.id).where(
        ReplicaRow.deployment_id == deployment_id, ReplicaRow.ended_at.is_not(None)
    )
    session.flush()
    ids = list(session.scalars(old.order_by(ReplicaRow.ended_at.desc()).offset(KEPT)))
    if ids:
        session.execute(delete(ReplicaRow).where(ReplicaRow.id.in_(ids)))
