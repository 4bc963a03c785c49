"""SQLite stores that have their tables already: making them takes longer than most tests."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

from paddock.store.sessions import Store


def store_in(folder: Path) -> Store:
    """An empty store in the folder."""
    return Store(url_in(folder))


def url_in(folder: Path) -> str:
    """The URL of an empty store in the folder."""
    path = folder / "store.db"
    path.write_bytes(_migrated())
    return f"sqlite:///{path}"


@functools.cache
def _migrated() -> bytes:
    with tempfile.TemporaryDirectory(prefix="paddock-sqlite-") as folder:
        path = Path(folder) / "migrated.db"
        Store(f"sqlite:///{path}").close()
        return path.read_bytes()
