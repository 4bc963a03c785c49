"""Alembic's entry: migrates over the connection that `store.migrate` hands over."""

from __future__ import annotations

from alembic import context

from paddock.store.tables import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    version_table=context.config.attributes["version_table"],
)
context.run_migrations()
