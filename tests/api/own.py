"""Paddock's own API over a real store, with a hand that plays the controller's part."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
from sqlalchemy import select

from paddock.gateway.app import App
from paddock.gateway.metrics import Metrics
from paddock.gateway.own import api
from paddock.gateway.server import HttpServer
from paddock.schemas.hardware import Node, NodeHardware, Placement
from paddock.services import events, replicas
from paddock.services.deployments import LOCAL, find
from paddock.services.hardware import HardwareConfig, TypeConfig
from paddock.services.models import Catalogue
from paddock.services.platform import Platform, write_nodes
from paddock.settings import Settings
from paddock.store.blobs import open_blobs
from paddock.store.tables import ReplicaRow
from tests.sqlite import ledger_in, store_in

NODE = Node("here", NodeHardware(cores=4, memory=8 * 2**30))
PRICES = HardwareConfig(currency="USD", types={"CPU_2": TypeConfig(price_per_hour=0.6)})


@dataclass
class OwnApi:
    """What a test drives and reads."""

    app: App
    http: HttpServer
    port: int
    client: httpx2.AsyncClient
    platform: Platform

    async def ask(self, method: str, path: str, body: Any = None, status: int = 200) -> Any:
        """The JSON of an answer that has this status."""
        response = await self.client.request(method, f"/api/v1{path}", json=body)
        assert response.status_code == status, response.text
        return response.json()

    async def deploy(self, name: str, **more: Any) -> dict[str, Any]:
        deployment: dict[str, Any] = await self.ask(
            "POST", "/deployments", {"model": "foal", "name": name, **more}, 201
        )
        return deployment

    async def start_replica(self, name: str) -> str:
        """Puts a replica of the deployment on the node. Returns its id."""

        def work(session: Any) -> str:
            now = time.time()
            deployment = find(session, LOCAL, name)
            row = replicas.add(session, deployment, 1, now, now + 60)
            place = Placement(NODE.name, deployment.hardware_type, 2, 2**20)
            replicas.reserve(session, row, place, now, now + 60)
            return row.id

        return await self.platform.store.change(work)

    async def end_replica(self, name: str, replica_id: str) -> None:
        def work(session: Any) -> None:
            row = session.scalars(select(ReplicaRow).where(ReplicaRow.id == replica_id)).one()
            replicas.end(session, find(session, LOCAL, name), row, "stopped", "enough", time.time())

        await self.platform.store.change(work)

    async def forget(self, name: str) -> None:
        """What the controller does at last with a deployment that was to be deleted."""

        def work(session: Any) -> None:
            row = find(session, LOCAL, name)
            row.deleted_at = time.time()
            events.record(session, row, "deleted", "", time.time())

        await self.platform.store.change(work)

    async def write_log(self, name: str, *lines: str, replica: str = "rep-1") -> None:
        await self.platform.store.write(
            lambda session: events.add_lines(
                session, find(session, LOCAL, name).id, replica, lines, time.time()
            )
        )


@contextlib.asynccontextmanager
async def serving_own(folder: Path) -> AsyncIterator[OwnApi]:
    """The API over an empty store in `folder`, while the block lasts."""
    store = store_in(folder)
    settings = Settings(data_dir=folder, access_log=False)
    platform = Platform(
        store,
        settings,
        Catalogue(folder),
        PRICES,
        open_blobs(settings),
        allowed=(),
        ledger=ledger_in(folder),
    )
    await store.change(lambda session: write_nodes(session, [NODE], time.time()))
    mount = api.mount(platform, lambda: app.refusal is not None)
    app = App([mount], Metrics(lambda: ()), None)
    http = HttpServer(app, app.refuse, settings.max_body, app.receives)
    port = await http.listen("127.0.0.1", 0)
    try:
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
            yield OwnApi(app, http, port, client, platform)
    finally:
        await http.close()
        platform.close()


def parse_events(data: bytes) -> list[dict[str, Any]]:
    """The fields of whole events; `data` parsed. Comments are left out."""
    found = []
    for block in data.decode().split("\n\n"):
        lines = [line.split(": ", 1) for line in block.split("\n") if line and not line.startswith(":")]
        if lines:
            fields: dict[str, Any] = dict(lines)  # type: ignore[arg-type]  # each has two parts
            found.append({**fields, "data": json.loads(fields["data"])})
    return found
