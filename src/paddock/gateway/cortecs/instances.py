"""Deployments as instances: a pure mapping, whichever dialect made them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from paddock.schemas.cortecs import (
    DEFAULT_BILLING_INTERVAL,
    MOST_WORKERS,
    NUM_STEPS,
    InitProgress,
    Instance,
    InstanceArgs,
    InstanceState,
    InstanceStatus,
    WorkerStatus,
    to_model_id,
)
from paddock.schemas.own import Deployment, Replica

DETAILS = "cortecs"
"""The key of a deployment's details under which this dialect keeps what it was given."""
_GOING = ("draining", "ending")


def instance(deployment: Deployment, address: str) -> Instance:
    """The deployment as an instance.

    Args:
        address: of this server, as its clients reach it: `http://127.0.0.1:8800`.
    """
    state = state_of(deployment)
    url = f"{address}/instances/{deployment.id}/v1"
    return Instance(
        instance_id=deployment.id,
        name=deployment.name,
        base_url=url if state == "running" else None,
        instance_args=_arguments(deployment),
        instance_status=InstanceStatus(
            status=state,
            started_at=_time(_started_at(deployment, state)),
            stopped_at=_time(deployment.stopped_at if state == "stopped" else None),
            init_progress=_progress(deployment, state),
            reason=deployment.reason or None,
            log=deployment.log or None,
        ),
        worker_statuses=_workers(deployment, state),
        labels=deployment.labels or None,
    )


def state_of(deployment: Deployment) -> InstanceState:
    """It runs as soon as one worker answers, of an older generation too, and while it is only asleep."""
    if deployment.status in ("stopped", "deleting"):
        return "stopped"
    if deployment.serving or deployment.status in ("ready", "asleep"):
        return "running"
    return "stopped" if deployment.status == "failed" else "pending"


def _arguments(deployment: Deployment) -> InstanceArgs:
    given: Mapping[str, Any] = deployment.details.get(DETAILS) or {}
    # `ensure_instance` of the published clients compares with what it asked for, a short name too.
    renamed = given.get("model") == deployment.model and given.get("model_id")
    return InstanceArgs(
        model_id=renamed or to_model_id(deployment.model),
        hardware_type_id=deployment.hardware_type,
        context_length=deployment.context_length,
        billing_interval=given.get("billing_interval") or DEFAULT_BILLING_INTERVAL,
        num_workers=_wanted(deployment),
    )


def _wanted(deployment: Deployment) -> int:
    return max(1, deployment.min_workers)


def _started_at(deployment: Deployment, state: InstanceState) -> float | None:
    if deployment.started_at is not None or state != "running":
        return deployment.started_at
    # Its first worker has only just become ready, or one from before a restart answers still.
    current = [one for one in deployment.replicas if one.generation == deployment.generation]
    ready = [one.ready_at for one in current if one.state == "ready" and one.ready_at is not None]
    return min(ready, default=deployment.updated_at)


def _progress(deployment: Deployment, state: InstanceState) -> InitProgress | None:
    if state == "stopped":
        return None
    if state == "running":
        return _asleep() if deployment.status == "asleep" else _step(NUM_STEPS, "Running")
    coming = _coming(deployment)
    return _of(coming[0]) if coming else _step(1, deployment.reason or "Waiting for a worker")


def _workers(deployment: Deployment, state: InstanceState) -> list[WorkerStatus]:
    """One for each worker, the furthest first: the first is the one that the newer client waits for."""
    wanted = min(MOST_WORKERS, _wanted(deployment))
    if state == "stopped":
        return [WorkerStatus() for _ in range(wanted)]
    shown = [_of(one) for one in _coming(deployment)]
    if state == "running" and (not shown or shown[0]["current_step"] < NUM_STEPS):
        # Its replicas fell asleep, or one has just died and is being replaced.
        shown.insert(0, _asleep() if deployment.status == "asleep" else _step(NUM_STEPS, "Running"))
    shown += [_step(1, "Waiting for its turn")] * (wanted - len(shown))
    return [WorkerStatus(init_progress=progress) for progress in shown]


def _coming(deployment: Deployment) -> list[Replica]:
    """The replicas that answer or will, the furthest first."""
    alive = [one for one in deployment.replicas if one.state not in _GOING]
    return sorted(alive, key=lambda one: (one.step, one.done), reverse=True)


def _of(replica: Replica) -> InitProgress:
    if replica.state == "ready":
        return _step(NUM_STEPS, "Running")
    # The published clients stop waiting at the last step, whatever the status says.
    return _step(min(replica.step, NUM_STEPS - 1), replica.description or replica.state.capitalize())


def _asleep() -> InitProgress:
    return _step(NUM_STEPS, "Asleep: a request wakes it")


def _step(number: int, description: str) -> InitProgress:
    return {"current_step": number, "num_steps": NUM_STEPS, "description": description}


def _time(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
