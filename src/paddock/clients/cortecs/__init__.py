"""A client for servers that speak the Cortecs dialect, with the published `cortecs_py`'s API.

    from paddock.clients.cortecs import Cortecs

    cortecs = Cortecs(api_base_url="http://127.0.0.1:8800/cortecs/api/v1")
    instance = cortecs.ensure_instance("paddock/foal")
    print(instance.base_url)
    cortecs.stop(instance.instance_id)

`AsyncCortecs` is written by hand; `Cortecs` is generated from it by `tools/unasync.py`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from paddock.clients.cortecs import error
from paddock.clients.cortecs._sync.client import Cortecs
from paddock.schemas.cortecs import (
    HardwareConfig,
    HardwareType,
    InitProgress,
    Instance,
    InstanceArgs,
    InstanceStatus,
    Model,
    ModelPreview,
    PriceInfo,
    WorkerStatus,
)

if TYPE_CHECKING:
    from paddock.clients.cortecs._async.client import AsyncCortecs

__all__ = [
    "AsyncCortecs",
    "Cortecs",
    "HardwareConfig",
    "HardwareType",
    "InitProgress",
    "Instance",
    "InstanceArgs",
    "InstanceStatus",
    "Model",
    "ModelPreview",
    "PriceInfo",
    "WorkerStatus",
    "error",
]


def __getattr__(name: str) -> Any:
    # At its first use: asyncio costs more time to import than all the rest.
    if name != "AsyncCortecs":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = importlib.import_module(f"{__name__}._async.client").AsyncCortecs
    globals()[name] = value
    return value
