"""Which hardware types are offered, and which of them suits a model."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Iterable, Sequence

from paddock.schemas.hardware import Gpu, HardwareType, Node, NodeHardware
from paddock.services.hardware.config import HardwareConfig, TypeConfig

# A core's share of a machine with many cores and little memory would hold no model at all.
LEAST_MEMORY = 1024**3
# Words that say how a GPU is built in or sold, not which one it is.
_DECORATION = re.compile(r"TESLA|GEFORCE|GENERATION|GPU|PCIE|SXM\d*")


def hardware_types(nodes: Sequence[Node], config: HardwareConfig) -> dict[str, HardwareType]:
    """The offered types by id: CPU types first, and from small to large.

    Of each node: `CPU_<n>` for 1, 2, 4 … and all of its cores, `NVIDIA_<NAME>_<n>` for 1, 2, 4 … and all of
    its GPUs of one kind. A type takes its share of the memory that may be promised, by cores or by GPUs, of
    the node where that is most; of the cores beside a GPU, where that is least, so that every node with
    enough such GPUs will do. The configuration changes, adds and hides types. One that leaves its cores or
    memory to be detected is missing while no node could hold it.
    """
    wanted = _detected(nodes)
    for id, told in config.types.items():
        wanted[id] = _override(wanted.get(id, TypeConfig()), told)
    made = (_make(id, wish, nodes, config) for id, wish in wanted.items() if wish.offer is not False)
    return {type.id: type for type in sorted(filter(None, made), key=_size)}


def recommend(
    types: Iterable[HardwareType], *, memory: int, threads: int, use_gpus: bool = False
) -> str | None:
    """The id of the smallest type on which a model runs well; None if it is too large for all of them.

    Where no type has so many cores, the one with the most will do. CPU types come first; with `use_gpus`, for
    engines that run on GPUs, those do, and are measured by the memory of their GPUs.

    Args:
        memory: bytes that the model needs.
        threads: threads with which its engine would run.
    """
    offered = list(types)
    for with_gpus in (use_gpus, not use_gpus):
        on_gpu = with_gpus and use_gpus
        fitting = [
            type
            for type in offered
            if bool(type.gpus) == with_gpus
            and memory <= (type.gpus * type.gpu_memory if on_gpu else type.memory)
        ]
        if fitting:
            cores = 0 if on_gpu else min(threads, max(type.cores for type in fitting))
            return min((type for type in fitting if type.cores >= cores), key=_size).id
    return None


@functools.cache
def gpu_kind(name: str) -> str:
    """The normal form of a GPU's name: `NVIDIA_A100_80GB` for `NVIDIA A100-SXM4-80GB` or `A100 80GB PCIe`.

    It is its own normal form, too.
    """
    words = [word for word in re.findall("[A-Z0-9]+", name.upper()) if word != "NVIDIA"]
    told = [word for word in words if not _DECORATION.fullmatch(word)]
    return "_".join(["NVIDIA", *(told or words)])


def gpus_of(hardware: NodeHardware, name: str | None) -> list[Gpu]:
    """The node's GPUs of the kind `name`, in any spelling; all are of no kind for None."""
    return [gpu for gpu in hardware.gpus if name and gpu_kind(gpu.name) == gpu_kind(name)]


def _detected(nodes: Sequence[Node]) -> dict[str, TypeConfig]:
    found: dict[str, TypeConfig] = {}
    for hardware in (node.hardware for node in nodes):
        for cores in _sizes(hardware.cores):
            found[f"CPU_{cores}"] = TypeConfig(cores=cores)
        for name in {gpu_kind(gpu.name): gpu.name for gpu in hardware.gpus}.values():
            for gpus in _sizes(len(gpus_of(hardware, name))):
                found.setdefault(f"{gpu_kind(name)}_{gpus}", TypeConfig(gpu=name, gpus=gpus))
    return found


def _sizes(count: int) -> list[int]:
    powers = [1 << bit for bit in range(count.bit_length())]
    return powers if powers[-1] == count else [*powers, count]


def _override(detected: TypeConfig, told: TypeConfig) -> TypeConfig:
    said = {name: value for name, value in vars(told).items() if value is not None}
    return dataclasses.replace(detected, **said)


def _make(id: str, wish: TypeConfig, nodes: Sequence[Node], config: HardwareConfig) -> HardwareType | None:
    gpus = (wish.gpus or 1) if wish.gpu else 0
    hosts = [
        node.hardware
        for node in nodes
        if node.hardware.cores >= (wish.cores or 1) and len(gpus_of(node.hardware, wish.gpu)) >= gpus
    ]
    if not (wish.cores or gpus) or not (hosts or (wish.cores and wish.memory)):
        return None
    cores = wish.cores or min(_by_gpus(host.cores, gpus, host) for host in hosts)
    found = [gpu for node in nodes for gpu in gpus_of(node.hardware, wish.gpu)]
    return HardwareType(
        id=id,
        cores=cores,
        memory=wish.memory or max(_share_of_memory(host, cores, gpus, config) for host in hosts),
        gpu=min((gpu.name for gpu in found), default=wish.gpu),
        gpus=gpus,
        gpu_memory=min((gpu.memory for gpu in found), default=0),
        price_per_hour=float(wish.price_per_hour or 0),
        currency=config.currency,
    )


def _share_of_memory(host: NodeHardware, cores: int, gpus: int, config: HardwareConfig) -> int:
    promised = config.promised_memory(host)
    share = _by_gpus(promised, gpus, host) if gpus else promised * cores // host.cores
    return max(share, min(promised, LEAST_MEMORY))


def _by_gpus(amount: int, gpus: int, host: NodeHardware) -> int:
    return max(1, amount * gpus // len(host.gpus))


def _size(type: HardwareType) -> tuple[int, int, int, int, str]:
    return type.gpus * type.gpu_memory, type.gpus, type.cores, type.memory, type.id
