"""The LLM Engine dialect over a real store and stub engines, with a hand that plays the controller's part."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from paddock.gateway.app import App
from paddock.gateway.llm_engine.errors import ENDING
from paddock.gateway.llm_engine.routes import mount
from paddock.gateway.metrics import Metrics
from paddock.gateway.openai.routes import completion_routes
from paddock.gateway.server import HttpServer
from paddock.inference.routing import Deployment, Directory
from paddock.schemas.hardware import Node, NodeHardware
from paddock.services.deployments import LOCAL, find
from paddock.services.hardware import HardwareConfig
from paddock.services.models import Catalogue
from paddock.services.platform import Platform, write_nodes
from paddock.settings import Settings
from paddock.store.blobs import open_blobs
from paddock.store.tables import DeploymentRow
from tests.sqlite import ledger_in, store_in

NODE = Node("here", NodeHardware(cores=4, memory=8 * 2**30))
ENDPOINTS = "/v1/llm/model-endpoints"
PONY = {
    "name": "pony",
    "model_name": "foal",
    "min_workers": 0,
    "max_workers": 1,
    "per_worker": 2,
    "metadata": {},
    "labels": {},
}
SAY = {"prompt": "hi", "max_new_tokens": 16, "temperature": 0.5}


@dataclass
class LLMEngine:
    """What a test drives and reads."""

    app: App
    client: httpx2.AsyncClient
    platform: Platform
    port: int

    async def ask(self, method: str, path: str, body: Any = None, status: int = 200) -> Any:
        """The JSON of an answer that has this status."""
        response = await self.client.request(method, f"/llm-engine{path}", json=body)
        assert response.status_code == status, response.text
        return response.json()

    async def detail(self, method: str, path: str, body: Any = None, status: int = 400) -> str:
        """What an error answer says, which is all that there is in it."""
        answer = await self.ask(method, path, body, status)
        assert set(answer) == {"detail"}
        return str(answer["detail"])

    async def create(self, **more: Any) -> dict[str, Any]:
        answer: dict[str, Any] = await self.ask("POST", ENDPOINTS, {**PONY, **more})
        return answer

    async def get(self, name: str = "pony") -> dict[str, Any]:
        answer: dict[str, Any] = await self.ask("GET", f"{ENDPOINTS}/{name}")
        return answer

    async def put(self, name: str = "pony", **changes: Any) -> dict[str, Any]:
        await self.ask("PUT", f"{ENDPOINTS}/{name}", changes)
        return await self.get(name)

    async def say(self, model: str = "foal", **more: Any) -> dict[str, Any]:
        """The output of a completion."""
        path = f"/v1/llm/completions-sync?model_endpoint_name={model}"
        answer = await self.ask("POST", path, {**SAY, **more})
        assert len(answer.pop("request_id")) == 32
        output: dict[str, Any] = answer.pop("output")
        assert not answer
        return output

    async def events(self, model: str = "foal", **more: Any) -> list[dict[str, Any]]:
        """The events of a streamed completion."""
        path = f"/llm-engine/v1/llm/completions-stream?model_endpoint_name={model}"
        return parse_events(await self.client.post(path, json={**SAY, **more}))

    async def change(self, name: str, work: Callable[[DeploymentRow], None]) -> None:
        """Writes to a deployment's row what the controller would."""
        await self.platform.store.change(lambda session: work(find(session, LOCAL, name)))


@contextlib.asynccontextmanager
async def serving_llm_engine(folder: Path, *served: Deployment) -> AsyncIterator[LLMEngine]:
    """The dialect over an empty store in `folder` and these served models, while the block lasts."""
    store = store_in(folder)
    settings = Settings(data_dir=folder, access_log=False)
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
    routes = Directory(served)
    dialect = mount(routes, platform, completion_routes(routes, ending=ENDING), lambda: app.refusal)
    app = App([dialect], Metrics(routes.all), None)
    http = HttpServer(app, app.refuse, settings.max_body, app.receives)
    port = await http.listen("127.0.0.1", 0)
    try:
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
            yield LLMEngine(app, client, platform, port)
    finally:
        await http.close()
        for deployment in served:
            for replica in deployment.replicas:
                replica.upstream.close()
        platform.close()


def parse_events(response: httpx2.Response) -> list[dict[str, Any]]:
    """The events of a stream, read as the published client reads them: each line of data is JSON."""
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "text/event-stream"
    blocks = response.text.split("\n\n")
    assert blocks.pop() == ""
    return [json.loads(block.removeprefix("data: ")) for block in blocks]
