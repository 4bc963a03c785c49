"""Adapters, which replicas serve them, events with numbers, and what addresses are signed with."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "adapters",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("project", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("job_id", sa.String(), nullable=False),
        sa.Column("files", sa.JSON(), nullable=False),
        sa.Column("gguf", sa.String(), nullable=False),
        sa.Column("gguf_bytes", sa.BigInteger(), nullable=False),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("deleted_at", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "adapters_by_name",
        "adapters",
        ["project", "name"],
        unique=True,
        sqlite_where=sa.text("deleted_at IS NULL"),
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.create_index("adapters_by_source", "adapters", ["project", "source"])
    op.create_table(
        "secrets",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    for table, column in (("replicas", "adapters"), ("events", "data")):
        # Old rows have none; the default fills them and goes.
        with op.batch_alter_table(table) as old:
            old.add_column(sa.Column(column, sa.JSON(), nullable=False, server_default="{}"))
        with op.batch_alter_table(table) as old:
            old.alter_column(column, server_default=None)
