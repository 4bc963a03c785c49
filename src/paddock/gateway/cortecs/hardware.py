"""Hardware types as the dialect shows them."""

from __future__ import annotations

from paddock.schemas.cortecs import HardwareType
from paddock.schemas.hardware import HardwareType as Kind


def hardware_type(kind: Kind) -> HardwareType:
    """Memory is in bytes; `gpu`, `gpus` and `gpu_memory` are null, 0 and 0 for a type without GPUs."""
    return HardwareType(
        hardware_type_id=kind.id,
        price_info={
            "price_per_hour": kind.price_per_hour,
            "price_per_minute": kind.price_per_minute,
            "currency": kind.currency,
        },
        hardware_info={
            "cores": kind.cores,
            "memory": kind.memory,
            "gpu": kind.gpu,
            "gpus": kind.gpus,
            "gpu_memory": kind.gpu_memory,
        },
    )
