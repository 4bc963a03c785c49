"""The ledger's tables. Times are seconds since 1970, money is counted in billionths of the currency
(`schemas.limits.NANO`), empty texts stand for what there is none of.
"""

from __future__ import annotations

from typing import Any, ClassVar

from sqlalchemy import BigInteger, Boolean, Float, Index, Integer, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

# Ids are random, and a table with one as its key grows everywhere; with a number it grows at its end only.
# SQLite numbers rows by itself only in a column of type INTEGER.
_Serial = BigInteger().with_variant(Integer, "sqlite")


class LedgerBase(DeclarativeBase):
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        str: String,
        float: Float,
        int: BigInteger,
        bool: Boolean,
    }


class RequestRow(LedgerBase):
    """One request: the fields of a `schemas.usage.Entry` and its `Series`."""

    __tablename__ = "usage_requests"
    __table_args__ = (Index("usage_requests_in_order", "at"),)

    number: Mapped[int] = mapped_column(_Serial, primary_key=True)
    id: Mapped[str]
    at: Mapped[float]
    project: Mapped[str]
    key: Mapped[str]
    model: Mapped[str]
    adapter: Mapped[str]
    deployment: Mapped[str]
    job: Mapped[str]
    outcome: Mapped[str]
    status: Mapped[int]
    streamed: Mapped[bool]
    prompt_tokens: Mapped[int]
    cached_tokens: Mapped[int]
    completion_tokens: Mapped[int]
    latency: Mapped[float]
    first_token: Mapped[float]
    cost: Mapped[int]


class BatchRow(LedgerBase):
    """How far a writer came: the number of its last batch, so that none counts twice."""

    __tablename__ = "usage_batches"

    writer: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int]
    at: Mapped[float]


class SumRow(LedgerBase):
    """What requests and instances of an hour or a day of UTC come to. Written with them, in one transaction.

    Attributes:
        span: 3600 or 86400.
        start: when the hour or day begins.
        cost: of the tokens and the instances together.
    """

    __tablename__ = "usage_sums"
    __table_args__ = ({"sqlite_with_rowid": False},)

    span: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    start: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    project: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    model: Mapped[str] = mapped_column(primary_key=True)
    adapter: Mapped[str] = mapped_column(primary_key=True)
    deployment: Mapped[str] = mapped_column(primary_key=True)
    outcome: Mapped[str] = mapped_column(primary_key=True)
    requests: Mapped[int]
    prompt_tokens: Mapped[int]
    cached_tokens: Mapped[int]
    completion_tokens: Mapped[int]
    cost: Mapped[int]
    instance_seconds: Mapped[int]


class SpentRow(LedgerBase):
    """What was spent so far. Written with what it is the sum of, in one transaction.

    Attributes:
        subject: `key:ID`, `project:NAME`, or `deployment:ID` for what its instances cost.
        period: `total`, a month `2026-11` or a day `2026-11-28`, of UTC.
    """

    __tablename__ = "usage_spent"
    __table_args__ = ({"sqlite_with_rowid": False},)

    subject: Mapped[str] = mapped_column(Text, primary_key=True)
    period: Mapped[str] = mapped_column(primary_key=True)
    cost: Mapped[int]


class InstanceRow(LedgerBase):
    """A begun billing interval of a replica. Written once, by `services.usage.record.record_instances`, which
    keeps the sums; never changed. That it is there keeps the interval from being counted again.

    Attributes:
        start, end: of the interval.
        key: who deployed it.
        billing_interval: `per_minute` or `per_hour`.
    """

    __tablename__ = "usage_instances"
    __table_args__ = (Index("usage_instances_in_order", "start"),)

    replica_id: Mapped[str] = mapped_column(primary_key=True)
    start: Mapped[float] = mapped_column(primary_key=True)
    end: Mapped[float]
    project: Mapped[str]
    key: Mapped[str]
    deployment_id: Mapped[str]
    deployment: Mapped[str]
    model: Mapped[str]
    hardware_type: Mapped[str]
    billing_interval: Mapped[str]
    cost: Mapped[int]


class KeptRow(LedgerBase):
    """From when on all rows of a table are kept; of what was before, some may be gone: see
    `services.usage.clearing`.

    Attributes:
        name: the table's.
        since: the begin of an hour, in seconds since 1970.
    """

    __tablename__ = "usage_kept"
    __table_args__ = ({"sqlite_with_rowid": False},)

    name: Mapped[str] = mapped_column(primary_key=True)
    since: Mapped[int]


class LimitWindowRow(LedgerBase):
    """What gateways took of a limit per minute in one tick: see `services.limits`.

    Attributes:
        subject: `key:ID` or `project:NAME`.
        kind: `requests` or `tokens`.
        tick: when, in ticks since 1970.
        taken: below zero if more came back under this tick than was taken under it.
    """

    __tablename__ = "limit_windows"
    __table_args__ = ({"sqlite_with_rowid": False},)

    subject: Mapped[str] = mapped_column(Text, primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    tick: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    taken: Mapped[int]


class LimitLeaseRow(LedgerBase):
    """What one gateway holds of a limit on what there is at once: requests being answered, or money that is
    not in `usage_spent` yet.

    Attributes:
        kind: `concurrent` or `budget`.
        holder: the gateway.
        held: requests, or billionths of the currency.
        expires_at: when it is taken for dead unless it says otherwise.
    """

    __tablename__ = "limit_leases"
    __table_args__ = ({"sqlite_with_rowid": False},)

    subject: Mapped[str] = mapped_column(Text, primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    holder: Mapped[str] = mapped_column(primary_key=True)
    held: Mapped[int]
    expires_at: Mapped[float]
