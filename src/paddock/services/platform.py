"""What the product's verbs work on: the store, the known models, the hardware's prices, the settings."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from paddock.errors import StoreFailed
from paddock.schemas.hardware import Gpu, HardwareType, Node, NodeHardware
from paddock.services.hardware import HardwareConfig, hardware_types
from paddock.services.models import Catalogue
from paddock.services.prices import Prices
from paddock.settings import Settings
from paddock.store.blobs import Blobs
from paddock.store.ledger import Ledger
from paddock.store.sessions import ChangeSession, Store
from paddock.store.tables import NodeRow

Result = TypeVar("Result")


@dataclass(frozen=True)
class Platform:
    """
    Attributes:
        blobs: the bytes of files and of jobs.
        allowed: folders under which a path may name a model; None allows every path.
        reserved: names of models that are served without a deployment.
        ledger: what requests and instances used; not opened before it is needed.
        prices: of tokens.
        followers: waited for after each change, so that who made it finds it in force in this process.
    """

    store: Store
    settings: Settings
    catalogue: Catalogue
    hardware: HardwareConfig
    blobs: Blobs
    allowed: tuple[Path, ...] | None = None
    reserved: frozenset[str] = frozenset()
    followers: list[Callable[[], Awaitable[None]]] = field(default_factory=list)
    ledger: Ledger = field(kw_only=True)
    prices: Prices = field(kw_only=True, default_factory=Prices)

    @property
    def mark(self) -> str:
        """Tells this store's blobs from those of another one in the same place."""
        return hashlib.sha256(str(self.store).encode()).hexdigest()[:12]

    def close(self) -> None:
        self.store.close()
        self.ledger.close()

    async def change(self, work: Callable[[ChangeSession], Result]) -> Result:
        """As `Store.change`; returns once this process's gateway follows it."""
        result = await self.store.change(work)
        for follow in self.followers:
            # It stands, whether it can be read again at this moment or not.
            with contextlib.suppress(StoreFailed):
                await follow()
        return result

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
    return await asyncio.to_thread(work)


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
