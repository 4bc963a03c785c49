"""What any database of ours needs: SQLite in the data folder, or PostgreSQL; opened once a process, used from
worker threads.

Work is a function of a session. It runs in a thread, in one transaction that is committed at its end, and may
run again if the database could not commit it: so it has no other effects.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, OperationalError, SQLAlchemyError
from sqlalchemy.orm import Session

from paddock.errors import StartupError, StoreFailed
from paddock.store import migrate
from paddock.store.migrate import Chain

Result = TypeVar("Result")
THREADS = 4
ATTEMPTS = 5
BUSY_SECONDS = 10.0


class ReadSession(Session):
    """Only looks."""


class WriteSession(Session):
    """May change what nobody follows: in the store heartbeats, progress, logs; in the ledger everything."""


class Database:
    """
    Args:
        url: `sqlite:///…` or `postgresql://…`. Nothing is connected before `open`, which the first use calls.

    Attributes:
        chain: the migrations that make its tables.

    Raises:
        StartupError: the URL is none, its driver is missing, or the file cannot be written.
    """

    chain: ClassVar[Chain]

    def __init__(self, url: str) -> None:
        self.url = url
        self._engine = _engine(url)
        self._threads = ThreadPoolExecutor(THREADS, self.chain.name)
        self._is_open = False
        self._opening = threading.Lock()
        # SQLite has one writer: threads that wait here do not wait in its busy loop.
        self._writing = (
            threading.Lock() if self._engine.dialect.name == "sqlite" else contextlib.nullcontext()
        )

    def __str__(self) -> str:
        return make_url(self.url).render_as_string(hide_password=True)

    def open(self) -> None:
        """Brings it to the tables of this version; does nothing the second time. Blocks.

        Raises:
            StartupError: the database cannot be opened, or is of a newer Paddock.
        """
        with self._opening:
            if self._is_open:
                return
            try:
                migrate.to_head(self._engine, self.chain)
            except (SQLAlchemyError, sqlite3.Error) as error:
                self._engine.dispose()
                raise StartupError(f"cannot open the {self.chain.name} {self}: {_reason(error)}") from error
            except StartupError:
                self._engine.dispose()
                raise
            self._is_open = True

    async def read(self, work: Callable[[ReadSession], Result]) -> Result:
        """What `work` finds, in one consistent view.

        Raises:
            StoreFailed: as `write`.
        """
        return await self._in_thread(lambda: self._run(ReadSession, work))

    async def write(self, work: Callable[[WriteSession], Result]) -> Result:
        """Commits what `work` writes.

        Raises:
            StoreFailed: the database is gone or full; nothing was changed.
        """
        return await self._in_thread(lambda: self.write_now(work))

    def read_now(self, work: Callable[[ReadSession], Result]) -> Result:
        """`read` for a caller that may block."""
        return self._run(ReadSession, work)

    def write_now(self, work: Callable[[WriteSession], Result]) -> Result:
        """`write` for a caller that may block."""
        return self._run(WriteSession, work)

    def close(self) -> None:
        self._threads.shutdown(wait=True)
        self._engine.dispose()

    def _begun(self, session: Session) -> None:
        """Called first in each transaction."""

    async def _in_thread(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def _run(self, kind: type[Any], work: Callable[[Any], Result]) -> Result:
        if not self._is_open:
            self.open()
        for attempt in range(ATTEMPTS):
            try:
                with self._session(kind) as session:
                    result = work(session)
                    session.commit()
                    return result
            except DBAPIError as error:
                if attempt == ATTEMPTS - 1 or not _passing(error):
                    if isinstance(error, OperationalError) or error.connection_invalidated:
                        said = f"the {self.chain.name} failed: {_reason(error)}"
                        raise StoreFailed(said, retry_after=1) from error
                    raise
        raise AssertionError("unreachable")

    @contextlib.contextmanager
    def _session(self, kind: type[Any]) -> Iterator[Any]:
        writes = kind is not ReadSession
        with self._writing if writes else contextlib.nullcontext(), kind(self._engine) as session:
            if self._engine.dialect.name == "sqlite":
                # Taken at once, or not at all: a reader that turns into a writer may find its view outdated.
                session.connection().exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
            elif not writes:
                session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
            self._begun(session)
            yield session


def _engine(url: str) -> Engine:
    try:
        parsed = make_url(url)
        if parsed.drivername in ("postgres", "postgresql"):
            parsed = parsed.set(drivername="postgresql+psycopg")
        if parsed.get_backend_name() not in ("sqlite", "postgresql"):
            raise StartupError("the store must be sqlite:///PATH or postgresql://USER@HOST/DATABASE")
        if parsed.get_backend_name() == "sqlite":
            return _sqlite(parsed)
        return create_engine(parsed, pool_size=THREADS, pool_pre_ping=True)
    except ArgumentError:
        raise StartupError(
            f"the database URL {url[:40]!r} is not understood; it must look like"
            " postgresql://USER:PASSWORD@HOST:5432/DATABASE"
        ) from None
    except (NoSuchModuleError, ImportError):
        raise StartupError("PostgreSQL needs its driver: pip install 'paddock[postgres]'") from None


def _sqlite(url: Any) -> Engine:
    path = Path(url.database or "")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # It holds the engines' keys.
        path.touch(mode=0o600)
    except OSError as error:
        raise StartupError(
            f"cannot write the database {path}: {error.strerror or error}; choose another --data-dir"
        ) from error
    # The one used last has its statements prepared and, unless another one wrote since, its pages at hand.
    engine = create_engine(
        url,
        pool_size=THREADS,
        pool_use_lifo=True,
        connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False},
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: sqlite3.Connection, _: Any) -> None:
        # Transactions are begun by us: the driver's own way begins them too late.
        connection.isolation_level = None
        _use_wal(connection)
        # A power cut may cost the last commits, never the file; a crash of a process costs nothing.
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("PRAGMA foreign_keys=ON")

    return engine


def _use_wal(connection: sqlite3.Connection) -> None:
    """Of several that open a new file at once one switches it; SQLite does not let the others wait for it."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
        time.sleep(0.01)


def _passing(error: DBAPIError) -> bool:
    """Whether the same work may succeed a moment later."""
    text = str(error.orig)
    return bool(
        error.connection_invalidated
        or "database is locked" in text
        or getattr(error.orig, "sqlstate", "") in ("40001", "40P01")
    )


def _reason(error: Exception) -> str:
    return str(getattr(error, "orig", None) or error).strip().splitlines()[0]
