"""The whole gateway, which wants keys, over a store with two projects that have one of everything."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from paddock.gateway.app import App, Mount, Route
from paddock.gateway.sync import Sync
from paddock.inference.routing import Directory
from paddock.main.front import build_gateway
from paddock.schemas.hardware import Node, NodeHardware
from paddock.services import keys
from paddock.services.hardware import HardwareConfig
from paddock.services.keys import Key, NewKey
from paddock.services.models import Catalogue
from paddock.services.platform import Platform, write_nodes
from paddock.settings import Settings
from paddock.store.blobs import open_blobs
from tests.sqlite import ledger_in, store_in

NODE = Node("here", NodeHardware(cores=8, memory=8 * 2**30))
CHAT = "/v1/chat/completions"
EXAMPLE = {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}


@dataclass
class TwoProjects:
    """What a test drives and reads.

    Attributes:
        things: what `farm` has, by the names that routes give to their ids.
    """

    app: App
    client: httpx2.AsyncClient
    platform: Platform
    things: dict[str, list[str]] = field(default_factory=dict)

    def routes(self) -> list[tuple[Mount, Route]]:
        return [(mount, route) for mount in self.app.mounts for route in mount.routes]

    async def key(self, project: str, *scopes: str, **more: Any) -> tuple[Key, str]:
        """A new key and its secret, good at once."""
        identity, secret, now = keys.new_id(), keys.new_secret(), time.time()
        asked = NewKey(f"Of {project}", scopes or None, **more)
        made = await self.platform.change(
            lambda session: keys.create(session, identity, secret, project, asked, now)
        )
        return made, secret

    async def ask(
        self, secret: str, method: str, path: str, body: Any = None, **more: Any
    ) -> httpx2.Response:
        return await self.client.request(
            method, path, json=body, headers={"authorization": f"Bearer {secret}"}, **more
        )

    async def make(self, secret: str, name: str) -> None:
        """One of everything, in the project of the key."""

        async def made(method: str, path: str, body: Any = None, **more: Any) -> Any:
            response = await self.ask(secret, method, path, body, **more)
            assert response.status_code < 300, (path, response.text)
            return response.json()

        async def stored(rows: Sequence[Any], purpose: str) -> str:
            content = "\n".join(json.dumps(row) for row in rows).encode()
            form = {"files": {"file": ("in.jsonl", content)}, "data": {"purpose": purpose}}
            return str((await made("POST", "/v1/files", **form))["id"])

        row = {
            "custom_id": "1",
            "method": "POST",
            "url": CHAT,
            "body": {"model": name, "messages": [{"role": "user", "content": "hi"}]},
        }
        prompts = {"prompts": ["hi"], "max_new_tokens": 1, "temperature": 0}
        own = await made("POST", "/api/v1/deployments", {"model": "foal", "name": name, "min_workers": 0})
        started = await made("POST", "/cortecs/api/v1/instances/start", {"model_id": "paddock--foal"})
        file, data = await stored([row], "batch"), await stored([EXAMPLE] * 4, "fine-tune")
        batch = {"input_file_id": file, "endpoint": CHAT, "completion_window": "24h"}
        tune = {"model": "paddock/foal", "training_file": data}
        other = {"model_config": {"model": name, "labels": {}}, "content": prompts, "output_data_path": "out"}
        hook = {"url": "http://127.0.0.1:1/hook", "events": ["batch.*"]}
        jobs = [
            (await made("POST", "/v1/batches", batch))["id"],
            (await made("POST", "/v1/fine_tuning/jobs", tune))["id"],
            (await made("POST", "/llm-engine/v2/batch-completions", other))["job_id"],
        ]
        instance = started["instance"]["instance_id"]
        deployments = [name, own["id"], instance]
        self.things = {
            "name": deployments,
            "model": deployments,
            "model_id": deployments,
            "instance": deployments,
            "instance_id": deployments,
            "file": [file, data],
            "batch": jobs,
            "job": jobs,
            "webhook": [(await made("POST", "/api/v1/webhooks", hook))["id"]],
            "delivery": ["12345"],
            "adapter": ["adapter-0"],
        }


@contextlib.asynccontextmanager
async def serving_two(folder: Path) -> AsyncIterator[TwoProjects]:
    """The gateway while the block lasts; no controller runs, so no engine starts."""
    store = store_in(folder)
    settings = Settings(data_dir=folder, access_log=False, require_keys=True, allow_private_urls=True)
    platform = Platform(
        store,
        settings,
        Catalogue(folder),
        HardwareConfig(),
        open_blobs(settings),
        allowed=(),
        ledger=ledger_in(folder),
    )
    await store.change(lambda session: write_nodes(session, [NODE], time.time()))
    directory = Directory([])
    app, http = build_gateway(settings, directory, platform, "gateway")
    await app.keyring.ready()
    sync = Sync(platform, directory, "gateway", 1, app.keyring)
    await sync.catch_up()
    port = await http.listen("127.0.0.1", 0)
    try:
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
            yield TwoProjects(app, client, platform)
    finally:
        await http.close()
        if app.accounts is not None:
            await app.accounts.close()
        await sync.close()
        platform.close()
        await asyncio.sleep(0.01)
