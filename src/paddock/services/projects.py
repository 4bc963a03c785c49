"""Projects, and what they and their keys may use."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from paddock.errors import InvalidRequest, NotFound
from paddock.schemas.limits import NANO, Limits
from paddock.services.deployments import LOCAL
from paddock.store.sessions import ChangeSession
from paddock.store.tables import ProjectRow

JSON = dict[str, Any]
PERIODS = ("day", "month", "total")
LARGEST = 10**12
"""Of a limit; of a budget a billion of the currency, which still fits in an integer of 64 bits."""
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_COUNTS = ("requests_per_minute", "tokens_per_minute", "concurrent_requests")
_FIELDS = (*_COUNTS, "budget", "budget_period")


@dataclass(frozen=True, slots=True)
class Project:
    name: str
    limits: Limits
    created_at: float


def ensure(session: ChangeSession, name: str, now: float) -> ProjectRow:
    """The project, made if there is none.

    Raises:
        InvalidRequest: that is no name for one.
    """
    # Before the store is asked, which does not take every text.
    if not _NAME.fullmatch(name):
        raise InvalidRequest(
            "project must have 1 to 63 letters, digits, `.`, `_` and `-`, and begin and end with a letter"
            f" or digit, not {name[:80]!r}",
            param="project",
        )
    row = session.get(ProjectRow, name)
    if row is None:
        row = ProjectRow(name=name, limits={}, created_at=now, revision=session.revision)
        session.add(row)
        session.flush()
    return row


def set_limits(session: ChangeSession, name: str, given: Mapping[str, Any], now: float) -> Project:
    """Changes what is given of the limits; None takes one away.

    Raises:
        NotFound: there is no such project.
        InvalidRequest: a limit is none.
    """
    row = None
    if name == LOCAL:
        row = ensure(session, name, now)
    elif _NAME.fullmatch(name):
        row = session.get(ProjectRow, name)
    if row is None:
        raise NotFound(
            f"there is no project {name[:80]!r}; one begins with its first key", code="project_not_found"
        )
    row.limits = changed_limits(row.limits, given)
    row.revision = session.revision
    session.flush()
    return _project(row)


def list_all(session: Session) -> list[Project]:
    return [_project(row) for row in session.scalars(select(ProjectRow).order_by(ProjectRow.name))]


def changed_since(session: Session, revision: int) -> list[Project]:
    return [
        _project(row) for row in session.scalars(select(ProjectRow).where(ProjectRow.revision > revision))
    ]


def changed_limits(before: Mapping[str, Any], given: Mapping[str, Any]) -> JSON:
    """As they are stored, with what is given changed.

    Args:
        given: as callers have it: the budget as an amount of the currency.

    Raises:
        InvalidRequest: a limit is none.
    """
    after = dict(before)
    for name, value in given.items():
        if name not in _FIELDS:
            raise InvalidRequest(
                f"limits.{name[:40]} is not known; known are {', '.join(_FIELDS)}",
                param=f"limits.{name[:40]}",
            )
        if value is None:
            after.pop(name, None)
        elif name == "budget_period":
            after[name] = _period(value)
        else:
            after[name] = _budget(value) if name == "budget" else _count(name, value)
    return after


def show(project: Project) -> JSON:
    """As callers see it."""
    return {
        "name": project.name,
        "limits": show_limits(project.limits),
        "created_at": project.created_at,
    }


def read_limits(stored: Mapping[str, Any]) -> Limits:
    return Limits(**stored)


def show_limits(limits: Limits) -> JSON:
    """As callers have them."""
    shown = dataclasses.asdict(limits)
    if limits.budget is None:
        shown["budget_period"] = None
    else:
        shown["budget"] = limits.budget / NANO
    return shown


def _count(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= LARGEST:
        raise InvalidRequest(
            f"limits.{name} must be a whole number from 1 to {LARGEST}, or null for no limit,"
            f" not {str(value)[:40]!r}",
            param=f"limits.{name}",
        )
    return value


def _budget(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= NANO:
        raise InvalidRequest(
            f"limits.budget must be an amount of the currency from 0 to {NANO}, or null for none,"
            f" not {str(value)[:40]!r}",
            param="limits.budget",
        )
    return round(value * NANO)


def _period(value: Any) -> str:
    if value not in PERIODS:
        raise InvalidRequest(
            f"limits.budget_period must be {', '.join(PERIODS[:-1])} or {PERIODS[-1]}, not"
            f" {str(value)[:40]!r}",
            param="limits.budget_period",
        )
    return str(value)


def _project(row: ProjectRow) -> Project:
    return Project(row.name, read_limits(row.limits or {}), row.created_at)
