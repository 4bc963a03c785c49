"""SQLite databases that have their tables already: making them takes longer than most tests."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

from paddock.store.database import Database
from paddock.store.ledger import FILE, Ledger
from paddock.store.sessions import Store


def store_in(folder: Path) -> Store:
    """An empty store in the folder."""
    return Store(url_in(folder))


def url_in(folder: Path) -> str:
    """The URL of an empty store in the folder."""
    path = folder / "store.db"
    path.write_bytes(_migrated(Store))
    return f"sqlite:///{path}"


def ledger_in(folder: Path) -> Ledger:
    """An empty ledger in the folder; who never uses it needs not close it."""
    path = folder / FILE
    if not path.exists():
        path.write_bytes(_migrated(Ledger))
    return Ledger(f"sqlite:///{path}")


@functools.cache
def _migrated(kind: type[Database]) -> bytes:
    with tempfile.TemporaryDirectory(prefix="paddock-sqlite-") as folder:
        path = Path(folder) / "migrated.db"
        database = kind(f"sqlite:///{path}")
        database.open()
        database.close()
        return path.read_bytes()
