"""Brings a store to the tables of this version."""

from __future__ import annotations

from sqlalchemy import Connection, Engine, inspect, text

from paddock.errors import StartupError

HEAD = "0005"
"""The newest migration. A test compares it with the folder."""
_LOCK = 7_237_283


def to_head(engine: Engine) -> None:
    """
    Raises:
        StartupError: the store was written by a newer Paddock.
    """
    with engine.connect() as connection:
        if _version(connection) == HEAD:
            return
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            # Servers that start together migrate one after the other.
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        else:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        version = _version(connection)
        if version == HEAD:
            return
        if version is not None and version > HEAD:
            raise StartupError(
                f"the store has version {version}, and this Paddock knows {HEAD}; install a newer Paddock"
            )
        _upgrade(connection)


def _version(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _upgrade(connection: Connection) -> None:
    # Alembic takes a fifth of a second to import, which only a new or old store must pay.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "paddock:store/migrations")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
