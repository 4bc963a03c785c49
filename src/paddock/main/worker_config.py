"""What a gateway process is told by the process that starts it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paddock.settings import Settings

CONFIG = "PADDOCK_GATEWAY_PROCESS"


@dataclass(frozen=True)
class WorkerConfig:
    """
    Attributes:
        listener: the descriptor of the socket to take connections from.
        tell: the descriptor to write to once it serves.
        folder: where all of them lay down what they have counted.
        names: deployments to wait for before that.
    """

    listener: int
    tell: int
    folder: str
    settings: Settings
    attached: tuple[str, ...]
    names: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        settings = {
            name: str(value) if isinstance(value, Path) else value
            for name, value in dataclasses.asdict(self.settings).items()
        }
        return {**dataclasses.asdict(self), "settings": settings}

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> WorkerConfig:
        paths = {spec.name for spec in dataclasses.fields(Settings) if str(spec.type).startswith("Path")}
        settings: dict[str, Any] = {
            name: Path(value) if name in paths and value is not None else value
            for name, value in raw["settings"].items()
        }
        return cls(
            raw["listener"],
            raw["tell"],
            raw["folder"],
            Settings(**settings),
            tuple(raw["attached"]),
            tuple(raw["names"]),
        )
