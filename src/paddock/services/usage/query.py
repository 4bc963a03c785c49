"""What was used in some time, by groups: whole days and hours from their sums, the edges from the rows."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import Select, func, literal, select
from sqlalchemy.orm import Session

from paddock.errors import InvalidRequest
from paddock.services.usage.record import DAY, GROUPS, HOUR, MEASURES, kept_since
from paddock.store.ledger_tables import InstanceRow, RequestRow, SumRow

_TIMES = ("day", "hour")
FIELDS = (*GROUPS, *_TIMES)
FOREVER = 253_402_300_800
"""The end of the year 9999."""
MOST_GROUPS = 100_000

_TOKENS = ("prompt_tokens", "cached_tokens", "completion_tokens", "cost")
_EMPTY = literal("")


@dataclass(frozen=True)
class Question:
    """
    Attributes:
        group_by: of `FIELDS`, in the order in which they are shown.
        start, end: in seconds since 1970; what was at `end` is not counted.
        project, key, model: only what is of these; None for all.
    """

    group_by: tuple[str, ...] = ()
    start: float = 0
    end: float = FOREVER
    project: str | None = None
    key: str | None = None
    model: str | None = None


@dataclass(frozen=True)
class Answer:
    """
    Attributes:
        groups: the values of `group_by` with the group's `MEASURES`, in their order. Days are `2026-11-28`,
            hours `2026-11-28T14:00:00Z`; other values are empty where there is none.
        total: `MEASURES` of all of them.
    """

    groups: list[tuple[tuple[str, ...], list[int]]]
    total: list[int]


class Piece(NamedTuple):
    """From `start` until before `end`. If `span` is 0 its rows are read, which are of one hour then."""

    span: int
    start: float
    end: float


def query(session: Session, question: Question) -> Answer:
    """
    Raises:
        InvalidRequest: there are more groups than anybody reads, or an edge lies within an hour of which only
            the sums are kept.
    """
    found: dict[tuple[str, ...], list[int]] = {}
    fields = len(question.group_by)
    parts = list(pieces(question.start, question.end, days="hour" not in question.group_by))
    _require_rows(parts, kept_since(session, RequestRow))
    for piece in parts:
        for statement in _statements(piece, question):
            for row in session.execute(statement):
                measures = [int(value or 0) for value in row[fields:]]
                if not any(measures):
                    # The sum of no rows at all.
                    continue
                names = _names(question.group_by, row[:fields])
                known = found.get(names)
                found[names] = [a + b for a, b in zip(known, measures, strict=True)] if known else measures
            if len(found) > MOST_GROUPS:
                raise InvalidRequest(
                    f"these are more than {MOST_GROUPS:,} groups; ask for less time or for fewer fields",
                    param="group_by",
                )
    groups = sorted(found.items())
    return Answer(groups, [sum(column) for column in zip([0] * len(MEASURES), *found.values(), strict=True)])


def pieces(start: float, end: float, *, days: bool) -> Iterator[Piece]:
    """Parts that follow each other from `start` to `end`.

    Args:
        days: whether sums of days may be taken, or of hours only.
    """
    if start >= end:
        return
    first, last = math.ceil(start / HOUR) * HOUR, int(end) // HOUR * HOUR
    if first > last:
        yield Piece(0, start, end)
        return
    if start < first:
        yield Piece(0, start, first)
    first_day, last_day = -(-first // DAY) * DAY, last // DAY * DAY
    if days and first_day < last_day:
        parts = [(HOUR, first, first_day), (DAY, first_day, last_day), (HOUR, last_day, last)]
    else:
        parts = [(HOUR, first, last)]
    yield from (Piece(*part) for part in parts if part[1] < part[2])
    if last < end:
        yield Piece(0, last, end)


def _require_rows(parts: Sequence[Piece], kept: int) -> None:
    """Of intervals' rows none is gone that is as new as the rows of requests that are kept."""
    for piece in parts:
        if not piece.span and piece.start < kept:
            hour = int(piece.start) // HOUR * HOUR
            name = "end" if piece.start == hour else "start"
            before, after = _moment("hour", hour), _moment("hour", hour + HOUR)
            raise InvalidRequest(
                f"{name} lies within an hour of which only the sum is kept: it must be {before} or {after}."
                f" From {_moment('hour', kept)} on any moment will do",
                param=name,
            )


def _statements(piece: Piece, question: Question) -> list[Select[Any]]:
    """What gives of a piece the groups, with the begin of hours and days for themselves, and the measures."""
    if piece.span:
        measures = [func.sum(getattr(SumRow, name)) for name in MEASURES]
        statement = _select(SumRow, question, SumRow.start, measures).where(
            SumRow.span == piece.span, SumRow.start >= piece.start, SumRow.start < piece.end
        )
        return [statement]
    hour = literal(int(piece.start) // HOUR * HOUR)
    tokens = [func.count(), *(func.sum(getattr(RequestRow, name)) for name in _TOKENS), literal(0)]
    seconds = func.sum(func.round(InstanceRow.end - InstanceRow.start))
    intervals = [literal(0), literal(0), literal(0), literal(0), func.sum(InstanceRow.cost), seconds]
    return [
        _select(RequestRow, question, hour, tokens).where(
            RequestRow.at >= piece.start, RequestRow.at < piece.end
        ),
        _select(InstanceRow, question, hour, intervals).where(
            InstanceRow.start >= piece.start, InstanceRow.start < piece.end
        ),
    ]


def _select(table: Any, question: Question, start: Any, measures: Sequence[Any]) -> Select[Any]:
    # An instance has neither an adapter nor an outcome.
    times = {"day": start - start % DAY, "hour": start}
    by = [
        (times[name] if name in times else getattr(table, name, _EMPTY)).label(f"by_{name}")
        for name in question.group_by
    ]
    statement = select(*by, *measures).group_by(*(one.name for one in by))
    for name in ("project", "key", "model"):
        value = getattr(question, name)
        if value is not None:
            statement = statement.where(getattr(table, name) == value)
    return statement.limit(MOST_GROUPS + 1)


def _names(group_by: Sequence[str], values: Sequence[Any]) -> tuple[str, ...]:
    return tuple(
        [
            _moment(name, value) if name in _TIMES else value
            for name, value in zip(group_by, values, strict=True)
        ]
    )


@functools.lru_cache(10_000)
def _moment(name: str, start: int) -> str:
    form = "%Y-%m-%d" if name == "day" else "%Y-%m-%dT%H:00:00Z"
    return time.strftime(form, time.gmtime(start))
