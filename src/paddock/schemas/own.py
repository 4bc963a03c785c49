"""Paddock's own view of deployments and what belongs to them; the other dialects' views are made from it.

Times are seconds since 1970, sizes bytes.
"""

# No `from __future__ import annotations` here: pydantic would have to evaluate each one at import.
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from paddock.schemas.bounds import INT32

DeploymentStatus = Literal["pending", "starting", "ready", "asleep", "failed", "stopped", "deleting"]
ReplicaState = Literal[
    "queued", "reserving", "fetching", "loading", "ready", "draining", "ending", "stopped", "failed"
]
MOST_WORKERS = 1000
MOST_NAME = 128
NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._/:@-]{0,126}[A-Za-z0-9])?"
"""A deployment's name: it may look like a model's, `org/name`, and stands in URLs."""


class _Wire(BaseModel):
    model_config = ConfigDict(defer_build=True, protected_namespaces=())


class Replica(_Wire):
    """One engine process that answers, or will answer, for a deployment."""

    id: str
    generation: int = Field(description="Of the wish that it was started for.")
    state: ReplicaState
    node: str = Field(description="The machine that it is placed on; empty before that.")
    hardware_type: str
    step: int = Field(description="1 queued, 2 reserving hardware, 3 fetching weights, 4 loading, 5 ready.")
    description: str = Field(description="The step, for a person.")
    done: int = Field(description="Bytes of the weights fetched so far.")
    total: int = Field(description="Bytes of the weights; 0 if not known.")
    reason: str = Field(description="Why it failed or was ended.")
    created_at: float
    ready_at: float | None
    ended_at: float | None


class Cost(_Wire):
    """Money."""

    amount: float
    currency: str


class Deployment(_Wire):
    """A wish (this model on this hardware, between min and max workers), and what became of it."""

    id: str
    name: str = Field(description="Unique in its project.")
    project: str
    model: str = Field(description="The model's name.")
    parent: str = Field(
        default="", description="The model that this one was fine-tuned from as a whole; empty if it was not."
    )
    engine: str
    hardware_type: str
    context_length: int = Field(
        description="Tokens of prompt and answer together; 0 while that is not known."
    )
    min_workers: int
    max_workers: int
    per_worker: int = Field(description="Requests at once that one replica is meant to take.")
    idle_timeout: float = Field(
        description="Seconds without a request after which it may fall asleep, if min_workers is 0."
    )
    options: dict[str, Any] = Field(description="What the engine is told beyond that.")
    labels: dict[str, str] = Field(default_factory=dict)
    status: DeploymentStatus
    serving: bool = Field(description="Whether a replica of any generation answers now.")
    reason: str = Field(description="Why it failed, waits or was stopped.")
    log: list[str] = Field(description="The engine's last lines before it failed.")
    public: bool = Field(default=False, description="Named on the command line: every project may ask it.")
    generation: int
    replicas: list[Replica] = Field(description="Those that have not ended, the oldest first.")
    created_at: float
    updated_at: float
    started_at: float | None = Field(description="When it was ready first since it was last started.")
    stopped_at: float | None
    cost: Cost | None = Field(
        default=None,
        description="Of the hardware of all its replicas so far, begun intervals in full; null if it cannot"
        " be told at the moment.",
    )
    source: str = Field(exclude=True, description="What the weights are resolved from.")
    details: dict[str, Any] = Field(
        default_factory=dict, exclude=True, description="What a dialect's caller gave and sees again."
    )

    @property
    def available_workers(self) -> int:
        return sum(replica.state == "ready" for replica in self.replicas)

    @property
    def furthest(self) -> Replica | None:
        """The replica that is nearest to answering; None if there is none."""
        alive = [replica for replica in self.replicas if replica.state not in ("draining", "ending")]
        return max(alive, key=lambda replica: (replica.step, replica.done), default=None)


class Event(_Wire):
    """Something that happened."""

    id: int
    at: float
    kind: str = Field(description="created, updated, started, ready, failed, asleep, stopped, deleted, …")
    deployment: str = Field(description="Its name; empty if it happened to a job.")
    deployment_id: str
    replica: str
    job: str = Field(default="", description="The id of the job that it happened to.")
    message: str
    data: dict[str, Any] = Field(default_factory=dict, description="The same in numbers.")
    public: bool = Field(default=False, exclude=True, description="Whether its deployment is.")


class CreateDeployment(_Wire):
    """Body of POST /deployments. What is not given is chosen."""

    model_config = ConfigDict(extra="forbid", strict=True)

    model: str = Field(min_length=1, description="A known model, a hub id, or an allowed path.")
    name: str | None = Field(default=None, description="By default the model's.")
    engine: str | None = None
    hardware_type: str | None = Field(default=None, description="By default the one recommended.")
    context_length: int | None = Field(default=None, ge=1, le=INT32)
    min_workers: int = Field(default=1, ge=0, le=MOST_WORKERS)
    max_workers: int | None = Field(
        default=None, ge=0, le=MOST_WORKERS, description="By default min_workers, at least 1."
    )
    per_worker: int | None = Field(default=None, ge=1, le=INT32)
    idle_timeout: float | None = Field(default=None, ge=0)
    quantize: Literal["F16", "BF16", "Q8_0"] | None = Field(
        default=None, description="Type of the loaded weights; by default the checkpoint's own."
    )
    slots: int | None = Field(
        default=None, ge=1, le=INT32, description="Requests that one engine decodes at once."
    )
    threads: int | None = Field(default=None, ge=1, le=INT32)
    embeddings: bool | None = None
    labels: dict[str, str] | None = None


class UpdateDeployment(_Wire):
    """Body of PATCH /deployments/{name}. Only what is given changes; null is the default again."""

    model_config = ConfigDict(extra="forbid", strict=True)

    model: str | None = Field(default=None, min_length=1)
    engine: str | None = None
    hardware_type: str | None = None
    context_length: int | None = Field(default=None, ge=1, le=INT32)
    min_workers: int | None = Field(default=None, ge=0, le=MOST_WORKERS)
    max_workers: int | None = Field(default=None, ge=0, le=MOST_WORKERS)
    per_worker: int | None = Field(default=None, ge=1, le=INT32)
    idle_timeout: float | None = Field(default=None, ge=0)
    quantize: Literal["F16", "BF16", "Q8_0"] | None = None
    slots: int | None = Field(default=None, ge=1, le=INT32)
    threads: int | None = Field(default=None, ge=1, le=INT32)
    embeddings: bool | None = None
    labels: dict[str, str] | None = None


class ScaleDeployment(_Wire):
    """Body of POST /deployments/{name}/scale. At least one of the two; at most 0 workers is stopped."""

    model_config = ConfigDict(extra="forbid", strict=True)

    min_workers: int | None = Field(default=None, ge=0, le=MOST_WORKERS, description="0 lets it fall asleep.")
    max_workers: int | None = Field(default=None, ge=0, le=MOST_WORKERS, description="0 stops it.")


class LogLine(_Wire):
    """A line that an engine wrote."""

    id: int
    at: float
    replica: str
    text: str
