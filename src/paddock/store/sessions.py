"""The store: SQLite in the data folder, or PostgreSQL; opened once a process, used from worker threads.

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
from typing import Any, TypeVar

from sqlalchemy import Engine, create_engine, event, func, select, update
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, OperationalError, SQLAlchemyError
from sqlalchemy.orm import Session

from paddock.errors import StartupError, StoreFailed
from paddock.store import migrate
from paddock.store.bells import POSTGRESQL_SECONDS, SQLITE_SECONDS, Bells, look_at_sqlite
from paddock.store.tables import GatewayRow, RevisionRow

Result = TypeVar("Result")
THREADS = 4
ATTEMPTS = 5
BUSY_SECONDS = 10.0
_KEY = "paddock_revision"


class ReadSession(Session):
    """Only looks."""


class WriteSession(Session):
    """May change what gateways do not follow: heartbeats, progress, logs."""


class ChangeSession(WriteSession):
    """May change anything. Changes happen one after the other, in the order of their revisions."""

    @property
    def revision(self) -> int:
        """The number of this change."""
        return int(self.info[_KEY])


class Store:
    """
    Args:
        url: `sqlite:///…` or `postgresql://…`.

    Raises:
        StartupError: the database cannot be opened, or is of a newer Paddock.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._engine = _engine(url)
        try:
            migrate.to_head(self._engine)
        except (SQLAlchemyError, sqlite3.Error) as error:
            self._engine.dispose()
            raise StartupError(f"cannot open the store {self}: {_reason(error)}") from error
        except StartupError:
            self._engine.dispose()
            raise
        self._threads = ThreadPoolExecutor(THREADS, "store")
        self._bells = self._make_bells()
        # SQLite has one writer: threads that wait here do not wait in its busy loop.
        self._writing = (
            threading.Lock() if self._engine.dialect.name == "sqlite" else contextlib.nullcontext()
        )

    def __str__(self) -> str:
        return make_url(self.url).render_as_string(hide_password=True)

    async def read(self, work: Callable[[ReadSession], Result]) -> Result:
        """What `work` finds, in one consistent view."""
        return await self._in_thread(lambda: self._run(ReadSession, work))

    async def write(self, work: Callable[[WriteSession], Result], *, ring: bool = False) -> Result:
        """Commits what `work` writes. With `ring` this process's listeners look at it at once.

        Raises:
            StoreFailed: as `change`.
        """
        result = await self._in_thread(lambda: self._run(WriteSession, work))
        if ring:
            self.ring()
        return result

    async def change(self, work: Callable[[ChangeSession], Result]) -> Result:
        """Commits what `work` changes as the next revision, and rings in this process.

        Raises:
            StoreFailed: the database is gone or full; nothing was changed.
        """
        result = await self._in_thread(lambda: self.change_now(work))
        self.ring()
        return result

    def change_now(self, work: Callable[[ChangeSession], Result]) -> Result:
        """`change` for a caller that may block; nobody is rung for."""
        return self._run(ChangeSession, work)

    async def revision(self) -> int:
        return await self.read(lambda session: session.scalars(select(RevisionRow.value)).one())

    def on_change(self, ring: Callable[[], None]) -> Callable[[], None]:
        """Calls `ring` whenever something was committed: at once after `change`, and within a tenth of a
        second if another process did it. Returns what ends that.
        """
        return self._bells.add(ring)

    def ring(self) -> None:
        self._bells.ring()

    def close(self) -> None:
        self._threads.shutdown(wait=True)
        self._engine.dispose()

    def _make_bells(self) -> Bells:
        if self._engine.dialect.name == "sqlite":
            words = str(_PULSE.compile(self._engine, compile_kwargs={"literal_binds": True}))
            return Bells(look_at_sqlite(str(self._engine.url.database), words), SQLITE_SECONDS)
        return Bells(lambda: self.read(pulse), POSTGRESQL_SECONDS)

    async def _in_thread(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def _run(self, kind: type[Any], work: Callable[[Any], Result]) -> Result:
        for attempt in range(ATTEMPTS):
            try:
                with self._session(kind) as session:
                    result = work(session)
                    session.commit()
                    return result
            except DBAPIError as error:
                if attempt == ATTEMPTS - 1 or not _passing(error):
                    if isinstance(error, OperationalError) or error.connection_invalidated:
                        raise StoreFailed(f"the store failed: {_reason(error)}", retry_after=1) from error
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
            if kind is ChangeSession:
                # The row is locked from here to the commit, so changes are one after the other.
                statement = (
                    update(RevisionRow).values(value=RevisionRow.value + 1).returning(RevisionRow.value)
                )
                session.info[_KEY] = session.scalars(statement).one()
            yield session


_PULSE = select(
    select(RevisionRow.value).scalar_subquery(),
    select(func.coalesce(func.sum(GatewayRow.version), 0)).scalar_subquery(),
    select(func.count()).select_from(GatewayRow).scalar_subquery(),
)


def pulse(session: Session) -> tuple[int, int, int]:
    """Something else whenever a change was made, or a gateway reported something new, came or went."""
    found = session.execute(_PULSE).one()
    return int(found[0]), int(found[1]), int(found[2])


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
            f"cannot write the store {path}: {error.strerror or error}; choose another --data-dir"
        ) from error
    engine = create_engine(
        url, pool_size=THREADS, connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False}
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
