"""What gateways need to know of deployments to send requests, and what of it changed since they looked."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from paddock.services import commanded
from paddock.services.holds import ORIGIN
from paddock.services.webhooks.outbox import CALLBACK
from paddock.store.tables import AdapterRow, DeploymentRow, ReplicaRow, RevisionRow


@dataclass(frozen=True)
class ServedReplica:
    """A ready engine. `key` is known to gateways only.

    Attributes:
        adapters: what it calls each adapter that it serves, by the adapter's id.
    """

    id: str
    address: str
    key: str
    adapters: Mapping[str, int]


@dataclass(frozen=True)
class ServedAdapter:
    """An adapter that a deployment serves, or will as soon as its engines are new; for its project only."""

    id: str
    project: str
    name: str
    created_at: float


@dataclass(frozen=True)
class Served:
    """A deployment for a gateway.

    Attributes:
        proved: this generation has served before, so that starting it is tried for ever.
        gone: deleted: its name means nothing any more.
        hidden: brought up for a job; requests do not find it.
        public: of the command line: every project may ask it.
        callback: each answer is for somebody else too.
        facts: `slots`, `connections`, `generates`, `embeds`, `tools`, `vocabulary`, `sampling`, as
            far as they are known.
    """

    id: str
    project: str
    name: str
    model: str
    engine: str
    wanted: str
    status: str
    reason: str
    context_length: int
    created_at: float
    proved: bool
    gone: bool
    hidden: bool
    public: bool
    facts: dict[str, Any]
    replicas: tuple[ServedReplica, ...]
    adapters: tuple[ServedAdapter, ...] = ()
    callback: bool = False


_COLUMNS = (
    DeploymentRow.id,
    DeploymentRow.project,
    DeploymentRow.name,
    DeploymentRow.model,
    DeploymentRow.engine,
    DeploymentRow.wanted,
    DeploymentRow.status,
    DeploymentRow.reason,
    DeploymentRow.context_length,
    DeploymentRow.created_at,
)


def changed_since(session: Session, revision: int) -> tuple[int, list[Served]]:
    """The newest revision, and the deployments that changed after `revision`, the oldest first."""
    newest = session.scalars(select(RevisionRow.value)).one()
    if newest == revision:
        return newest, []
    proved = DeploymentRow.proved >= DeploymentRow.generation
    query = select(
        *_COLUMNS,
        proved,
        DeploymentRow.deleted_at,
        DeploymentRow.origin,
        DeploymentRow.facts,
        DeploymentRow.details,
    )
    query = query.where(DeploymentRow.revision > revision)
    if revision < 0:
        query = query.where(DeploymentRow.deleted_at.is_(None))
    rows = session.execute(query.order_by(DeploymentRow.created_at, DeploymentRow.id)).all()
    replicas, adapters = _ready(session, revision), _adapters(session, revision)
    return newest, [
        Served(
            *row[:10],
            row[10],
            row[11] is not None,
            row[12] == ORIGIN,
            row[12] == commanded.ORIGIN,
            row[13],
            tuple(replicas.get(row[0], ())),
            tuple(adapters.get(row[0], ())),
            bool(row[14].get(CALLBACK)),
        )
        for row in rows
    ]


def _ready(session: Session, revision: int) -> dict[str, list[ServedReplica]]:
    found: defaultdict[str, list[ServedReplica]] = defaultdict(list)
    query = (
        select(
            ReplicaRow.deployment_id, ReplicaRow.id, ReplicaRow.address, ReplicaRow.key, ReplicaRow.adapters
        )
        .join(DeploymentRow, DeploymentRow.id == ReplicaRow.deployment_id)
        .where(ReplicaRow.ended_at.is_(None), ReplicaRow.state == "ready", DeploymentRow.revision > revision)
    )
    for deployment_id, *rest in session.execute(query.order_by(ReplicaRow.created_at)):
        found[deployment_id].append(ServedReplica(*rest))
    return found


def _adapters(session: Session, revision: int) -> dict[str, list[ServedAdapter]]:
    found: defaultdict[str, list[ServedAdapter]] = defaultdict(list)
    query = (
        select(DeploymentRow.id, AdapterRow.id, AdapterRow.project, AdapterRow.name, AdapterRow.created_at)
        .join(
            DeploymentRow, (DeploymentRow.source == AdapterRow.source) & commanded.serves(AdapterRow.project)
        )
        .where(
            AdapterRow.deleted_at.is_(None),
            DeploymentRow.deleted_at.is_(None),
            DeploymentRow.origin != ORIGIN,
            DeploymentRow.revision > revision,
        )
    )
    for row in session.execute(query.order_by(AdapterRow.created_at, AdapterRow.id)):
        found[row[0]].append(ServedAdapter(*row[1:]))
    return found
