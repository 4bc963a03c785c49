"""What replicas cost: by begun intervals of a minute or an hour, from when one was ready until it ended.

The store knows the replicas, the ledger has a row for each interval. A row is written once, whoever writes it
and however often: each interval begins where the one before ended, and the first when the replica was ready.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from paddock.schemas.limits import NANO
from paddock.services.usage.record import TOTAL, Interval, spent
from paddock.store.ledger_tables import InstanceRow
from paddock.store.tables import DeploymentRow, HardwareLeaseRow, ReplicaRow

SECONDS = {"per_minute": 60.0, "per_hour": 3600.0}
"""How long each billing interval is."""
DEFAULT = "per_minute"
_DETAILS = "cortecs"
"""The dialect that lets its callers choose."""


@dataclass(frozen=True)
class Instance:
    """A replica that has been ready, and who pays for what.

    Attributes:
        ended_at: None while it is running.
        key: the id of the key that deployed it.
        billing_interval: one of `SECONDS`.
    """

    replica_id: str
    ready_at: float
    ended_at: float | None
    project: str
    key: str
    deployment_id: str
    deployment: str
    model: str
    hardware_type: str
    billing_interval: str


def intervals(one: Instance, begin: float, now: float, price_per_hour: float) -> Iterator[Interval]:
    """The intervals that have begun, in full.

    Args:
        begin: when the first of those that are asked for begins: `ready_at`, or the end of another one.
        price_per_hour: of one replica, in the currency of all prices.
    """
    seconds = SECONDS[one.billing_interval]
    cost = round(price_per_hour * NANO * seconds / 3600)
    until = now if one.ended_at is None else one.ended_at
    start = begin
    while start < until or start == one.ready_at:
        yield Interval(
            replica_id=one.replica_id,
            start=start,
            end=start + seconds,
            project=one.project,
            key=one.key,
            deployment_id=one.deployment_id,
            deployment=one.deployment,
            model=one.model,
            hardware_type=one.hardware_type,
            billing_interval=one.billing_interval,
            cost=cost,
        )
        start += seconds


# ---- what the store has


def running(session: Session) -> dict[str, Instance]:
    """The replicas that have been ready and have not ended, by their ids."""
    return _found(session, _INSTANCES.where(ReplicaRow.ended_at.is_(None)))


def ended_since(session: Session, at: float) -> dict[str, Instance]:
    """Those that ended then or later, as far as they are remembered."""
    return _found(session, _INSTANCES.where(ReplicaRow.ended_at >= at))


def of(session: Session, replica_ids: Collection[str]) -> dict[str, Instance]:
    """These, as far as they are remembered."""
    return _found(session, _INSTANCES.where(ReplicaRow.id.in_(replica_ids)))


_INSTANCES = (
    select(
        ReplicaRow.id,
        ReplicaRow.ready_at,
        ReplicaRow.ended_at,
        DeploymentRow.project,
        DeploymentRow.key_id,
        DeploymentRow.id,
        DeploymentRow.name,
        DeploymentRow.model,
        func.coalesce(HardwareLeaseRow.hardware_type, DeploymentRow.hardware_type),
        DeploymentRow.details,
    )
    .join(DeploymentRow, ReplicaRow.deployment_id == DeploymentRow.id)
    .outerjoin(HardwareLeaseRow, HardwareLeaseRow.replica_id == ReplicaRow.id)
    .where(ReplicaRow.ready_at.is_not(None))
)


def _found(session: Session, query: Select[Any]) -> dict[str, Instance]:
    found = {}
    for *values, details in session.execute(query):
        one = Instance(*[*values, _billing_interval(details)])
        found[one.replica_id] = one
    return found


def _billing_interval(details: dict[str, Any]) -> str:
    asked = (details.get(_DETAILS) or {}).get("billing_interval")
    return asked if asked in SECONDS else DEFAULT


# ---- what the ledger has


def last_begun(session: Session) -> float:
    """When the last of all intervals began; 0.0 if there is none."""
    return session.scalar(select(func.max(InstanceRow.start))) or 0.0


def written(session: Session, replica_ids: Collection[str]) -> dict[str, tuple[float, str]]:
    """When the last interval of each replica ends, and its hardware type; of those that have one."""
    found = {}
    for identity in replica_ids:
        last = (
            select(InstanceRow.end, InstanceRow.hardware_type)
            .where(InstanceRow.replica_id == identity)
            .order_by(InstanceRow.start.desc())
            .limit(1)
        )
        if (row := session.execute(last).first()) is not None:
            found[identity] = (float(row[0]), str(row[1]))
    return found


def costs(session: Session, deployment_ids: Sequence[str]) -> dict[str, int]:
    """What all replicas of each deployment cost so far, in billionths; of those that cost anything."""
    subjects = [f"deployment:{identity}" for identity in deployment_ids]
    found = spent(session, subjects, [TOTAL])
    return {subject.partition(":")[2]: cost for (subject, _), cost in found.items()}
