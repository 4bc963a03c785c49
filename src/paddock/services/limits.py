"""Limits that hold across gateway processes: what each of them takes, and may take, stands in the ledger.

A limit per minute is a sliding window: a process takes a slice, which is stamped with a tick, and uses it at
once or within `Window.life`; what it does not use it gives back under that tick. What was taken within a
window and the life of a slice never exceeds the limit, so neither does what was used within any window.

A limit on what there is at once is leased: each process has a row that says how much it holds, and that ends
by itself when the process does not renew it.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import BindParameter, bindparam, delete, func, literal, select, text, union_all

from paddock.services.usage.record import periods
from paddock.store.bulk import OneRow, insert_rows
from paddock.store.database import WriteSession
from paddock.store.ledger_tables import LimitLeaseRow, LimitWindowRow, SpentRow

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
# Made once: to put such a statement together takes longer than to execute it.
_SUBJECTS: BindParameter[str] = bindparam("subjects", expanding=True)
_IN_WINDOW = LimitWindowRow.tick > bindparam("oldest"), LimitWindowRow.tick < bindparam("end")
_TAKEN, _HELD, _SPENT = "taken", "held", "spent"
_FOUND = OneRow(
    union_all(
        select(literal(_TAKEN), LimitWindowRow.subject, LimitWindowRow.kind, func.sum(LimitWindowRow.taken))
        .where(LimitWindowRow.subject.in_(_SUBJECTS), *_IN_WINDOW)
        .group_by(LimitWindowRow.subject, LimitWindowRow.kind),
        select(literal(_HELD), LimitLeaseRow.subject, LimitLeaseRow.kind, func.sum(LimitLeaseRow.held))
        .where(
            LimitLeaseRow.subject.in_(_SUBJECTS),
            LimitLeaseRow.holder != bindparam("holder"),
            LimitLeaseRow.expires_at > bindparam("now"),
        )
        .group_by(LimitLeaseRow.subject, LimitLeaseRow.kind),
        select(literal(_SPENT), SpentRow.subject, SpentRow.period, SpentRow.cost).where(
            SpentRow.subject.in_(_SUBJECTS),
            SpentRow.period.in_(bindparam("periods", expanding=True)),
        ),
    )
)
_TICKS = (
    select(LimitWindowRow.tick, LimitWindowRow.taken)
    .where(
        LimitWindowRow.subject == bindparam("subject"), LimitWindowRow.kind == bindparam("kind"), *_IN_WINDOW
    )
    .order_by(LimitWindowRow.tick)
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
    subjects = sorted({one.subject for one in takes} | {one.subject for one in leases})
    if session.connection().dialect.name == "postgresql":
        session.execute(_LOCK, {"subjects": subjects})
    tick = window.tick(now)
    # A clock that was set back does not shut everybody out until it is there again.
    ticks = {"oldest": tick - window.ticks_back, "end": tick + TICKS}
    names = dict(zip(("total", "month", "day"), periods(int(now)), strict=True))
    asked = {
        **ticks,
        "subjects": subjects,
        "holder": holder,
        "now": now,
        "periods": sorted({names[one.period] for one in leases}),
    }
    found: defaultdict[str, Counter[tuple[str, str]]] = defaultdict(Counter)
    for what, subject, kind, count in _FOUND.of(session, asked):
        found[what][subject, kind] = int(count)
    taken = _take(session, takes, found[_TAKEN], tick, ticks) if takes else []
    leased = _lease(session, holder, leases, found, names, now) if leases else []
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


def _take(
    session: WriteSession,
    takes: Sequence[Take],
    counts: Counter[tuple[str, str]],
    tick: int,
    ticks: Mapping[str, int],
) -> list[Taken]:
    """
    Args:
        counts: what is taken, by subject and kind.
        ticks: what counts is between `oldest` and `end`.
    """
    changes: Counter[tuple[str, str, int]] = Counter()  # by subject, kind and tick
    for one in takes:
        changes[one.subject, one.kind, tick] += one.late
        for at, count in one.back:
            changes[one.subject, one.kind, at] -= count
    for (subject, kind, at), count in changes.items():
        if ticks["oldest"] < at < ticks["end"]:
            counts[subject, kind] += count
    taken = []
    for one in takes:
        room = one.limit - counts[one.subject, one.kind]
        got = max(0, min(one.wanted + _plenty(one.more, room - one.wanted), room))
        changes[one.subject, one.kind, tick] += got
        taken.append(Taken(tick, got, room - got, []))
    # In one order in every process, as the rows are locked in it.
    rows = sorted((*of, count) for of, count in changes.items() if count)
    insert_rows(session, LimitWindowRow.__table__, ("subject", "kind", "tick", "taken"), rows, _ADD)
    for number, (one, found) in enumerate(zip(takes, taken, strict=True)):
        if found.got < one.wanted:
            of = {"subject": one.subject, "kind": one.kind, **ticks}
            leaves = [(at, count) for at, count in session.execute(_TICKS, of)]
            taken[number] = found._replace(rows=leaves)
    return taken


def _lease(
    session: WriteSession,
    holder: str,
    leases: Sequence[Lease],
    found: Mapping[str, Counter[tuple[str, str]]],
    names: Mapping[str, str],
    now: float,
) -> list[Leased]:
    """
    Args:
        found: what others hold, and what was spent.
        names: of the periods that it is now.
    """
    leased = []
    for one in leases:
        gone = found[_SPENT][one.subject, names[one.period]] if one.kind == BUDGET else 0
        top = one.limit - gone - found[_HELD][one.subject, one.kind]
        wanted = one.base + one.wanted
        held = max(one.base, min(wanted + _plenty(one.more, top - wanted), top))
        leased.append(Leased(held, top - held, gone))
    rows = sorted(
        (one.subject, one.kind, holder, answer.held, now + LEASE_SECONDS)
        for one, answer in zip(leases, leased, strict=True)
    )
    columns = ("subject", "kind", "holder", "held", "expires_at")
    insert_rows(session, LimitLeaseRow.__table__, columns, rows, _SET)
    return leased


def _plenty(more: int, left: int) -> int:
    """Near the end nobody keeps what another one needs."""
    return max(0, min(more, left // 4))
