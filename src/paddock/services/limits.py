"""Limits that hold across gateway processes: what each of them takes, and may take, stands in the ledger.

A limit per minute is a sliding window: a process takes a slice, which is stamped with a tick, and uses it at
once or within `Window.life`; what it does not use it gives back under that tick. What was taken within a
window and the life of a slice never exceeds the limit, so neither does what was used within any window.

A limit on what there is at once is leased: each process has a row that says how much it holds, and that ends
by itself when the process does not renew it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import delete, func, select, text
from sqlalchemy.orm import Session

from paddock.services.usage.record import periods, spent
from paddock.store.bulk import insert_rows
from paddock.store.database import WriteSession
from paddock.store.ledger_tables import LimitLeaseRow, LimitWindowRow

REQUESTS, TOKENS, CONCURRENT, BUDGET = "requests", "tokens", "concurrent", "budget"
LEASE_SECONDS = 4.0
"""How long a process holds what it does not renew."""
SMALL = 20
"""Of a limit below it no process keeps anything in hand; of others at most one part of so many."""
TICKS = 600
"""In a window."""
_ADD = "ON CONFLICT (subject, kind, tick) DO UPDATE SET taken = limit_windows.taken + excluded.taken"
_SET = (
    "ON CONFLICT (subject, kind, holder) DO UPDATE SET held = excluded.held, expires_at = excluded.expires_at"
)
_LOCK = text(
    "SELECT pg_advisory_xact_lock(hashtextextended(one, 6)) FROM unnest(CAST(:subjects AS text[])) one"
)


@dataclass(frozen=True)
class Window:
    """The time that a limit per minute is for.

    Attributes:
        seconds: all who share a ledger have the same.
    """

    seconds: float = 60.0

    @property
    def life(self) -> float:
        """Seconds for which a slice may be used; of a small limit at once, which takes a moment too."""
        return self.seconds / 120

    def tick(self, now: float) -> int:
        return math.floor(now * TICKS / self.seconds)

    @property
    def ticks_back(self) -> int:
        """What was taken up to so many ticks ago counts."""
        return TICKS + 1 + TICKS // 120

    def leaves_at(self, tick: int) -> float:
        """When what was taken under a tick counts no more."""
        return (tick + self.ticks_back) * self.seconds / TICKS


class Take(NamedTuple):
    """Wanted of a window.

    Attributes:
        wanted: what is needed now; `more` beyond it if there is plenty.
        back: what was not used, by the tick under which it was taken.
        late: what was used already without having been taken.
    """

    subject: str
    kind: str
    limit: int
    wanted: int
    more: int
    back: Sequence[tuple[int, int]]
    late: int


class Taken(NamedTuple):
    """
    Attributes:
        got: at most what was wanted.
        room: what is left for everybody.
        rows: if it is less than wanted, what leaves the window when: (tick, taken), the oldest first.
    """

    tick: int
    got: int
    room: int
    rows: Sequence[tuple[int, int]]


class Lease(NamedTuple):
    """Wanted at once.

    Attributes:
        base: what this process holds already and does not let go.
        wanted: beyond it, needed now; `more` beyond that if there is plenty.
        period: of a budget: `total`, `month` or `day`.
    """

    subject: str
    kind: str
    limit: int
    base: int
    wanted: int
    more: int
    period: str


class Leased(NamedTuple):
    """
    Attributes:
        held: `base` at least.
        room: what is left for everybody; below zero if more is held than may be.
        spent: of a budget, what the ledger says.
    """

    held: int
    room: int
    spent: int


def exchange(
    session: WriteSession,
    holder: str,
    now: float,
    window: Window,
    takes: Sequence[Take],
    leases: Sequence[Lease],
) -> tuple[list[Taken], list[Leased]]:
    """Gives back, then takes, for one process: answers in the order of what is asked. Others that ask for the
    same subjects wait until it is committed. No subject and kind may be asked for twice.
    """
    if session.connection().dialect.name == "postgresql":
        subjects = sorted({one.subject for one in takes} | {one.subject for one in leases})
        session.execute(_LOCK, {"subjects": subjects})
    tick = window.tick(now)
    _add(session, [(one, at, -count) for one in takes for at, count in one.back])
    _add(session, [(one, tick, one.late) for one in takes if one.late])
    taken = [_take(session, one, tick, window) for one in takes]
    _add(session, [(one, tick, found.got) for one, found in zip(takes, taken, strict=True) if found.got])
    leased = [_lease(session, holder, one, now) for one in leases]
    rows = [
        (one.subject, one.kind, holder, found.held, now + LEASE_SECONDS)
        for one, found in zip(leases, leased, strict=True)
    ]
    columns = ("subject", "kind", "holder", "held", "expires_at")
    insert_rows(session, LimitLeaseRow.__table__, columns, sorted(rows), _SET)
    return taken, leased


def frees_at(rows: Sequence[tuple[int, int]], missing: int, window: Window) -> float:
    """When so much more has left the window, in seconds since 1970.

    Args:
        rows: as in `Taken`.
    """
    for tick, count in rows:
        missing -= count
        if missing <= 0:
            return window.leaves_at(tick)
    return window.leaves_at(rows[-1][0]) if rows else 0.0


def leave(session: WriteSession, holder: str) -> None:
    """A process ends and holds nothing any more."""
    session.execute(delete(LimitLeaseRow).where(LimitLeaseRow.holder == holder))


def clear(session: WriteSession, now: float, window: Window) -> None:
    """Forgets what counts no more."""
    oldest = window.tick(now) - window.ticks_back - 1
    session.execute(delete(LimitWindowRow).where(LimitWindowRow.tick < oldest))
    session.execute(delete(LimitLeaseRow).where(LimitLeaseRow.expires_at < now - LEASE_SECONDS))


def _add(session: WriteSession, changes: Sequence[tuple[Take, int, int]]) -> None:
    # In one order in every process, as the rows are locked in it.
    rows = sorted((one.subject, one.kind, tick, count) for one, tick, count in changes)
    insert_rows(session, LimitWindowRow.__table__, ("subject", "kind", "tick", "taken"), rows, _ADD)


def _take(session: Session, one: Take, tick: int, window: Window) -> Taken:
    oldest = tick - window.ticks_back
    counts = (
        LimitWindowRow.subject == one.subject,
        LimitWindowRow.kind == one.kind,
        LimitWindowRow.tick > oldest,
        # A clock that was set back does not shut everybody out until it is there again.
        LimitWindowRow.tick < tick + TICKS,
    )
    room = one.limit - int(session.scalar(select(func.sum(LimitWindowRow.taken)).where(*counts)) or 0)
    got = max(0, min(one.wanted + _plenty(one.more, room - one.wanted), room))
    rows: list[tuple[int, int]] = []
    if got < one.wanted:
        found = select(LimitWindowRow.tick, LimitWindowRow.taken).where(*counts)
        rows = [(at, count) for at, count in session.execute(found.order_by(LimitWindowRow.tick))]
    return Taken(tick, got, room - got, rows)


def _lease(session: Session, holder: str, one: Lease, now: float) -> Leased:
    others = select(func.sum(LimitLeaseRow.held)).where(
        LimitLeaseRow.subject == one.subject,
        LimitLeaseRow.kind == one.kind,
        LimitLeaseRow.holder != holder,
        LimitLeaseRow.expires_at > now,
    )
    gone = 0
    if one.kind == BUDGET:
        total, month, day = periods(int(now))
        gone = spent(session, one.subject, {"total": total, "month": month, "day": day}[one.period])
    top = one.limit - gone - int(session.scalar(others) or 0)
    wanted = one.base + one.wanted
    held = max(one.base, min(wanted + _plenty(one.more, top - wanted), top))
    return Leased(held, top - held, gone)


def _plenty(more: int, left: int) -> int:
    """Near the end nobody keeps what another one needs."""
    return max(0, min(more, left // 4))
