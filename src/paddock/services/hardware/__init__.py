"""Hardware as a product: what is offered, at which price, and where a replica fits. All of it is pure."""

from paddock.services.hardware.config import HardwareConfig, TypeConfig, parse_config
from paddock.services.hardware.placement import available, claim, fit, never_fits
from paddock.services.hardware.types import gpu_kind, hardware_types, recommend

__all__ = [
    "HardwareConfig",
    "TypeConfig",
    "available",
    "claim",
    "fit",
    "gpu_kind",
    "hardware_types",
    "never_fits",
    "parse_config",
    "recommend",
]
