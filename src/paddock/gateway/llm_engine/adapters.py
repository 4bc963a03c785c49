"""Fine-tuned models as this dialect shows them: endpoints whose `model_name` is the base model."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from paddock.schemas.own import Deployment
from paddock.services.adapters import Adapter

JSON = dict[str, Any]


def base_of(adapter: Adapter, deployments: list[Deployment]) -> Deployment | None:
    """The deployment that serves it; of several the one that gateways ask too."""
    bases = [one for one in deployments if one.source == adapter.source]
    return min(bases, key=lambda one: (one.status == "stopped", not one.serving), default=None)


def endpoint(adapter: Adapter, base: Deployment | None, show: Callable[[Deployment], JSON]) -> JSON:
    """The reference's `GetLLMEndpointResponse` of a fine-tuned model.

    Args:
        show: how the deployment that serves it is shown.
    """
    if base is None:
        return {
            "id": adapter.id,
            "name": adapter.name,
            "model_name": adapter.model,
            "source": "hugging_face",
            "status": "UPDATE_FAILED",
            "inference_framework": "vllm",
            "spec": None,
        }
    shown = show(base)
    at = datetime.fromtimestamp(adapter.created_at, UTC).isoformat()
    details = {
        **shown["spec"]["metadata"],
        "fine_tune": adapter.job_id,
        "served_by": base.name,
        **{name: adapter.details[name] for name in ("recipe", "outcome") if name in adapter.details},
    }
    spec = {**shown["spec"], "id": adapter.id, "name": adapter.name, "metadata": details, "created_at": at}
    return {**shown, "id": adapter.id, "name": adapter.name, "model_name": adapter.model, "spec": spec}
