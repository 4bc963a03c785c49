"""Carries decisions out in the store, in one transaction, and says which processes to begin and end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import ColumnElement, select, text, union
from sqlalchemy.orm import Session

from paddock.control.decide import ATTEMPTS, Decision, Load, Seen, Wish, decide, wait_after
from paddock.control.placing import News, news
from paddock.schemas.hardware import Node
from paddock.services import adapters, events, holds, replicas
from paddock.services.adapters import Adapter
from paddock.services.gateways import Gateways
from paddock.services.hardware import HardwareConfig
from paddock.services.snapshots import living
from paddock.settings import Settings
from paddock.store.sessions import ChangeSession
from paddock.store.tables import DeploymentRow, ReplicaRow

DRAIN_SECONDS = 600.0
"""A replaced replica may finish what it has; a stream of ten minutes is cut."""
RESERVING_SECONDS = 60.0


@dataclass(frozen=True)
class View:
    """What a pass over the deployments looks at besides their rows."""

    settings: Settings
    hardware: HardwareConfig
    nodes: Sequence[Node]
    gateways: Gateways
    peaks: Mapping[str, int]
    now: float


@dataclass(frozen=True)
class Order:
    """A replica and all that the start of its process needs, read in one transaction.

    Attributes:
        adapters: what it serves beside the model.
    """

    replica_id: str
    deployment_id: str
    deployment: str
    node: str
    source: str
    engine: str
    context_length: int
    options: Mapping[str, object]
    key: str = field(repr=False)
    gpus: tuple[int, ...] = ()
    adapters: tuple[Adapter, ...] = ()


@dataclass
class Outcome:
    """What a pass leaves to do outside the store.

    Attributes:
        look_again: when the next pass is due if nothing else happens.
    """

    begin: list[Order] = field(default_factory=list)
    end: list[tuple[str, str]] = field(default_factory=list)
    look_again: float | None = None

    def due(self, at: float | None) -> None:
        if at is not None and (self.look_again is None or at < self.look_again):
            self.look_again = at


def active(session: Session, gateways: Gateways) -> list[DeploymentRow]:
    """The deployments that a pass must look at: most of ten thousand have nothing to be done."""
    alive = select(ReplicaRow.deployment_id).where(ReplicaRow.ended_at.is_(None))
    # In these very words the conditions are those of partial indexes, in both databases.
    noted = select(DeploymentRow.id).where(text("attention"))
    wanted: ColumnElement[bool] = DeploymentRow.id.in_(union(noted, alive))
    if waiting := gateways.waiting():
        wanted |= DeploymentRow.id.in_(sorted(waiting))
    query = select(DeploymentRow).where(DeploymentRow.deleted_at.is_(None), wanted)
    return list(session.scalars(query.order_by(DeploymentRow.created_at, DeploymentRow.id)))


def is_due(session: Session, view: View) -> tuple[bool, float | None]:
    """Whether a pass would write anything, and otherwise when it will have to."""
    outcome = Outcome()
    rows = active(session, view.gateways)
    alive = living(session, [row.id for row in rows])
    held = holds.held(session)
    queued = False
    for row in rows:
        decision = _decide(row, alive[row.id], view, held.get(row.id, 0))
        outcome.due(decision.look_again)
        queued = queued or any(one.state == "queued" for one in alive[row.id])
        if decision.acts or decision.status != row.status or row.attention != _needs_attention(decision):
            return True, None
    return queued and bool(news(session, view.nodes, view.hardware, rows, alive)), outcome.look_again


def step(session: ChangeSession, fence: int, view: View) -> Outcome:
    """One pass: decides anew on what is there now, writes it, and reserves hardware for who waits."""
    outcome = Outcome()
    rows = active(session, view.gateways)
    alive = living(session, [row.id for row in rows])
    held = holds.held(session)
    for row in rows:
        decision = _decide(row, alive[row.id], view, held.get(row.id, 0))
        _carry_out(session, fence, view, row, alive[row.id], decision, outcome)
    alive = living(session, [row.id for row in rows])
    for one in news(session, view.nodes, view.hardware, rows, alive):
        _place(session, view, one, outcome)
    return outcome


def failed_start(
    row: DeploymentRow,
    one: ReplicaRow,
    reason: str,
    log: Iterable[str],
    now: float,
    *,
    hopeless: bool = False,
) -> None:
    """A replica of the deployment could not start, or ended without being asked to.

    Args:
        hopeless: the next start would fail too.
    """
    if one.generation != row.generation or row.wanted != "serve":
        return
    if now >= row.retry_at:
        # Replicas that are lost together, as when memory runs out, are one failure.
        row.failures += 1
        row.retry_at = now + wait_after(row.failures)
    if hopeless:
        row.failures = max(row.failures, ATTEMPTS)
    row.reason, row.log = reason, list(log)


def _decide(row: DeploymentRow, alive: Sequence[ReplicaRow], view: View, held: int) -> Decision:
    wish = Wish(
        wanted=row.wanted,  # type: ignore[arg-type]  # only the verbs write it
        generation=row.generation,
        min_workers=row.min_workers,
        max_workers=row.max_workers,
        per_worker=row.per_worker,
        idle_timeout=row.idle_timeout,
        proved=row.proved,
        failures=row.failures,
        retry_at=row.retry_at,
    )
    demand = view.gateways.demand(row.id)
    load = Load(
        demand=demand,
        peak=max(demand, view.peaks.get(row.id, 0)),
        used_at=max(row.used_at, view.gateways.used_at(row.id)),
        held=held,
    )
    return decide(wish, [_seen(one, view, row.revision) for one in alive], load, view.now)


def _seen(one: ReplicaRow, view: View, revision: int) -> Seen:
    return Seen(
        id=one.id,
        generation=one.generation,
        state=one.state,
        deadline_at=one.deadline_at,
        blocked=bool(one.blocked),
        in_flight=view.gateways.in_flight(one.id),
        drained=one.state == "draining" and view.gateways.let_go(one.id, one.drain_revision),
    )


def _carry_out(
    session: ChangeSession,
    fence: int,
    view: View,
    row: DeploymentRow,
    alive: Sequence[ReplicaRow],
    decision: Decision,
    outcome: Outcome,
) -> None:
    by_id = {one.id: one for one in alive}
    now = view.now
    for identity in decision.overdue:
        one = by_id[identity]
        reason = _overdue(one, now)
        # It had all the time that it is given to wait for hardware: the next one would wait in vain too.
        failed_start(row, one, reason, [], now, hopeless=one.state == "queued")
        if one.state == "queued":
            replicas.end(session, row, one, "failed", reason, now)
        else:
            _end(one, reason, outcome, now)
    for identity in decision.drain:
        replicas.advance(
            by_id[identity], "draining", 5, "Finishing its requests", now, now + _drain(view, row)
        )
        by_id[identity].drain_revision = session.revision
    for identity, reason in decision.end:
        if by_id[identity].state == "queued":
            replicas.end(session, row, by_id[identity], "stopped", reason, now)
        else:
            _end(by_id[identity], reason, outcome, now)
    for _ in range(decision.start):
        replicas.add(session, row, fence, now, now + view.settings.queue_timeout)
    _write_status(session, view, row, decision)
    if decision.forget:
        row.deleted_at = now
        events.record(session, row, "deleted", "", now)
    row.attention = _needs_attention(decision)
    if decision.acts:
        row.revision = session.revision
    outcome.due(now if decision.overdue else decision.look_again)


def _end(one: ReplicaRow, reason: str, outcome: Outcome, now: float) -> None:
    """What it holds stays its own until its process is gone."""
    replicas.advance(one, "ending", one.step, "Ending", now, None)
    outcome.end.append((one.id, reason))


def _write_status(session: ChangeSession, view: View, row: DeploymentRow, decision: Decision) -> None:
    used = view.gateways.used_at(row.id)
    if used > row.used_at:
        row.used_at = used
    if decision.status == row.status:
        return
    row.status, row.revision = decision.status, session.revision
    if decision.status == "failed":
        row.stopped_at = view.now
    if decision.status == "ready":
        row.reason, row.log, row.stopped_at = "", [], None
        row.started_at = row.started_at or view.now
        row.used_at = max(row.used_at, view.now)
    if decision.status != "deleting":
        events.record(session, row, decision.status, row.reason, view.now)


def _place(session: ChangeSession, view: View, one: News, outcome: Outcome) -> None:
    replica = one.replica
    one.row.revision = session.revision
    if one.place is None:
        replica.description, replica.blocked = one.why, one.why if one.helps else ""
        # Perhaps an older generation can make room.
        outcome.due(view.now)
        return
    replicas.reserve(session, replica, one.place, view.now, view.now + RESERVING_SECONDS)
    outcome.begin.append(order_of(session, one.row, replica, one.place.gpus))


def order_of(session: Session, row: DeploymentRow, one: ReplicaRow, gpus: tuple[int, ...] = ()) -> Order:
    return Order(
        replica_id=one.id,
        deployment_id=row.id,
        deployment=row.name,
        node=one.node,
        source=row.source,
        engine=row.engine,
        context_length=row.context_length,
        options=dict(row.options),
        key=one.key,
        gpus=gpus,
        adapters=tuple(adapters.beside(session, row)),
    )


def _needs_attention(decision: Decision) -> bool:
    """Whether the next pass must look even if no replica lives then."""
    passing = decision.status in ("starting", "pending")
    return not decision.forget and (bool(decision.start) or passing or decision.look_again is not None)


def _drain(view: View, row: DeploymentRow) -> float:
    return DRAIN_SECONDS if row.wanted == "serve" else view.settings.drain_timeout


def _overdue(one: ReplicaRow, now: float) -> str:
    seconds = now - one.state_at
    if one.state == "queued":
        return f"no hardware was free for it in {seconds:.0f} s. {one.description}"
    return f"it did not get past {one.description or one.state!r} in {seconds:.0f} s"
