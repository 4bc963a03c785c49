"""Brings a database to the tables of this version."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, Engine, inspect, text

from paddock.errors import StartupError


@dataclass(frozen=True)
class Chain:
    """Migrations that follow each other. Two chains can live in one database.

    Attributes:
        name: what errors call what they make.
        folder: where they are, as Alembic names it.
        head: the newest one. A test compares it with the folder.
        table: where a database says how far it is.
        lock: of PostgreSQL's, held by who migrates.
    """

    name: str
    folder: str
    head: str
    table: str
    lock: int


STORE = Chain("store", "paddock:store/migrations", "0006", "alembic_version", 7_237_283)
LEDGER = Chain("ledger", "paddock:store/ledger_migrations", "0003", "ledger_version", 7_237_284)


def to_head(engine: Engine, chain: Chain) -> None:
    """
    Raises:
        StartupError: the database was written by a newer Paddock.
    """
    with engine.connect() as connection:
        if _version(connection, chain) == chain.head:
            return
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            # Servers that start together migrate one after the other.
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": chain.lock})
        else:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        version = _version(connection, chain)
        if version == chain.head:
            return
        if version is not None and version > chain.head:
            raise StartupError(
                f"the {chain.name} has version {version}, and this Paddock knows {chain.head};"
                " install a newer Paddock"
            )
        _upgrade(connection, chain)


def _version(connection: Connection, chain: Chain) -> str | None:
    if not inspect(connection).has_table(chain.table):
        return None
    return connection.execute(text(f"SELECT version_num FROM {chain.table}")).scalar()


def _upgrade(connection: Connection, chain: Chain) -> None:
    # Alembic takes a fifth of a second to import, which only a new or old store must pay.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", chain.folder)
    config.attributes["connection"] = connection
    config.attributes["version_table"] = chain.table
    command.upgrade(config, "head")
