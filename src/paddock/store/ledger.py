"""The ledger: who used how much, and what it costs. A database of its own beside the embedded store, so that
neither waits for the other; tables of their own where the store is PostgreSQL.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from paddock.store import migrate
from paddock.store.database import Database

FILE = "usage.db"


class Ledger(Database):
    """As `Database`; it is opened when it is first used, or by `open`.

    Attributes:
        flushes: write what this process still holds of it.
    """

    chain = migrate.LEDGER

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.flushes: list[Callable[[], Awaitable[None]]] = []

    async def flush(self) -> None:
        """Returns once all that this process knows is in the ledger.

        Raises:
            StoreFailed: it cannot be written now.
        """
        for flush in self.flushes:
            await flush()


def ledger_url(data_dir: Path, database_url: str | None) -> str:
    """Where the ledger is, beside a store at `database_url`, or in the data folder if there is none."""
    return database_url or f"sqlite:///{data_dir / FILE}"
