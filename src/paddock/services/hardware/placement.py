"""Where a replica fits. A replica has GPUs and memory for itself; cores are promised several times."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from paddock.schemas.hardware import Claim, HardwareType, Node, Placement
from paddock.services.hardware.config import HardwareConfig
from paddock.services.hardware.types import LEAST_MEMORY, gpu_kind, gpus_of

_UNITS = {"GiB": 1024**3, "MiB": 1024**2, "KiB": 1024, "bytes": 1}


def claim(type: HardwareType, memory: int) -> Claim:
    """What a replica that needs so much memory asks for: on a type with GPUs its model lies in theirs."""
    return Claim(type, min(type.memory, LEAST_MEMORY), memory) if type.gpus else Claim(type, memory)


def fit(
    claim: Claim, nodes: Sequence[Node], placements: Sequence[Placement], config: HardwareConfig
) -> Placement | str:
    """Where a replica fits beside what live replicas hold, or what is short, to be put after a name.

    "needs 3.1 GiB of memory; 1.2 GiB are free on node a". Of the nodes that will do it is the one that keeps
    the largest share of what it has free, counted by what is scarcest there. The order of the input does not
    matter.
    """
    return _excess(claim) or _choose(claim, _room(nodes, placements, config), "free")


def available(
    types: Iterable[HardwareType],
    nodes: Sequence[Node],
    placements: Sequence[Placement],
    config: HardwareConfig,
) -> list[HardwareType]:
    """The types whose GPUs and cores are free now on a node, together with memory for a small model (1 GiB).

    A type's whole memory is not asked for: a replica holds what its model needs, which may be far less.
    """
    room = _room(nodes, placements, config)
    claims = [Claim(type, min(type.memory, LEAST_MEMORY)) for type in types]
    return [claim.type for claim in claims if isinstance(_choose(claim, room, "free"), Placement)]


def never_fits(claim: Claim, nodes: Sequence[Node], config: HardwareConfig) -> str | None:
    """What is short even while nothing runs on these nodes, worded as by `fit`; None if it would fit."""
    found = _excess(claim) or _choose(claim, _room(nodes, (), config), "all there is")
    return found if isinstance(found, str) else None


@dataclass(frozen=True)
class _Room:
    """What a node has left. `cores` and `memory` are never below 0; `gpus` are indices of the free ones."""

    node: Node
    promised_cores: int
    promised_memory: int
    cores: int
    memory: int
    gpus: frozenset[int]


class _Shortage(NamedTuple):
    needed: str
    left: str
    share: float


def _room(nodes: Sequence[Node], placements: Sequence[Placement], config: HardwareConfig) -> list[_Room]:
    rooms = []
    for node in sorted(nodes, key=lambda node: node.name):
        held = [placement for placement in placements if placement.node == node.name]
        cores, memory = config.promised_cores(node.hardware), config.promised_memory(node.hardware)
        taken = {index for placement in held for index in placement.gpus}
        rooms.append(
            _Room(
                node=node,
                promised_cores=cores,
                promised_memory=memory,
                cores=max(0, cores - sum(placement.cores for placement in held)),
                memory=max(0, memory - sum(placement.memory for placement in held)),
                gpus=frozenset(gpu.index for gpu in node.hardware.gpus) - taken,
            )
        )
    return rooms


def _excess(claim: Claim) -> str | None:
    """What a replica of this type could have nowhere."""
    type = claim.type
    if claim.memory > type.memory:
        return f"needs {_at_least(claim.memory)} of memory; {type.id} has {_at_most(type.memory)}"
    if claim.gpu_memory > type.gpus * type.gpu_memory:
        needed, there = _at_least(claim.gpu_memory), _at_most(type.gpus * type.gpu_memory)
        return f"needs {needed} of GPU memory; {type.id} has {there}"
    return None


def _choose(claim: Claim, rooms: Sequence[_Room], word: str) -> Placement | str:
    if not rooms:
        return "has no node to run on"
    shortages = [_shortages(claim, room) for room in rooms]
    good = [room for room, short in zip(rooms, shortages, strict=True) if not short]
    if good:
        return _place(claim, max(good, key=lambda room: _freedom(claim, room)))
    # The node that comes nearest: short of the fewest things, and of those by the smallest share.
    nearest = min(range(len(rooms)), key=lambda at: sum(2 - short.share for short in shortages[at]))
    return _sentence(shortages[nearest], rooms[nearest], word, len(rooms))


def _shortages(claim: Claim, room: _Room) -> list[_Shortage]:
    type, found = claim.type, []
    gpus = len(_free_gpus(type, room))
    if gpus < type.gpus:
        needed = f"{_count(type.gpus, 'GPU')} of kind {gpu_kind(type.gpu or '')}"
        found.append(_Shortage(needed, _count(gpus, "such GPU"), gpus / type.gpus))
    if room.memory < claim.memory:
        share = room.memory / claim.memory
        found.append(_Shortage(f"{_at_least(claim.memory)} of memory", _at_most(room.memory), share))
    # However often its cores are promised, to one replica a node gives each of them once.
    cores = min(room.cores, room.node.hardware.cores)
    if cores < type.cores:
        found.append(_Shortage(_count(type.cores, "core"), _count(cores, "core"), cores / type.cores))
    return found


def _sentence(shortages: Sequence[_Shortage], room: _Room, word: str, nodes: int) -> str:
    needed = " and ".join(short.needed for short in shortages)
    left = " and ".join(short.left for short in shortages)
    verb = "is" if len(shortages) == 1 and left.startswith("1 ") else "are"
    nearest = f", the nearest of {nodes} nodes" if nodes > 1 else ""
    return f"needs {needed}; {left} {verb} {word} on node {room.node.name}{nearest}"


def _freedom(claim: Claim, room: _Room) -> tuple[float, float]:
    """How free a node would be with the replica on it: by what would be scarcest, then altogether."""
    type = claim.type
    shares = [
        (room.cores - type.cores) / room.promised_cores,
        (room.memory - claim.memory) / max(1, room.promised_memory),
    ]
    if type.gpus:
        free = len(_free_gpus(type, room)) - type.gpus
        shares.append(free / len(gpus_of(room.node.hardware, type.gpu)))
    return min(shares), sum(shares)


def _place(claim: Claim, room: _Room) -> Placement:
    type = claim.type
    gpus = tuple(_free_gpus(type, room)[: type.gpus])
    return Placement(room.node.name, type.id, type.cores, claim.memory, gpus)


def _free_gpus(type: HardwareType, room: _Room) -> list[int]:
    found = gpus_of(room.node.hardware, type.gpu)
    return sorted(gpu.index for gpu in found if gpu.index in room.gpus)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _at_least(size: int) -> str:
    return _written(size, math.ceil)


def _at_most(size: int) -> str:
    # The other way round than what is needed, so that the two never look alike.
    return _written(size, math.floor)


def _written(size: int, rounded: Callable[[float], int]) -> str:
    unit = next((unit for unit, bytes in _UNITS.items() if size >= bytes), "bytes")
    return f"{rounded(size * 10 / _UNITS[unit]) / 10:g} {unit}"
