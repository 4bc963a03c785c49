"""The processes that answer requests, as the controller knows them: what they have seen and have to do."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import ColumnElement, delete, select
from sqlalchemy.orm import Session

from paddock.store.sessions import WriteSession
from paddock.store.tables import GatewayRow

ALIVE_SECONDS = 3.0
"""A gateway that has not reported for so long is gone."""


@dataclass(frozen=True)
class Report:
    """What one gateway has to do.

    Attributes:
        revision: the last change that it has seen; every request it sends from now on follows it.
        in_flight: requests at each replica now, by the replica's id; none for those not named.
        demand: the most requests at once, in flight or waiting, since the last report, by deployment id.
        used: when there was a request last, by deployment id, for those that have replicas.
    """

    revision: int
    in_flight: Mapping[str, int] = field(default_factory=dict)
    demand: Mapping[str, int] = field(default_factory=dict)
    used: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Gateways:
    """All live gateways together."""

    reports: Sequence[Report] = ()

    def demand(self, deployment_id: str) -> int:
        return sum(report.demand.get(deployment_id, 0) for report in self.reports)

    def used_at(self, deployment_id: str) -> float:
        return max((report.used.get(deployment_id, 0.0) for report in self.reports), default=0.0)

    def in_flight(self, replica_id: str) -> int:
        return sum(report.in_flight.get(replica_id, 0) for report in self.reports)

    def let_go(self, replica_id: str, revision: int) -> bool:
        """Whether all of them know the change `revision` and have nothing at the replica any more."""
        return all(
            report.revision >= revision and not report.in_flight.get(replica_id) for report in self.reports
        )

    def waiting(self) -> set[str]:
        """Deployments for which there are requests."""
        found: set[str] = set()
        for report in self.reports:
            found.update(one for one, count in report.demand.items() if count)
        return found


def report(session: WriteSession, identity: str, now: float, what: Report, *, news: bool) -> None:
    """Writes a gateway's report; with `news` the controller must look at it."""
    row = session.get(GatewayRow, identity)
    if row is None:
        row = GatewayRow(id=identity, version=0)
        session.add(row)
    row.seen_at, row.revision = now, what.revision
    row.load = {"in_flight": dict(what.in_flight), "demand": dict(what.demand), "used": dict(what.used)}
    row.version += news


def leave(session: WriteSession, identity: str) -> None:
    """A gateway ends: nobody waits for it any more."""
    session.execute(delete(GatewayRow).where(GatewayRow.id == identity))


def others(session: Session, now: float, identity: str) -> Gateways:
    """All live ones but this."""
    return alive(session, now, GatewayRow.id != identity)


def alive(session: Session, now: float, *which: ColumnElement[bool]) -> Gateways:
    rows = session.scalars(select(GatewayRow).where(GatewayRow.seen_at > now - ALIVE_SECONDS, *which))
    merged: defaultdict[str, dict[str, float]]
    reports = []
    for row in rows:
        merged = defaultdict(dict, row.load)
        counts = {name: {key: int(n) for key, n in merged[name].items()} for name in ("in_flight", "demand")}
        reports.append(Report(row.revision, counts["in_flight"], counts["demand"], merged["used"]))
    return Gateways(reports)


def clear_dead(session: WriteSession, now: float) -> None:
    """Forgets gateways that ended without a word long ago."""
    session.execute(delete(GatewayRow).where(GatewayRow.seen_at < now - 20 * ALIVE_SECONDS))
