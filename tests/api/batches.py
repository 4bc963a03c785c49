"""OpenAI's batch routes over a real store, with a hand that plays the worker's part."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from paddock.gateway.app import App, Mount
from paddock.gateway.metrics import Metrics
from paddock.gateway.openai.batches import batch_routes
from paddock.gateway.openai.errors import error_body
from paddock.gateway.own import api as own_api
from paddock.gateway.server import HttpServer
from paddock.inference.routing import Deployment, Directory
from paddock.services import files, jobs
from paddock.services.deployments import LOCAL
from paddock.services.hardware import HardwareConfig
from paddock.services.models import Catalogue
from paddock.services.platform import Platform
from paddock.settings import Settings
from paddock.store.blobs import open_blobs
from tests.sqlite import ledger_in, store_in

CHAT = "/v1/chat/completions"


@dataclass
class BatchApi:
    """What a test drives and reads."""

    client: httpx2.AsyncClient
    platform: Platform
    routes: Directory

    async def ask(self, method: str, path: str, body: Any = None, status: int = 200) -> Any:
        """The JSON of an answer that has this status."""
        response = await self.client.request(method, path, json=body)
        assert response.status_code == status, response.text
        return response.json()

    async def upload(self, content: bytes, project: str = LOCAL) -> str:
        """The id of a new file."""

        async def pieces() -> AsyncIterator[bytes]:
            yield content

        received = await files.receive(self.platform, pieces())
        return (await files.keep(self.platform, project, received, "in.jsonl", "batch")).id

    async def create(self, content: bytes | None = None, status: int = 200, **more: Any) -> Any:
        """What the API says to a batch of this file."""
        identity = await self.upload(lines("foal") if content is None else content)
        body = {"input_file_id": identity, "endpoint": CHAT, "completion_window": "24h", **more}
        return await self.ask("POST", "/v1/batches", body, status)

    async def refusal(self, content: bytes | None = None, **more: Any) -> Any:
        error = (await self.create(content, 400, **more))["error"]
        assert error["type"] == "invalid_request_error"
        return error

    async def advance(self, identity: str, **changes: Any) -> None:
        """What a worker would write of the job."""

        def work(session: Any) -> None:
            row = jobs.find(session, LOCAL, identity)
            for name, value in changes.items():
                setattr(row, name, value)
            if changes.get("state") in ("completed", "failed", "cancelled", "expired"):
                row.finished_at = time.time()

        await self.platform.store.change(work)


@contextlib.asynccontextmanager
async def serving_batches(folder: Path, *deployments: Deployment) -> AsyncIterator[BatchApi]:
    """The routes over an empty store in `folder`, beside these deployments, while the block lasts."""
    store = store_in(folder)
    settings = Settings(data_dir=folder, access_log=False)
    catalogue = Catalogue(folder)
    platform = Platform(
        store,
        settings,
        catalogue,
        HardwareConfig(),
        open_blobs(settings),
        allowed=(),
        ledger=ledger_in(folder),
    )
    routes = Directory(deployments)
    mounts = [
        Mount("/v1", "OpenAI", error_body, batch_routes(platform, routes)),
        own_api.mount(platform, lambda: False),
    ]
    app = App(mounts, Metrics(lambda: ()), None)
    http = HttpServer(app, app.refuse, settings.max_body, app.receives)
    port = await http.listen("127.0.0.1", 0)
    try:
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
            yield BatchApi(client, platform, routes)
    finally:
        await http.close()
        platform.close()


def lines(model: str, count: int = 1, url: str = CHAT) -> bytes:
    """An input of so many requests."""
    rows = [
        {
            "custom_id": f"request-{number}",
            "method": "POST",
            "url": url,
            "body": {"model": model, "messages": [{"role": "user", "content": f"hi {number}"}]},
        }
        for number in range(count)
    ]
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)
