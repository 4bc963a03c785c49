"""Deletes rows of the ledger that the operator wants no longer: those of single requests and of instances'
intervals, never the sums of them.

First it is written from when on the rows are kept, always a whole hour, and only then are they deleted: so
what is asked of a part of an hour is answered from all of its rows or is refused, and no interval counts
again of which the row is gone. Several processes at once delete the same rows, which does no harm.
"""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import Any

from sqlalchemy import delete, func, select, text

from paddock.services.platform import Platform
from paddock.services.usage.record import DAY, HOUR
from paddock.store.database import WriteSession
from paddock.store.ledger_tables import InstanceRow, RequestRow

PORTION = 5_000
"""Rows of one transaction: who writes to the ledger meanwhile waits some hundredths of a second."""
PAUSE_SECONDS = 0.1
MARGIN_SECONDS = DAY
"""Intervals are written in the order in which they begin, an hour apart at most. Those that are so much older
than the last one are all written, and nobody asks any more how far their replicas are by them.
"""
_RAISE = text(
    "INSERT INTO usage_kept (name, since) VALUES (:name, :since)"
    " ON CONFLICT (name) DO UPDATE SET since = excluded.since WHERE usage_kept.since < excluded.since"
)
_MOMENTS: dict[type[Any], Any] = {RequestRow: RequestRow.at, InstanceRow: InstanceRow.start}
"""When what a row is of was, by its table."""


async def sweep(platform: Platform) -> None:
    """Deletes what is older than the setting `usage_days`, a little at a time.

    Raises:
        StoreFailed: the ledger is not to be had; the next call goes on.
    """
    days = platform.settings.usage_days
    if not days:
        return
    ends = await platform.ledger.write(partial(_raise, before=time.time() - days * DAY))
    for table, end in ends.items():
        some = partial(_delete_some, table=table, before=end)
        while True:
            if not await platform.ledger.write(some):
                break
            await asyncio.sleep(PAUSE_SECONDS)


def _raise(session: WriteSession, before: float) -> dict[type[Any], int]:
    """Writes from when on rows are kept, and gives it by their tables."""
    since = int(before) // HOUR * HOUR
    ends: dict[type[Any], int] = {RequestRow: since}
    last = session.scalar(select(func.max(InstanceRow.start)))
    if last is not None:
        ends[InstanceRow] = min(since, int(last - MARGIN_SECONDS) // HOUR * HOUR)
    for table, end in ends.items():
        session.execute(_RAISE, {"name": table.__tablename__, "since": end})
    return ends


def _delete_some(session: WriteSession, table: type[Any], before: int) -> bool:
    """Whether there are more."""
    moment = _MOMENTS[table]
    oldest = select(moment).where(moment < before).order_by(moment)
    last = session.scalar(oldest.offset(PORTION - 1).limit(1))
    session.execute(delete(table).where(moment < before if last is None else moment <= last))
    return last is not None
