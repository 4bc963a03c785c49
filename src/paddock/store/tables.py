"""The tables. Times are seconds since 1970 as floats; what is JSON here is never searched by its content.

Every row that a project owns names it. A row that gateways follow carries the `revision` at which it was last
changed: see `sessions.Store.change`.
"""

from __future__ import annotations

from typing import Any, ClassVar

from sqlalchemy import JSON, BigInteger, Boolean, Float, ForeignKey, Index, Integer, String, Text, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

# SQLite numbers rows by itself only in a column of type INTEGER.
_Serial = BigInteger().with_variant(Integer, "sqlite")


class Base(DeclarativeBase):
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        dict[str, Any]: JSON,
        list[Any]: JSON,
        str: String,
        float: Float,
        int: BigInteger,
        bool: Boolean,
    }


class RevisionRow(Base):
    """One row: the number of the last change that gateways and the controller must see."""

    __tablename__ = "revision"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    value: Mapped[int]


class DeploymentRow(Base):
    """A wish, and what became of it.

    Attributes:
        source: what to resolve the weights from; `model` is its name.
        options: what the engine is told beyond the columns.
        details: what a dialect's caller gave and wants to see again.
        origin: `command` for models named on the command line, `api` for all others.
        wanted: `serve`, `stop` or `delete`.
        generation: raised by every change that needs new engines.
        proved: the last generation that was ready once; 0 if none was.
        failures: starts that failed one after the other.
        retry_at: no start before this time.
        attention: whether the controller must look although no replica lives.
        facts: what is known of the model as it is served: see `services.deployments`.
        used_at: when the controller last saw a request for it.
    """

    __tablename__ = "deployments"
    __table_args__ = (
        Index(
            "deployments_by_name",
            "project",
            "name",
            unique=True,
            sqlite_where=text("deleted_at IS NULL"),
            postgresql_where=text("deleted_at IS NULL"),
        ),
        Index("deployments_in_order", "project", "created_at", "id"),
        Index("deployments_by_revision", "revision"),
        Index(
            "deployments_needing_attention",
            "attention",
            sqlite_where=text("attention"),
            postgresql_where=text("attention"),
        ),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    project: Mapped[str]
    name: Mapped[str]
    model: Mapped[str]
    source: Mapped[str]
    engine: Mapped[str]
    hardware_type: Mapped[str]
    context_length: Mapped[int]
    min_workers: Mapped[int]
    max_workers: Mapped[int]
    per_worker: Mapped[int]
    idle_timeout: Mapped[float]
    options: Mapped[dict[str, Any]]
    details: Mapped[dict[str, Any]]
    origin: Mapped[str]
    wanted: Mapped[str]
    generation: Mapped[int]
    proved: Mapped[int] = mapped_column(default=0)
    status: Mapped[str]
    reason: Mapped[str] = mapped_column(Text, default="")
    log: Mapped[list[Any]] = mapped_column(default=list)
    failures: Mapped[int] = mapped_column(default=0)
    retry_at: Mapped[float] = mapped_column(default=0.0)
    attention: Mapped[bool] = mapped_column(default=True)
    facts: Mapped[dict[str, Any]] = mapped_column(default=dict)
    used_at: Mapped[float] = mapped_column(default=0.0)
    created_at: Mapped[float]
    updated_at: Mapped[float]
    started_at: Mapped[float | None]
    stopped_at: Mapped[float | None]
    deleted_at: Mapped[float | None]
    revision: Mapped[int]


class ReplicaRow(Base):
    """One engine process, from the decision to start it until after its end.

    Attributes:
        fence: the fencing token of the controller that may write this row.
        step: 1 queued, 2 reserving hardware, 3 fetching weights, 4 loading, 5 ready.
        done, total: bytes of the weights that are being fetched.
        blocked: why it waits for hardware, if an older replica of its deployment could make room for it.
        key: the engine's own key, which only gateways know.
        handle: by which its runner finds the process again.
        deadline_at: when a passing state must be over.
        drain_revision: the change after which no gateway sends it anything.
    """

    __tablename__ = "replicas"
    __table_args__ = (
        Index("replicas_of_deployment", "deployment_id"),
        Index(
            "replicas_alive",
            "deployment_id",
            sqlite_where=text("ended_at IS NULL"),
            postgresql_where=text("ended_at IS NULL"),
        ),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    deployment_id: Mapped[str] = mapped_column(ForeignKey("deployments.id"))
    generation: Mapped[int]
    fence: Mapped[int]
    node: Mapped[str] = mapped_column(default="")
    state: Mapped[str]
    step: Mapped[int] = mapped_column(Integer, default=1)
    description: Mapped[str] = mapped_column(Text, default="")
    done: Mapped[int] = mapped_column(default=0)
    total: Mapped[int] = mapped_column(default=0)
    blocked: Mapped[str] = mapped_column(Text, default="")
    reason: Mapped[str] = mapped_column(Text, default="")
    address: Mapped[str] = mapped_column(default="")
    key: Mapped[str] = mapped_column(default="")
    handle: Mapped[str] = mapped_column(Text, default="")
    created_at: Mapped[float]
    state_at: Mapped[float]
    deadline_at: Mapped[float | None]
    drain_revision: Mapped[int] = mapped_column(default=0)
    ready_at: Mapped[float | None]
    ended_at: Mapped[float | None]


class HardwareLeaseRow(Base):
    """What a replica holds of a node, from the reservation until its process is gone."""

    __tablename__ = "hardware_leases"

    replica_id: Mapped[str] = mapped_column(ForeignKey("replicas.id"), primary_key=True)
    node: Mapped[str]
    hardware_type: Mapped[str]
    cores: Mapped[float]
    memory: Mapped[int]
    gpus: Mapped[list[Any]]
    since: Mapped[float]


class EventRow(Base):
    """Something that happened to a deployment or a replica, for people."""

    __tablename__ = "events"
    __table_args__ = (
        Index("events_of_project", "project", "id"),
        Index("events_of_deployment", "deployment_id", "id"),
    )

    id: Mapped[int] = mapped_column(_Serial, primary_key=True, autoincrement=True)
    project: Mapped[str]
    at: Mapped[float]
    kind: Mapped[str]
    deployment_id: Mapped[str]
    deployment: Mapped[str]
    replica_id: Mapped[str] = mapped_column(default="")
    message: Mapped[str] = mapped_column(Text)


class LogLineRow(Base):
    """A line of an engine's log. Only the last ones of a deployment are kept."""

    __tablename__ = "log_lines"
    __table_args__ = (Index("log_lines_of_deployment", "deployment_id", "id"),)

    id: Mapped[int] = mapped_column(_Serial, primary_key=True, autoincrement=True)
    deployment_id: Mapped[str]
    replica_id: Mapped[str]
    at: Mapped[float]
    text: Mapped[str] = mapped_column(Text)


class NodeRow(Base):
    """A machine on which replicas can be placed."""

    __tablename__ = "nodes"

    name: Mapped[str] = mapped_column(primary_key=True)
    cores: Mapped[int]
    memory: Mapped[int]
    gpus: Mapped[list[Any]]
    seen_at: Mapped[float]


class GatewayRow(Base):
    """A process that answers requests.

    Attributes:
        revision: the last change that it has seen; no request is sent by an older view.
        load: what it has to do: see `services.gateways.Report`.
        version: raised by every report in which something changed.
    """

    __tablename__ = "gateways"

    id: Mapped[str] = mapped_column(primary_key=True)
    seen_at: Mapped[float]
    revision: Mapped[int]
    load: Mapped[dict[str, Any]]
    version: Mapped[int]


class LeaseRow(Base):
    """Who may do what only one may do at a time. Each holder gets a higher `fence` than the one before."""

    __tablename__ = "leases"

    name: Mapped[str] = mapped_column(primary_key=True)
    holder: Mapped[str]
    fence: Mapped[int]
    expires_at: Mapped[float]
