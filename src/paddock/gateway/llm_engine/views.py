"""A deployment as this dialect shows it; pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from paddock.gateway.llm_engine.hardware import resource_state
from paddock.gateway.llm_engine.hooks import masked
from paddock.gateway.llm_engine.translate import DETAILS, asked_before
from paddock.schemas.hardware import HardwareType
from paddock.schemas.own import Deployment, DeploymentStatus

JSON = dict[str, Any]

_STATUS: dict[DeploymentStatus, str] = {
    "pending": "UPDATE_PENDING",
    "starting": "UPDATE_IN_PROGRESS",
    "ready": "READY",
    "asleep": "READY",
    "stopped": "READY",
    "failed": "UPDATE_FAILED",
    "deleting": "DELETE_IN_PROGRESS",
}
# These have places of their own, or are secret.
_NOT_REPEATED = frozenset(
    {
        "default_callback_auth",
        "default_callback_url",
        "inference_framework",
        "inference_framework_image_tag",
        "metadata",
        "model_name",
        "post_inference_hooks",
        "public_inference",
        "source",
    }
)


def endpoint(
    deployment: Deployment,
    types: Mapping[str, HardwareType],
    queued: int,
    *,
    own: bool = True,
    manages: bool = True,
) -> JSON:
    """The reference's `GetLLMEndpointResponse`.

    Args:
        types: the offered hardware types.
        queued: requests that wait for one of its workers.
        own: whether it is of the project that looks; another one sees what it is, not what is its owner's.
        manages: whether who looks may change it, and so see where its answers go.
    """
    asked = asked_before(deployment)
    hooks = asked if own and manages else {}
    status = _STATUS[deployment.status]
    return {
        "id": deployment.id,
        "name": deployment.name,
        "model_name": _model_name(deployment, asked),
        "source": asked.get("source", "hugging_face"),
        "status": status,
        "inference_framework": asked.get("inference_framework", "vllm"),
        "inference_framework_tag": asked.get("inference_framework_image_tag"),
        "num_shards": asked.get("num_shards", 1),
        # The type of the weights stands in the metadata: the client knows no names for what is possible here.
        "quantize": None,
        "spec": {
            "id": deployment.id,
            "name": deployment.name,
            "endpoint_type": "streaming",
            "destination": f"{deployment.engine}/{deployment.id}",
            "deployment_name": deployment.id,
            "metadata": _metadata(deployment, asked if own else None),
            "bundle_name": f"{deployment.engine}/{deployment.model}/{deployment.generation}",
            "status": status,
            "post_inference_hooks": hooks.get("post_inference_hooks"),
            "default_callback_url": hooks.get("default_callback_url"),
            "default_callback_auth": masked(hooks.get("default_callback_auth")),
            "labels": deployment.labels if own else {},
            "aws_role": None,
            "results_s3_bucket": None,
            "created_by": deployment.project,
            "created_at": _time(deployment.created_at),
            "last_updated_at": _time(deployment.updated_at),
            "deployment_state": _deployment_state(deployment),
            "resource_state": _resource_state(deployment, asked, types),
            "num_queued_items": queued if own else None,
            "public_inference": asked.get("public_inference", True),
        },
        "chat_template_override": None,
    }


def task_id(deployment: Deployment) -> str:
    """What answers to changes call the change."""
    return f"{deployment.id}-{deployment.generation}"


def _model_name(deployment: Deployment, asked: Mapping[str, Any]) -> str:
    """As it was asked for, unless another dialect has put another model there since; of a fine-tuned model
    its base.
    """
    source = asked.get("checkpoint_path", asked.get("model_name", ""))
    known = (deployment.model, deployment.source)
    if source in known or _last(source) in map(_last, known):
        return str(asked["model_name"])
    return deployment.parent or deployment.model


def _metadata(deployment: Deployment, asked: Mapping[str, Any] | None) -> JSON:
    """
    Args:
        asked: None leaves out what is its owner's.
    """
    found: JSON = {
        **((asked or {}).get("metadata") or {}),
        "engine": deployment.engine,
        "model": deployment.model,
        "hardware_type": deployment.hardware_type,
        "context_length": deployment.context_length,
        "weights_type": deployment.options.get("weights_type", "auto"),
    }
    if asked is None:
        return found
    if deployment.reason:
        found["reason"] = deployment.reason
    if deployment.log:
        found["log"] = deployment.log
    kept = {name: value for name, value in asked.items() if name not in _NOT_REPEATED}
    return {**found, "asked": kept} if kept else found


def _deployment_state(deployment: Deployment) -> JSON:
    stopped = deployment.status == "stopped"
    available = deployment.available_workers
    alive = sum(one.state != "draining" for one in deployment.replicas)
    return {
        "min_workers": 0 if stopped else deployment.min_workers,
        "max_workers": 0 if stopped else deployment.max_workers,
        "per_worker": deployment.per_worker,
        "concurrent_requests_per_worker": deployment.per_worker,
        "available_workers": available,
        "unavailable_workers": max(0, alive - available),
    }


def _resource_state(
    deployment: Deployment, asked: Mapping[str, Any], types: Mapping[str, HardwareType]
) -> JSON:
    still = deployment.details.get(DETAILS, {}).get("hardware_type") == deployment.hardware_type
    return resource_state(types.get(deployment.hardware_type), asked if still else {})


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def _last(name: str) -> str:
    return name.rstrip("/").rpartition("/")[2]
