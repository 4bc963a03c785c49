"""Hardware: what a node has, what is offered of it, what a replica asks for and what it holds.

Plain dataclasses, for the sides that never import each other. Memory is in bytes everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Gpu:
    """A whole GPU. `index` is NVML's, which follows the PCI bus; `name` is the driver's, as it is."""

    index: int
    name: str
    memory: int


@dataclass(frozen=True)
class NodeHardware:
    """What the runner may use of one machine."""

    cores: int
    memory: int
    gpus: tuple[Gpu, ...] = ()


@dataclass(frozen=True)
class Node:
    """A machine by its name."""

    name: str
    hardware: NodeHardware


@dataclass(frozen=True)
class HardwareType:
    """What a replica may be placed on.

    Attributes:
        id: `CPU_2`, `NVIDIA_L4_1`.
        cores: what a replica holds of a node's cores, each of which may be promised several times.
        memory: main memory; the most that a replica may ask for.
        gpu: the GPU's name, as the driver or the operator spells it; None without GPUs.
        gpus: how many of them; a replica has them for itself.
        gpu_memory: memory of each; 0 while no node has such a GPU.
        price_per_hour: in `currency`; 0 until the operator names one.
    """

    id: str
    cores: int
    memory: int
    gpu: str | None = None
    gpus: int = 0
    gpu_memory: int = 0
    price_per_hour: float = 0.0
    currency: str = "EUR"

    @property
    def price_per_minute(self) -> float:
        return self.price_per_hour / 60


@dataclass(frozen=True)
class Claim:
    """What a replica asks for: a type, and the memory that its model really needs.

    Attributes:
        memory: main memory that the replica will hold; up to the type's.
        gpu_memory: memory needed on all its GPUs together. It is only compared with the type's: GPUs are
            never shared.
    """

    type: HardwareType
    memory: int
    gpu_memory: int = 0


@dataclass(frozen=True)
class Placement:
    """What a live replica holds. `hardware_type` is the type's id, `gpus` are indices on the node."""

    node: str
    hardware_type: str
    cores: int
    memory: int
    gpus: tuple[int, ...] = ()
