"""Leases: what only one process may do at a time, and proof that it may still do it."""

from __future__ import annotations

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from paddock.errors import Fenced
from paddock.store.sessions import ChangeSession, WriteSession
from paddock.store.tables import LeaseRow

SECONDS = 3.0
"""How long a lease lasts after each renewal."""


def acquire(session: ChangeSession, name: str, holder: str, now: float) -> int | None:
    """The fencing token if the lease is now `holder`'s, or None while another one holds it."""
    row = session.get(LeaseRow, name, with_for_update=True)
    if row is None:
        row = LeaseRow(name=name, holder="", fence=0, expires_at=0.0)
        session.add(row)
    if row.holder not in ("", holder) and row.expires_at > now:
        return None
    row.holder, row.fence, row.expires_at = holder, row.fence + 1, now + SECONDS
    return row.fence


def renew(session: WriteSession, name: str, fence: int, now: float) -> None:
    """
    Raises:
        Fenced: somebody else holds the lease meanwhile.
    """
    renewed = update(LeaseRow).where(LeaseRow.name == name, LeaseRow.fence == fence)
    if session.execute(renewed.values(expires_at=now + SECONDS)).rowcount != 1:  # type: ignore[attr-defined]
        raise Fenced(f"the lease {name!r} is somebody else's now")


def release(session: ChangeSession, name: str, fence: int) -> None:
    """Lets the next one have it at once. Does nothing if it is lost already."""
    session.execute(
        update(LeaseRow)
        .where(LeaseRow.name == name, LeaseRow.fence == fence)
        .values(holder="", expires_at=0.0)
    )


def check(session: Session, name: str, fence: int) -> None:
    """
    Raises:
        Fenced: the token is an old one.
    """
    if session.scalar(select(LeaseRow.fence).where(LeaseRow.name == name)) != fence:
        raise Fenced(f"the lease {name!r} is somebody else's now")


def holder(session: Session, name: str) -> tuple[str, float] | None:
    """(holder, when it expires), or None if nobody holds it."""
    row = session.get(LeaseRow, name)
    return (row.holder, row.expires_at) if row is not None and row.holder else None
