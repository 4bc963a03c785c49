"""The store: what deployments, jobs and files are kept in, with revisions that gateways and the controller
follow.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from paddock.store import migrate
from paddock.store.bells import POSTGRESQL_SECONDS, SQLITE_SECONDS, Bells, look_at_sqlite
from paddock.store.database import ATTEMPTS, Database, ReadSession, Result, WriteSession
from paddock.store.tables import GatewayRow, RevisionRow

__all__ = ["ATTEMPTS", "ChangeSession", "ReadSession", "Store", "WriteSession", "pulse", "store_url"]
FILE = "paddock.db"
_KEY = "paddock_revision"


class ChangeSession(WriteSession):
    """May change anything. Changes happen one after the other, in the order of their revisions."""

    @property
    def revision(self) -> int:
        """The number of this change."""
        return int(self.info[_KEY])


class Store(Database):
    """
    Args:
        url: `sqlite:///…` or `postgresql://…`.

    Raises:
        StartupError: the database cannot be opened, or is of a newer Paddock.
    """

    chain = migrate.STORE

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.open()
        self._bells = self._make_bells()

    async def write(self, work: Callable[[WriteSession], Result], *, ring: bool = False) -> Result:
        """Commits what `work` writes. With `ring` this process's listeners look at it at once.

        Raises:
            StoreFailed: as `change`.
        """
        result = await super().write(work)
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

    def _make_bells(self) -> Bells:
        if self._engine.dialect.name == "sqlite":
            words = str(_PULSE.compile(self._engine, compile_kwargs={"literal_binds": True}))
            return Bells(look_at_sqlite(str(self._engine.url.database), words), SQLITE_SECONDS)
        return Bells(lambda: self.read(pulse), POSTGRESQL_SECONDS)

    def _begun(self, session: Session) -> None:
        if isinstance(session, ChangeSession):
            # The row is locked from here to the commit, so changes are one after the other.
            statement = update(RevisionRow).values(value=RevisionRow.value + 1).returning(RevisionRow.value)
            session.info[_KEY] = session.scalars(statement).one()


def store_url(data_dir: Path, database_url: str | None) -> str:
    """Where the store is: the database that is named, or a file in the data folder."""
    return database_url or f"sqlite:///{data_dir / FILE}"


_PULSE = select(
    select(RevisionRow.value).scalar_subquery(),
    select(func.coalesce(func.sum(GatewayRow.version), 0)).scalar_subquery(),
    select(func.count()).select_from(GatewayRow).scalar_subquery(),
)


def pulse(session: Session) -> tuple[int, int, int]:
    """Something else whenever a change was made, or a gateway reported something new, came or went."""
    found = session.execute(_PULSE).one()
    return int(found[0]), int(found[1]), int(found[2])
