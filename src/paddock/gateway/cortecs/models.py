"""Models as the dialect shows them, with what may be chosen for an instance of each."""

from __future__ import annotations

from typing import Any

from paddock.schemas.cortecs import HardwareConfig, Model, ModelPreview, to_hf_name, to_model_id
from paddock.services.offers import Offer


def preview(offer: Offer) -> ModelPreview:
    """The model in a list: its hardware by ids."""
    return ModelPreview(**_info(offer), hardware_configs=list(offer.contexts))


def model(offer: Offer) -> Model:
    """The model by itself. The two published clients read the context under different names."""
    configs = {
        id: HardwareConfig(
            hardware_type_id=id,
            params={"--max-model-len": length, "max_context_length": length},
            requirements={"memory": offer.memory},
        )
        for id, length in offer.contexts.items()
    }
    return Model(**_info(offer), hardware_configs=configs, max_context_length=offer.own_context or None)


def named(model_id: str) -> str:
    """The model that an id means, as the catalogue finds it. Clients write a path as they do a name."""
    if model_id.startswith("--") and "/" not in model_id:
        return to_hf_name(model_id)
    return model_id


def _info(offer: Offer) -> dict[str, Any]:
    return {
        "model_id": to_model_id(offer.name),
        "hf_name": offer.name,
        "instant_provisioned": offer.here,
        "creator": {"name": offer.creator} if offer.creator else None,
        "description": offer.description or None,
        "screen_name": offer.screen_name or None,
        "size": offer.parameters or None,
        "recommended_config": offer.recommended,
    }
