"""The tables of webhooks and of what is on its way to them. For what is common to all, see `tables`."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Index, LargeBinary, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from paddock.store.tables import Base


class WebhookRow(Base):
    """An address that a project wants to be told at what happens in it.

    Attributes:
        events: types of events, `batch.*` and `*` among them.
        secret: what messages to it are signed with, as its owner has it.
        reason: why it is not enabled, if nobody chose so.
        last_at, last_status, last_error: of the last try; status 0 if no answer came.
        failing_since: when the first of the tries failed that failed one after the other.
    """

    __tablename__ = "webhooks"
    __table_args__ = (Index("webhooks_in_order", "project", "created_at", "id"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    project: Mapped[str]
    name: Mapped[str]
    url: Mapped[str] = mapped_column(Text)
    events: Mapped[list[Any]]
    secret: Mapped[str]
    enabled: Mapped[bool] = mapped_column(default=True)
    reason: Mapped[str] = mapped_column(Text, default="")
    last_at: Mapped[float | None]
    last_status: Mapped[int] = mapped_column(default=0)
    last_error: Mapped[str] = mapped_column(Text, default="")
    failing_since: Mapped[float | None]
    created_at: Mapped[float]


class DeliveryRow(Base):
    """A message on its way to a webhook, or to the callback of a deployment.

    Attributes:
        target: the webhook's id, or the deployment's.
        event_id: the same in every try, and for all webhooks that the event goes to.
        body: the very bytes that are sent.
        state: waiting, delivered or failed.
        attempts: tries that are over.
        fence: raised by whoever takes it up: what an earlier one says of it is void.
        next_at: when it is to be tried; while somebody is at it, when he is taken for dead.
        status, error: of the last try; status 0 if no answer came.
    """

    __tablename__ = "webhook_deliveries"
    __table_args__ = (
        Index(
            "webhook_deliveries_waiting",
            "target",
            "next_at",
            sqlite_where=text("finished_at IS NULL"),
            postgresql_where=text("finished_at IS NULL"),
        ),
        Index("webhook_deliveries_of_target", "target", "created_at"),
        Index("webhook_deliveries_over", "finished_at"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    project: Mapped[str]
    target: Mapped[str]
    event_id: Mapped[str]
    type: Mapped[str]
    body: Mapped[bytes] = mapped_column(LargeBinary)
    state: Mapped[str] = mapped_column(default="waiting")
    attempts: Mapped[int] = mapped_column(default=0)
    fence: Mapped[int] = mapped_column(default=0)
    next_at: Mapped[float]
    status: Mapped[int] = mapped_column(default=0)
    error: Mapped[str] = mapped_column(Text, default="")
    created_at: Mapped[float]
    finished_at: Mapped[float | None]
