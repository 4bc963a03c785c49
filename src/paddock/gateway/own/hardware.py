"""What replicas can be placed on, in Paddock's own API: what is offered, what there is, and what is held."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import orjson

from paddock.gateway.app import Route
from paddock.gateway.http import Request, Response
from paddock.schemas.hardware import HardwareType, Node, Placement
from paddock.services.hardware import HardwareConfig, available, hardware_types
from paddock.services.live_replicas import live_replicas
from paddock.services.platform import Platform, nodes
from paddock.services.replicas import placements
from paddock.services.snapshots import leases
from paddock.store.sessions import ReadSession

JSON = dict[str, Any]


def routes(platform: Platform) -> list[Route]:
    async def hardware(request: Request) -> Response:
        config = platform.hardware
        known, placed, held = await platform.store.read(lambda session: _look(session, request.project))
        types = hardware_types(known, config)
        free = {one.id for one in available(types.values(), known, placed, config)}
        body = {
            "currency": config.currency,
            "types": [_type(one, one.id in free) for one in types.values()],
            "nodes": [_node(one, placed, config) for one in known],
            "held": held,
        }
        return Response(orjson.dumps(body))

    return [Route("GET", "/hardware", hardware, "Hardware types with prices, nodes, and what is held.")]


def _look(session: ReadSession, project: str) -> tuple[list[Node], list[Placement], list[JSON]]:
    names = {one.replica.id: one.deployment for one in live_replicas(session, project)}
    held = [
        {**lease, "deployment": names[lease["replica"]]}
        for lease in leases(session)
        if lease["replica"] in names
    ]
    return nodes(session), list(placements(session).values()), held


def _type(type: HardwareType, free: bool) -> JSON:
    return {**asdict(type), "price_per_minute": type.price_per_minute, "available": free}


def _node(node: Node, placed: Sequence[Placement], config: HardwareConfig) -> JSON:
    here = [placement for placement in placed if placement.node == node.name]
    return {
        "name": node.name,
        **asdict(node.hardware),
        "promised": {
            "cores": config.promised_cores(node.hardware),
            "memory": config.promised_memory(node.hardware),
        },
        "held": {
            "cores": sum(placement.cores for placement in here),
            "memory": sum(placement.memory for placement in here),
            "gpus": sorted(index for placement in here for index in placement.gpus),
        },
    }
