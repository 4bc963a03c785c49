"""Keeps the answers of one batch as they come, and knows how far it has come."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from functools import partial

from paddock.control.jobs.shift import Shift
from paddock.services.batches import journal
from paddock.services.batches.journal import Entry, Kept, Segment
from paddock.services.batches.spec import segment_key
from paddock.store.blobs import PIECE, new_blob
from paddock.store.sessions import Store

FLUSH_SECONDS = 0.02
"""The least between two writes: what is answered meanwhile is asked again after a crash."""
LONGEST_WAIT = 0.1
"""The most, in seconds."""
WORTH_A_WRITE = 8
"""Answers for which no more are waited for: so few may be asked again after a crash."""
MOST_UNKEPT = 24
"""Answers that may wait to be written, as when the disk is slow; then nothing more is asked."""
SEGMENT_ROWS = 1000
SEGMENT_BYTES = 8 * 2**20
MOST_UNSEALED = 4
"""Segments' worth of rows that may lie in the store, as when no segment can be written; then nothing more is
asked.
"""
MOST_AHEAD = 20_000
"""Rows that may be read beyond the first one that has no answer."""


class Keeper:
    """
    Attributes:
        end: the first row that is not answered; all before it are.
    """

    def __init__(self, shift: Shift, kept: Kept) -> None:
        self._shift = shift
        self.end = self._sealed = kept.end
        self._answered = set(kept.answered)
        self._offset = kept.offset
        self._offsets: dict[int, int] = {}
        self._new: list[Entry] = []
        self._unsealed = 0
        self._finishing = False
        self._enough = asyncio.Event()
        self._full = asyncio.Event()

    def read(self, number: int, offset: int) -> bool:
        """Takes note of a row that was read, and of where the next one begins. Says whether it must be
        asked.
        """
        self._offsets[number] = offset
        if number not in self._answered:
            return True
        self._move()
        return False

    @property
    def has_room(self) -> bool:
        """Whether another row may be asked."""
        return (
            len(self._offsets) < MOST_AHEAD
            and len(self._new) < MOST_UNKEPT
            and self.end - self._sealed < MOST_UNSEALED * SEGMENT_ROWS
        )

    def add(self, number: int, failed: bool, body: bytes) -> None:
        self._new.append(Entry(number, failed, body))
        if len(self._new) >= WORTH_A_WRITE:
            self._enough.set()
        if len(self._new) >= MOST_UNKEPT:
            self._full.set()

    async def run(self) -> None:
        """Writes what arrives, until `finish` is called and all of it is written.

        Raises:
            Fenced: another worker has the job now.
        """
        sealing: asyncio.Task[None] | None = None
        try:
            while self._new or not self._finishing:
                began = time.monotonic()
                await _set_until(self._enough, began + LONGEST_WAIT)
                await _set_until(self._full, began + FLUSH_SECONDS)
                await self.write()
                if sealing is not None and sealing.done():
                    await sealing
                    sealing = None
                # Beside it: what is answered while a segment is made must not wait for that.
                if sealing is None and self._has_segment:
                    sealing = asyncio.create_task(self.seal())
            if sealing is not None:
                await sealing
        finally:
            if sealing is not None:
                sealing.cancel()
                await asyncio.gather(sealing, return_exceptions=True)

    def finish(self) -> None:
        """Nothing arrives any more."""
        self._finishing = True
        self._enough.set()
        self._full.set()

    async def write(self) -> None:
        """Writes what has arrived by now."""
        if not self._finishing:
            self._enough.clear()
            self._full.clear()
        entries = self._new[:]
        if entries:
            held = self._shift.held
            await self._shift.write(lambda session: journal.keep(session, held, entries))
            del self._new[: len(entries)]
            self._answered.update(entry.number for entry in entries)
            self._unsealed += sum(len(entry.body) for entry in entries)
            self._move()

    async def seal(self) -> None:
        """Moves the answers up to here into a blob, if they are enough for a segment."""
        if self._has_segment:
            await self._shift.insist(self._seal)

    @property
    def _has_segment(self) -> bool:
        rows = self.end - self._sealed
        return rows >= SEGMENT_ROWS or (rows > 0 and self._unsealed >= SEGMENT_BYTES)

    def _move(self) -> None:
        while self.end in self._answered and self.end in self._offsets:
            self._answered.discard(self.end)
            self._offset = self._offsets.pop(self.end)
            self.end += 1

    async def _seal(self) -> None:
        held = self._shift.held
        first, end, offset, size = self._sealed, self.end, self._offset, self._unsealed
        key = segment_key(self._shift.platform, held.id, held.fence, first)
        async with new_blob(self._shift.platform.blobs, key) as writer:
            gathered = bytearray()
            async for entry in entries(self._shift.platform.store, held.id, first, end):
                gathered += journal.line(entry.failed, entry.body)
                if len(gathered) >= PIECE:
                    await writer.write(bytes(gathered))
                    gathered.clear()
            await writer.write(bytes(gathered))
        segment = Segment(first, end, offset, key)
        await self._shift.write(lambda session: journal.seal(session, held, segment))
        self._sealed = end
        self._unsealed -= size


async def _set_until(event: asyncio.Event, end: float) -> None:
    """Returns once the event is set, or at the end of `time.monotonic()`."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(end - time.monotonic()):
            await event.wait()


async def entries(store: Store, job_id: str, first: int, end: int) -> AsyncIterator[Entry]:
    """The kept answers from `first` until before `end`, in order, as far as they lie in the store."""
    while True:
        page = await store.read(partial(journal.page, job_id=job_id, first=first, end=end))
        for entry in page:
            yield entry
        if not page:
            return
        first = page[-1].number + 1
