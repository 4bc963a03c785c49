"""Who wants to know at once that the store has changed, whichever process changed it."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable

from paddock.errors import PaddockError

SQLITE_SECONDS = 0.03
POSTGRESQL_SECONDS = 0.1

Look = Callable[[], Awaitable[object]]
"""Gives something else than the last time if anything was committed."""


class Bells:
    """
    Args:
        look: asks the database, each time after `seconds`.
    """

    def __init__(self, look: Look, seconds: float) -> None:
        self._look = look
        self._seconds = seconds
        self._bells: dict[object, Callable[[], None]] = {}
        self._watching: asyncio.Task[None] | None = None

    def add(self, ring: Callable[[], None]) -> Callable[[], None]:
        """Calls `ring` at each change until what is returned is called. Needs the running event loop."""
        key = object()
        self._bells[key] = ring
        if self._watching is None or self._watching.done():
            self._watching = asyncio.get_running_loop().create_task(self._watch())

        def remove() -> None:
            self._bells.pop(key, None)
            if not self._bells and self._watching is not None:
                self._watching.cancel()
                self._watching = None

        return remove

    def ring(self) -> None:
        for bell in list(self._bells.values()):
            bell()

    async def _watch(self) -> None:
        seen: object = None
        while True:
            try:
                now = await self._look()
            except (PaddockError, sqlite3.Error):
                # Whoever uses the store meets the same, and says so.
                now = seen
            if now != seen:
                seen = now
                self.ring()
            await asyncio.sleep(self._seconds)


def look_at_sqlite(path: str, pulse: str) -> Look:
    """SQLite counts the commits of others in shared memory: looking takes microseconds and no thread. Whether
    a commit is one that others must see, `pulse` tells: a batch's answers are not, fifty times a second.

    Args:
        pulse: a query.
    """
    # Opened in one thread and used in another, never in two at once.
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    commits: object = None
    found: object = None

    async def look() -> object:
        nonlocal commits, found
        now = connection.execute("PRAGMA data_version").fetchone()
        if now != commits:
            found = connection.execute(pulse).fetchone()
            commits = now
        return found

    return look
