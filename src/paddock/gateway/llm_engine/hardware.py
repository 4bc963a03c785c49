"""Which hardware type an endpoint's asked cores, memory and GPUs mean; pure."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from paddock.errors import InvalidRequest
from paddock.schemas.hardware import HardwareType
from paddock.schemas.llm_engine import GpuType
from paddock.services.hardware import gpu_kind

JSON = dict[str, Any]
RESOURCES = ("cpus", "memory", "gpus", "gpu_type")
_UNITS = {"": 1.0, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18}
_UNITS |= {f"{letter}i": float(2 ** (10 * power)) for power, letter in enumerate("KMGTPE", start=1)}
_QUANTITY = re.compile(r"(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?([a-zA-Z]{0,2})")
_MOST = 1e30

# What a driver calls the GPUs of each type, by the words of `gpu_kind`.
_GPU_NAMES = {
    GpuType.NVIDIA_TESLA_T4: ("T4",),
    GpuType.NVIDIA_AMPERE_A10: ("A10", "A10G"),
    GpuType.NVIDIA_AMPERE_A100E: ("A100",),
    GpuType.NVIDIA_AMPERE_A100: ("A100",),
    GpuType.NVIDIA_HOPPER_H100: ("H100",),
}
_A100E_MEMORY = 60 * 2**30
"""The A100 with 80 GB has a name of its own here; the other has 40."""


@dataclass(frozen=True)
class Resources:
    """What each worker shall have at least. `gpus` is None if that was left open."""

    cpus: float = 0
    memory: float = 0
    gpus: int | None = None
    gpu_type: GpuType | None = None


def read_resources(asked: Mapping[str, Any], num_shards: int) -> Resources:
    """
    Args:
        asked: `cpus`, `memory`, `gpus` and `gpu_type`, those that were given.
        num_shards: how many GPUs the model is spread over; 1 does not ask for any.

    Raises:
        InvalidRequest: a value is none of its kind, or there are fewer GPUs than shards.
    """
    kind = asked.get("gpu_type")
    gpus = asked.get("gpus")
    if gpus is None and (kind or num_shards > 1):
        gpus = num_shards
    if num_shards > 1 and (gpus or 0) < num_shards:
        raise InvalidRequest(
            f"num_shards must be at most gpus: {num_shards} shards need as many GPUs, not {gpus}",
            param="num_shards",
        )
    return Resources(
        cpus=read_quantity(asked["cpus"], "cpus", 'cores, such as 2 or "500m"') if "cpus" in asked else 0,
        memory=read_bytes(asked["memory"], "memory") if "memory" in asked else 0,
        gpus=gpus,
        gpu_type=GpuType(kind) if kind else None,
    )


def read_bytes(value: Any, param: str) -> float:
    """
    Raises:
        InvalidRequest: it is no amount of memory.
    """
    return read_quantity(value, param, 'bytes, or text such as "24Gi" or "512Mi"')


def read_quantity(value: Any, param: str, right: str) -> float:
    """A quantity as Kubernetes writes it: a number, or text with a unit.

    Raises:
        InvalidRequest: it is none, or not above 0; `right` says what would be.
    """
    found: float | None = None
    if isinstance(value, str):
        match = _QUANTITY.fullmatch(value.strip())
        if match and match[3] in _UNITS:
            found = float(match[1] + (match[2] or "")) * _UNITS[match[3]]
    elif isinstance(value, int | float) and not isinstance(value, bool):
        found = float(value) if abs(value) < _MOST else None
    if found is None or not 0 < found < _MOST:
        raise InvalidRequest(f"{param} must be {right}, not {str(value)[:60]!r}", param=param)
    return found


def choose(asked: Resources, types: Mapping[str, HardwareType]) -> str | None:
    """The smallest type that has it all; None if nothing was asked for.

    Raises:
        InvalidRequest: no type has; says what there is.
    """
    if asked == Resources():
        return None
    for type in types.values():
        if _satisfies(type, asked):
            return type.id
    each = {
        "gpus": Resources(gpus=asked.gpus, gpu_type=asked.gpu_type),
        "memory": Resources(memory=asked.memory),
        "cpus": Resources(cpus=asked.cpus),
    }
    wrong = [name for name, one in each.items() if not any(_satisfies(type, one) for type in types.values())]
    raise InvalidRequest(
        f"no hardware here has {_described(asked)}; there is: {_offered(types.values())}",
        param=wrong[0] if wrong else "memory" if asked.memory else "cpus",
        code="does_not_fit",
    )


def resource_state(type: HardwareType | None, asked: Mapping[str, Any]) -> JSON:
    """The reference's `ModelEndpointResourceState`.

    Args:
        type: what its workers have; None if that is not offered any more.
        asked: what the endpoint's owner asked for, in his own words, where that is still what it has.
    """
    return {
        "cpus": asked.get("cpus") or (type.cores if type else 0),
        "gpus": type.gpus if type else 0,
        "memory": asked.get("memory") or (f"{type.memory // 2**20}Mi" if type else 0),
        "gpu_type": _gpu_type(type) if type and type.gpus else None,
        "storage": asked.get("storage"),
        "nodes_per_worker": 1,
        "optimize_costs": asked.get("optimize_costs"),
    }


def _satisfies(type: HardwareType, asked: Resources) -> bool:
    return (
        type.cores >= asked.cpus
        and type.memory >= asked.memory
        and (asked.gpus is None or (type.gpus >= asked.gpus if asked.gpus else not type.gpus))
        and (not asked.gpus or asked.gpu_type is None or _is_a(type, asked.gpu_type))
    )


def _is_a(type: HardwareType, kind: GpuType) -> bool:
    words = gpu_kind(type.gpu or "").split("_")
    if not any(name in words for name in _GPU_NAMES.get(kind, ())) or "MIG" in words:
        return False
    return kind is not GpuType.NVIDIA_AMPERE_A100E or type.gpu_memory >= _A100E_MEMORY


def _gpu_type(type: HardwareType) -> str | None:
    return next((kind.value for kind in _GPU_NAMES if _is_a(type, kind)), None)


def _described(asked: Resources) -> str:
    parts = []
    if asked.gpus is not None:
        of = f" of gpu_type {asked.gpu_type.value}" if asked.gpu_type and asked.gpus else ""
        parts.append(f"gpus {asked.gpus}{of}")
    if asked.cpus:
        parts.append(f"cpus {asked.cpus:g}")
    if asked.memory:
        parts.append(f"memory {_gib(asked.memory, math.ceil)}")
    return ", ".join(parts)


def _offered(types: Iterable[HardwareType]) -> str:
    listed = []
    for type in types:
        gpus = f", gpus {type.gpus} ({type.gpu})" if type.gpus else ""
        listed.append(f"{type.id} with cpus {type.cores}, memory {_gib(type.memory, math.floor)}{gpus}")
    return "; ".join(listed) or "nothing"


def _gib(size: float, rounded: Callable[[float], int]) -> str:
    return f"{rounded(size * 10 / 2**30) / 10:g}Gi"
