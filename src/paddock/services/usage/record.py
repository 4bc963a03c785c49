"""Writes the ledger: rows, and in the same transaction their sums and what is spent."""

from __future__ import annotations

import functools
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from operator import attrgetter
from typing import Any, NamedTuple

from sqlalchemy import bindparam, delete, select, text
from sqlalchemy.orm import Session

from paddock.schemas.usage import AT, EACH, Entries, Series, rows_of
from paddock.store.bulk import insert_rows, insert_values
from paddock.store.database import WriteSession
from paddock.store.ledger_tables import BatchRow, InstanceRow, KeptRow, RequestRow, SpentRow, SumRow

HOUR, DAY = 3600, 86_400
GROUPS = ("project", "key", "model", "adapter", "deployment", "outcome")
MEASURES = ("requests", "prompt_tokens", "cached_tokens", "completion_tokens", "cost", "instance_seconds")
TOTAL = "total"
_SUM_KEY = ("span", "start", *GROUPS)
_ADD = (
    f"ON CONFLICT ({', '.join(_SUM_KEY)}) DO UPDATE SET "
    + ", ".join(f"{name} = usage_sums.{name} + excluded.{name}" for name in MEASURES)
)  # fmt: skip
_SPEND = "ON CONFLICT (subject, period) DO UPDATE SET cost = usage_spent.cost + excluded.cost"
_SPENT = select(SpentRow.subject, SpentRow.period, SpentRow.cost).where(
    SpentRow.subject.in_(bindparam("subjects", expanding=True)),
    SpentRow.period.in_(bindparam("periods", expanding=True)),
)
_UNLESS_THERE = 'ON CONFLICT DO NOTHING RETURNING "replica_id", "start"'
# In words that both databases know: to import what SQLAlchemy has for each takes a tenth of a second.
_ADVANCE = text(
    "INSERT INTO usage_batches (writer, number, at) VALUES (:writer, :number, :at)"
    " ON CONFLICT (writer) DO UPDATE SET number = excluded.number, at = excluded.at"
    " WHERE usage_batches.number < excluded.number RETURNING number"
)
_WRITERS_KEPT = 30 * DAY
_SERIES = tuple(field.name for field in fields(Series))
_values_of = attrgetter(*_SERIES)
_COUNTED = [EACH.index(name) for name in ("prompt_tokens", "cached_tokens", "completion_tokens", "cost")]
_SEVERAL = 16
"""Entries of a series that are worth a statement of their own."""

Group = tuple[int, str, str, str, str, str, str]
"""When an hour begins, and `GROUPS`."""
Sums = dict[Group, list[int]]
"""`MEASURES` of each group."""
Values = Sequence[Any]
"""Of the entries of a series: `EACH` of the first one, of the second, and so on."""
Costs = dict[tuple[str, str], int]
"""In billionths of the currency, by key and project."""


class Batch(NamedTuple):
    """Entries that are written together or not at all, under a name by which they are known again.

    Attributes:
        writer: random text that nobody else writes as.
        number: 1 for a writer's first batch, 2 for the next. One is tried again until it is written, and only
            then comes the next.
    """

    writer: str
    number: int


class Interval(NamedTuple):
    """A begun billing interval of a replica: the columns of `InstanceRow`."""

    replica_id: str
    start: float
    end: float
    project: str
    key: str
    deployment_id: str
    deployment: str
    model: str
    hardware_type: str
    billing_interval: str
    cost: int


def record(session: WriteSession, batch: Batch, entries: Entries) -> Costs:
    """Writes the entries, unless that batch was written before; either way returns what they cost."""
    sums = _sums_of(entries)
    if _is_new(session, batch):
        _insert(session, entries)
        _add(session, sums)
    costs: Costs = {}
    for (_, project, key, *_), found in sums.items():
        if cost := found[4]:
            costs[key, project] = costs.get((key, project), 0) + cost
    return costs


def record_instances(session: WriteSession, intervals: Sequence[Interval]) -> int:
    """Writes those that are not there yet, by replica and start. Returns how many."""
    # Of what is older it cannot be told any more what was there: all of it was.
    kept = kept_since(session, InstanceRow)
    intervals = [one for one in intervals if one.start >= kept]
    if not intervals:
        return 0
    written = set(insert_rows(session, InstanceRow.__table__, Interval._fields, intervals, _UNLESS_THERE))
    sums: Sums = {}
    spent: dict[tuple[str, str], int] = {}
    for one in intervals:
        if (one.replica_id, one.start) not in written:
            continue
        group = (int(one.start) // HOUR * HOUR, one.project, one.key, one.model, "", one.deployment, "")
        sums.setdefault(group, [0] * len(MEASURES))
        sums[group][4] += one.cost
        sums[group][5] += round(one.end - one.start)
        subject = (f"deployment:{one.deployment_id}", TOTAL)
        spent[subject] = spent.get(subject, 0) + one.cost
    _add(session, sums, spent)
    return len(written)


def spent(session: Session, subjects: Iterable[str], in_periods: Iterable[str]) -> Counter[tuple[str, str]]:
    """What each subject cost so far in each period, in billionths: a `key:ID`, a `project:NAME`, or the
    instances of a `deployment:ID`.

    Args:
        in_periods: `total`, months `2026-11` and days `2026-11-28` of UTC; a deployment has the total only.
    """
    values = {"subjects": [*subjects], "periods": [*in_periods]}
    return Counter(
        {(subject, period): int(cost) for subject, period, cost in session.execute(_SPENT, values)}
    )


def kept_since(session: Session, table: type[RequestRow] | type[InstanceRow]) -> int:
    """The begin of the hour from which on all rows of the table are there; 0 if none were ever deleted."""
    return session.scalar(select(KeptRow.since).where(KeptRow.name == table.__tablename__)) or 0


@functools.lru_cache(64)
def periods(at: int) -> tuple[str, str, str]:
    """The total, the month and the day that a time in seconds since 1970 is in."""
    day = time.strftime("%Y-%m-%d", time.gmtime(at))
    return TOTAL, day[:7], day


def _insert(session: WriteSession, entries: Entries) -> None:
    rest: list[Any] = []
    for one, values in entries.by_series():
        same = _values_of(one)
        if len(values) < _SEVERAL * len(EACH):
            for row in rows_of(values):
                rest += (*same, *row)
        else:
            shared = dict(zip(_SERIES, same, strict=True))
            insert_values(session, RequestRow.__table__, EACH, values, same=shared)
    insert_values(session, RequestRow.__table__, _SERIES + EACH, rest)


def _sums_of(entries: Entries) -> Sums:
    """The entries by hours and groups."""
    sums: Sums = {}
    for one, values in entries.by_series():
        for hour, of_hour in _by_hour(values).items():
            prompt, cached, completion, cost = (of_hour[column :: len(EACH)] for column in _COUNTED)
            group = (hour, one.project, one.key, one.model, one.adapter, one.deployment, one.outcome)
            found = sums.setdefault(group, [0] * len(MEASURES))
            added = (len(cost), sum(prompt), sum(cached), sum(completion), sum(cost), 0)
            sums[group] = [before + more for before, more in zip(found, added, strict=True)]
    return sums


def _by_hour(values: Values) -> Mapping[int, Values]:
    """By the begin of the hour, which entries that are written together nearly all have in common."""
    times = values[AT :: len(EACH)]
    first, last = (int(at) // HOUR * HOUR for at in (min(times), max(times)))
    if first == last:
        return {first: values}
    found: defaultdict[int, list[Any]] = defaultdict(list)
    for row in rows_of(values):
        found[int(row[AT]) // HOUR * HOUR] += row
    return found


def _is_new(session: WriteSession, batch: Batch) -> bool:
    now = time.time()
    if batch.number == 1:
        session.execute(delete(BatchRow).where(BatchRow.at < now - _WRITERS_KEPT))
    return session.scalar(_ADVANCE, {**batch._asdict(), "at": now}) is not None


def _add(session: WriteSession, sums: Sums, also: Mapping[tuple[str, str], int] | None = None) -> None:
    days: Sums = {}
    spent = dict(also or {})
    for (start, *group), found in sums.items():
        day: Group = (start // DAY * DAY, *group)  # type: ignore[assignment]  # as long as before
        known = days.setdefault(day, [0] * len(MEASURES))
        days[day] = [before + more for before, more in zip(known, found, strict=True)]
        if cost := found[4]:
            project, key = group[0], group[1]
            for subject in (f"project:{project}", f"key:{key}") if key else (f"project:{project}",):
                for period in periods(start):
                    spent[subject, period] = spent.get((subject, period), 0) + cost
    # In one order in every process: two that lock the same rows the other way round wait for each other.
    rows = [(HOUR, *group, *found) for group, found in sorted(sums.items())]
    rows += [(DAY, *group, *found) for group, found in sorted(days.items())]
    insert_rows(session, SumRow.__table__, (*_SUM_KEY, *MEASURES), rows, _ADD)
    costs = [(*subject, cost) for subject, cost in sorted(spent.items()) if cost]
    insert_rows(session, SpentRow.__table__, ("subject", "period", "cost"), costs, _SPEND)
