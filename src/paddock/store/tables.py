"""The tables. Times are seconds since 1970 as floats; what is JSON here is never searched by its content.

Every row that a project owns names it. A row that gateways follow carries the `revision` at which it was last
changed: see `sessions.Store.change`.
"""

from __future__ import annotations

from typing import Any, ClassVar

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Text,
    text,
)
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


class ProjectRow(Base):
    """What belongs together, and is seen by its own keys only. A project without a row has no limits.

    Attributes:
        limits: see `schemas.limits.Limits`.
    """

    __tablename__ = "projects"
    __table_args__ = (Index("projects_by_revision", "revision"),)

    name: Mapped[str] = mapped_column(primary_key=True)
    limits: Mapped[dict[str, Any]] = mapped_column(default=dict)
    created_at: Mapped[float]
    revision: Mapped[int]


class KeyRow(Base):
    """A key. Its secret is random and long enough that nobody finds it from `secret_hash`, its SHA-256.

    Attributes:
        hint: the end of the secret, by which a person knows it again.
        previous_hash: of the secret that it had before it was rotated, which works until `previous_until`.
        limits: see `schemas.limits.Limits`.
    """

    __tablename__ = "api_keys"
    __table_args__ = (
        Index("api_keys_in_order", "project", "created_at", "id"),
        Index("api_keys_by_revision", "revision"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    project: Mapped[str]
    name: Mapped[str]
    secret_hash: Mapped[str]
    hint: Mapped[str]
    previous_hash: Mapped[str] = mapped_column(default="")
    previous_until: Mapped[float] = mapped_column(default=0.0)
    scopes: Mapped[list[Any]]
    models: Mapped[list[Any]] = mapped_column(default=list)
    limits: Mapped[dict[str, Any]] = mapped_column(default=dict)
    created_at: Mapped[float]
    expires_at: Mapped[float | None]
    revoked_at: Mapped[float | None]
    revision: Mapped[int]


class DeploymentRow(Base):
    """A wish, and what became of it.

    Attributes:
        source: what to resolve the weights from; `model` is its name.
        options: what the engine is told beyond the columns.
        details: what a dialect's caller gave and wants to see again.
        key_id: of the key that it was wished with; empty for one without.
        origin: `command` for models named on the command line, `job` for what a job brought up for itself,
            `api` for all others.
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
    key_id: Mapped[str] = mapped_column(default="", server_default=text("''"))
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
        adapters: those that it serves beside its model, by id, and what its engine calls each.
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
    adapters: Mapped[dict[str, Any]] = mapped_column(default=dict)
    ready_at: Mapped[float | None]
    ended_at: Mapped[float | None]


class AdapterRow(Base):
    """What a fine-tune made for a model. Every deployment of the model in its project serves it too.

    Attributes:
        source: of the model, as `DeploymentRow` has it; `model` is its name.
        job_id: the fine-tune.
        files: as a Hugging Face folder has them: a list of {name, blob, bytes, sha256}.
        gguf: the blob of the same for llama.cpp, of `gguf_bytes`.
        details: what is known of how it was made.
    """

    __tablename__ = "adapters"
    __table_args__ = (
        Index(
            "adapters_by_name",
            "project",
            "name",
            unique=True,
            sqlite_where=text("deleted_at IS NULL"),
            postgresql_where=text("deleted_at IS NULL"),
        ),
        Index("adapters_by_source", "project", "source"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    project: Mapped[str]
    name: Mapped[str]
    model: Mapped[str]
    source: Mapped[str]
    job_id: Mapped[str]
    files: Mapped[list[Any]]
    gguf: Mapped[str]
    gguf_bytes: Mapped[int]
    details: Mapped[dict[str, Any]]
    created_at: Mapped[float]
    deleted_at: Mapped[float | None]


class TunedModelRow(Base):
    """A whole model that a fine-tune made: it is deployed by its name like any other.

    Attributes:
        parent: the model that it was made from, by its name.
        job_id: the fine-tune.
        files: its checkpoint, as a Hugging Face folder has it: a list of {name, blob, bytes, sha256}.
        facts: what is known of it: see `weights.facts.ModelFacts`.
        details: what is known of how it was made.
    """

    __tablename__ = "tuned_models"
    __table_args__ = (
        Index(
            "tuned_models_by_name",
            "project",
            "name",
            unique=True,
            sqlite_where=text("deleted_at IS NULL"),
            postgresql_where=text("deleted_at IS NULL"),
        ),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    project: Mapped[str]
    name: Mapped[str]
    parent: Mapped[str]
    job_id: Mapped[str]
    files: Mapped[list[Any]]
    facts: Mapped[dict[str, Any]]
    details: Mapped[dict[str, Any]]
    created_at: Mapped[float]
    deleted_at: Mapped[float | None]


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
    """Something that happened to a deployment, a replica or a job, for people. What it is not of is empty.

    Attributes:
        data: the same in numbers, if there are any.
    """

    __tablename__ = "events"
    __table_args__ = (
        Index("events_of_project", "project", "id"),
        Index("events_of_deployment", "deployment_id", "id"),
        Index("events_of_job", "job_id", "id"),
    )

    id: Mapped[int] = mapped_column(_Serial, primary_key=True, autoincrement=True)
    project: Mapped[str]
    at: Mapped[float]
    kind: Mapped[str]
    deployment_id: Mapped[str]
    deployment: Mapped[str]
    replica_id: Mapped[str] = mapped_column(default="")
    job_id: Mapped[str] = mapped_column(default="")
    message: Mapped[str] = mapped_column(Text)
    data: Mapped[dict[str, Any]] = mapped_column(default=dict)


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


class SecretRow(Base):
    """What this store's processes sign with, made when it is first needed; and what callers lend to a job,
    encrypted, until that is over: see `services.job_secrets`.
    """

    __tablename__ = "secrets"

    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[bytes] = mapped_column(LargeBinary)


class LeaseRow(Base):
    """Who may do what only one may do at a time. Each holder gets a higher `fence` than the one before."""

    __tablename__ = "leases"

    name: Mapped[str] = mapped_column(primary_key=True)
    holder: Mapped[str]
    fence: Mapped[int]
    expires_at: Mapped[float]


class FileRow(Base):
    """A stored file. Its bytes lie in the blobs under `blob`, whole before this row is there.

    Attributes:
        characters: its length as text; None if it is not UTF-8.
        expires_at: when it is removed; None keeps it.
    """

    __tablename__ = "files"
    __table_args__ = (
        Index("files_in_order", "project", "created_at", "id"),
        Index("files_by_name", "project", "filename"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    project: Mapped[str]
    filename: Mapped[str] = mapped_column(Text)
    purpose: Mapped[str]
    bytes: Mapped[int]
    characters: Mapped[int | None]
    sha256: Mapped[str]
    blob: Mapped[str]
    created_at: Mapped[float]
    expires_at: Mapped[float | None]


class JobRow(Base):
    """A batch or a fine-tune: accepted, and from then on worked at until it is over.

    Attributes:
        kind: what runs it: `batch` or `ft`.
        key_id: of the key that asked for it; empty for one without.
        dialect: which one it was asked for in: `openai`, `llm_engine.v1`, `llm_engine.v2`.
        state: queued, running, completed, failed, cancelled or expired. While it runs, `phase` tells more:
            validating, working or finishing.
        priority: higher goes first.
        needs: an attached server that the worker must know; empty if any worker will do.
        spec: what was asked for; never changes.
        checkpoint: what the next worker goes on from.
        input, output: where from and where to, for who must not have the same; `file:ID`, `name:NAME` or an
            address. Empty if there is none.
        total, done, failed: rows of the input, those answered, and those of them answered by an error; of a
            fine-tune steps, and those that were taken.
        message: what goes on, for a person.
        reason: why it failed, was cancelled or expired.
        errors: what is wrong with the input: a list of {code, message, param, line}.
        results: what came of it, as the dialect shows it: ids of files.
        times: when it came to each phase and state, by its name.
        attempts: how often a worker took it up; `stalls` counts those since its last progress.
        worker, fence, lease_expires_at: who works at it. Writes with an older fence are refused.
        deadline_at: when it is given up.
    """

    __tablename__ = "jobs"
    __table_args__ = (
        Index("jobs_in_order", "project", "created_at", "id"),
        Index(
            "jobs_unfinished",
            "state",
            sqlite_where=text("finished_at IS NULL"),
            postgresql_where=text("finished_at IS NULL"),
        ),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    project: Mapped[str]
    key_id: Mapped[str] = mapped_column(default="", server_default=text("''"))
    kind: Mapped[str]
    dialect: Mapped[str]
    state: Mapped[str]
    phase: Mapped[str] = mapped_column(default="")
    priority: Mapped[int] = mapped_column(default=0)
    needs: Mapped[str] = mapped_column(default="")
    model: Mapped[str]
    labels: Mapped[dict[str, Any]] = mapped_column(default=dict)
    spec: Mapped[dict[str, Any]]
    checkpoint: Mapped[dict[str, Any]] = mapped_column(default=dict)
    input: Mapped[str] = mapped_column(Text, default="")
    output: Mapped[str] = mapped_column(Text, default="")
    total: Mapped[int] = mapped_column(default=0)
    done: Mapped[int] = mapped_column(default=0)
    failed: Mapped[int] = mapped_column(default=0)
    message: Mapped[str] = mapped_column(Text, default="")
    reason: Mapped[str] = mapped_column(Text, default="")
    errors: Mapped[list[Any]] = mapped_column(default=list)
    results: Mapped[dict[str, Any]] = mapped_column(default=dict)
    times: Mapped[dict[str, Any]] = mapped_column(default=dict)
    attempts: Mapped[int] = mapped_column(default=0)
    stalls: Mapped[int] = mapped_column(default=0)
    worker: Mapped[str] = mapped_column(default="")
    fence: Mapped[int] = mapped_column(default=0)
    lease_expires_at: Mapped[float] = mapped_column(default=0.0)
    deadline_at: Mapped[float]
    cancel_requested_at: Mapped[float | None]
    created_at: Mapped[float]
    started_at: Mapped[float | None]
    finished_at: Mapped[float | None]


class JobAnswerRow(Base):
    """The answer to one row of a batch, until it lies in a segment. Its key keeps it from being there twice.

    Attributes:
        body: a line of the output, without its end.
    """

    __tablename__ = "job_answers"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    failed: Mapped[bool]
    body: Mapped[bytes] = mapped_column(LargeBinary)


class JobSegmentRow(Base):
    """A stretch of a batch's answers in the order of the input, as a blob. Segments follow each other without
    a gap.

    Attributes:
        first, end: the numbers of the rows in it: from `first` until before `end`.
        offset: where in the input the row `end` begins, in bytes.
    """

    __tablename__ = "job_segments"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"), primary_key=True)
    first: Mapped[int] = mapped_column(primary_key=True)
    end: Mapped[int]
    offset: Mapped[int]
    blob: Mapped[str]


class HoldRow(Base):
    """A job's wish that a deployment has at least so many replicas while it works at it."""

    __tablename__ = "holds"
    __table_args__ = (Index("holds_of_deployment", "deployment_id"),)

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"), primary_key=True)
    deployment_id: Mapped[str] = mapped_column(ForeignKey("deployments.id"))
    replicas: Mapped[int]
