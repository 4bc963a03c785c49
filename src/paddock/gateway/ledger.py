"""Writes the ledger in the background: the relay only adds to a list."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections import deque
from collections.abc import Callable

from sqlalchemy.exc import DataError, SQLAlchemyError

from paddock.errors import PaddockError
from paddock.schemas.usage import Entries
from paddock.services.usage.record import Batch, Costs, record
from paddock.store.ledger import Ledger

log = logging.getLogger("paddock.ledger")

FLUSH_SECONDS = 0.2
MOST_KEPT = 500_000
"""Entries that wait for a ledger that fails: some 300 MB."""
BATCH = 20_000
_LOOK_SECONDS = 1.0
_SAY_SECONDS = 60.0

Written = Callable[[Costs], None]


class LedgerWriter:
    """
    Args:
        on_written: is told what entries cost by key and project once they are in the ledger, of each once.
        most_kept: entries that are kept for a ledger that fails; of more the oldest are lost.

    Attributes:
        entries: that are to be written, a moment after they are added.
        written, dropped: entries so far that are in the ledger, and that were lost.
    """

    def __init__(
        self, ledger: Ledger, on_written: Written = lambda _: None, most_kept: int = MOST_KEPT
    ) -> None:
        self.written = 0
        self.dropped = 0
        self._ledger = ledger
        self._on_written = on_written
        self._most_kept = most_kept
        self.entries = Entries()
        self._batches: deque[tuple[Batch, Entries]] = deque()
        self._writer = secrets.token_hex(8)
        self._numbers = 0
        self._lock = asyncio.Lock()
        self._said_at = -_SAY_SECONDS
        self._lost = 0
        ledger.flushes.append(self.flush)

    @property
    def waiting(self) -> int:
        """Entries that are not in the ledger yet."""
        return len(self.entries) + sum(len(entries) for _, entries in self._batches)

    async def run(self) -> None:
        """Writes what is added, until it is cancelled."""
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            flushing = asyncio.ensure_future(self.flush())
            try:
                while not flushing.done():
                    await asyncio.wait({flushing}, timeout=_LOOK_SECONDS)
                    self._drop()
                flushing.result()
                self._say_well()
            except (PaddockError, SQLAlchemyError) as error:
                self._say(error)
            finally:
                flushing.cancel()

    async def flush(self) -> None:
        """Returns once all that was added before is in the ledger.

        Raises:
            StoreFailed: it cannot be written now; nothing is lost, and it is tried again.
        """
        async with self._lock:
            goal = self.written + self.dropped + self.waiting
            while self.written + self.dropped < goal:
                if not self._batches:
                    self._append(self.entries.take(BATCH))
                await self._write(*self._batches[0])

    async def close(self) -> None:
        """Writes the rest, if the ledger takes it. `run` is cancelled before."""
        try:
            await self.flush()
        except (PaddockError, SQLAlchemyError) as error:
            log.error("the ledger lost %d entries: %s", self.waiting, _reason(error))

    def _append(self, entries: Entries) -> None:
        self._numbers += 1
        self._batches.append((Batch(self._writer, self._numbers), entries))

    async def _write(self, batch: Batch, entries: Entries) -> None:
        """A batch stays the first until it is known to be written. Who was interrupted, or has heard nothing
        of its commit, writes it under the same number again, which counts it once.
        """
        try:
            costs = await self._ledger.write(lambda session: record(session, batch, entries))
        except (DataError, ValueError, TypeError, OverflowError) as error:
            # Such an entry would be in the way of all that come after it.
            self._batches.popleft()
            self._part(entries, error)
            return
        self._batches.popleft()
        self.written += len(entries)
        self._on_written(costs)

    def _part(self, entries: Entries, error: Exception) -> None:
        """Looks for the entry that no ledger takes: two halves are tried, with numbers of their own."""
        if len(entries) == 1:
            self.dropped += 1
            log.error("the ledger cannot take %r: %s", *entries, _reason(error))
            return
        self._append(entries.take(len(entries) // 2))
        self._append(entries)

    def _drop(self) -> None:
        surplus = len(self.entries) - self._most_kept
        if surplus > 0:
            lost = self.entries.drop_oldest(surplus)
            self.dropped += lost
            self._lost += lost

    def _say(self, error: Exception) -> None:
        """At most once a minute: the ledger is tried several times a second."""
        now = time.monotonic()
        if now - self._said_at >= _SAY_SECONDS:
            self._said_at = now
            said = "%d entries wait for the ledger, which is tried again; %d were lost: %s"
            log.error(said, self.waiting, self._lost, _reason(error))

    def _say_well(self) -> None:
        if self._said_at > 0:
            log.warning("the ledger takes entries again; %d were lost", self._lost)
            self._said_at, self._lost = -_SAY_SECONDS, 0


def _reason(error: Exception) -> str:
    text = error.message if isinstance(error, PaddockError) else str(getattr(error, "orig", None) or error)
    return text.strip().splitlines()[0] if text.strip() else type(error).__name__
