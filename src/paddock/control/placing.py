"""Which waiting replicas fit on which hardware now, and what stands in the way of the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from paddock.schemas.hardware import HardwareType, Node, Placement
from paddock.services import replicas
from paddock.services.hardware import HardwareConfig, claim, fit, hardware_types
from paddock.store.tables import DeploymentRow, ReplicaRow


@dataclass(frozen=True)
class News:
    """What is new for a replica that waits.

    Attributes:
        place: where it fits; None if it does not.
        why: what is short, for a person.
        helps: whether it would fit if its own deployment's older replicas made room.
    """

    row: DeploymentRow
    replica: ReplicaRow
    place: Placement | None
    why: str = ""
    helps: bool = False


def news(
    session: Session,
    nodes: Sequence[Node],
    config: HardwareConfig,
    rows: Sequence[DeploymentRow],
    alive: Mapping[str, Sequence[ReplicaRow]],
) -> list[News]:
    """For each waiting replica of `rows` for which something has changed, the oldest first."""
    queued = [(row, one) for row in rows for one in alive[row.id] if one.state == "queued"]
    if not queued:
        return []
    types = hardware_types(nodes, config)
    held = replicas.placements(session)
    found = []
    for row, one in sorted(queued, key=lambda pair: (pair[1].created_at, pair[1].id)):
        place = _fit(row, types, nodes, list(held.values()), config)
        if isinstance(place, Placement):
            held[one.id] = place
            found.append(News(row, one, place))
            continue
        older = {old.id for old in alive[row.id] if old.generation < one.generation}
        without = [each for identity, each in held.items() if identity not in older]
        helps = bool(older) and isinstance(_fit(row, types, nodes, without, config), Placement)
        if (place, helps) != (one.description, bool(one.blocked)):
            found.append(News(row, one, None, place, helps))
    return found


def _fit(
    row: DeploymentRow,
    types: Mapping[str, HardwareType],
    nodes: Sequence[Node],
    held: Sequence[Placement],
    config: HardwareConfig,
) -> Placement | str:
    kind = types.get(row.hardware_type)
    if kind is None:
        return f"Hardware type {row.hardware_type} is not offered any more"
    place = fit(claim(kind, int(row.facts.get("memory") or 0)), nodes, held, config)
    return place if isinstance(place, Placement) else f"Waiting for hardware: it {place}"
