"""What the product's verbs work on: the store, the known models, the hardware's prices, the settings."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from paddock.schemas.hardware import Gpu, HardwareType, Node, NodeHardware
from paddock.services.hardware import HardwareConfig, hardware_types
from paddock.services.models import Catalogue
from paddock.settings import Settings
from paddock.store.sessions import ChangeSession, Store
from paddock.store.tables import NodeRow

Result = TypeVar("Result")


@dataclass(frozen=True)
class Platform:
    """
    Attributes:
        allowed: folders under which a path may name a model; None allows every path.
        reserved: names of models that are served without a deployment.
    """

    store: Store
    settings: Settings
    catalogue: Catalogue
    hardware: HardwareConfig
    allowed: tuple[Path, ...] | None = None
    reserved: frozenset[str] = frozenset()

    async def types(self) -> dict[str, HardwareType]:
        """The hardware types that the nodes make possible."""
        return hardware_types(await self.store.read(nodes), self.hardware)


def nodes(session: Session) -> list[Node]:
    """The machines that replicas can be placed on."""
    return [
        Node(row.name, NodeHardware(row.cores, row.memory, tuple(Gpu(**gpu) for gpu in row.gpus)))
        for row in session.scalars(select(NodeRow).order_by(NodeRow.name))
    ]


async def in_thread(work: Callable[[], Result]) -> Result:
    """For work that reads files or asks the hub."""
    return await asyncio.get_running_loop().run_in_executor(None, work)


def write_nodes(session: ChangeSession, found: Sequence[Node], now: float) -> None:
    """The machines that there are now; others are forgotten."""
    session.execute(delete(NodeRow))
    session.add_all(
        NodeRow(
            name=node.name,
            cores=node.hardware.cores,
            memory=node.hardware.memory,
            gpus=[dataclasses.asdict(gpu) for gpu in node.hardware.gpus],
            seen_at=now,
        )
        for node in found
    )
