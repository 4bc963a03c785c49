"""A gateway over stub engines, listening on a free loopback port in the test's own event loop."""

from __future__ import annotations

import asyncio
import contextlib
import io
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import httpx2
from prometheus_client.parser import text_string_to_metric_families

from paddock.gateway.access_log import AccessLog
from paddock.gateway.app import App
from paddock.gateway.server import HttpServer
from paddock.inference.routing import Deployment, Directory, Replica
from paddock.inference.upstream import Upstream
from paddock.main.front import build_gateway
from paddock.settings import Settings

CHAT = {"model": "stub", "messages": [{"role": "user", "content": "hi"}]}
TEXT = {"model": "stub", "prompt": "hi"}
BOTH = ("/v1", "/inference/v1")


@dataclass
class Gateway:
    """What a test drives and reads."""

    app: App
    http: HttpServer
    port: int
    client: httpx2.AsyncClient
    log: io.StringIO

    async def post(self, path: str, body: Any, **more: Any) -> httpx2.Response:
        return await self.client.post(path, json=body, **more)

    async def lines(self, count: int = 1) -> list[dict[str, str]]:
        """The access log's lines as fields, once there are `count`."""
        assert self.app.access_log is not None
        access_log = self.app.access_log

        def written() -> bool:
            access_log.flush()
            return self.log.getvalue().count("\n") >= count

        await eventually(written)
        return [
            dict(field.split("=", 1) for field in line.split(" "))
            for line in self.log.getvalue().splitlines()
        ]

    async def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples with these labels."""
        text = (await self.client.get("/metrics")).text
        return sum(
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )


def attached(url: str, name: str = "stub", engine_model: str = "stub", **more: Any) -> Deployment:
    """A deployment whose one replica is a running server."""
    timeout = more.pop("timeout", 20.0)
    key = more.pop("key", None)
    engine = more.pop("engine", "attached")
    replica = Replica(Upstream(f"{url}/v1", key, timeout))
    return Deployment(name, engine, engine_model, replicas=[replica], **more)


@contextlib.asynccontextmanager
async def serving(*deployments: Deployment, **settings: Any) -> AsyncIterator[Gateway]:
    """A gateway over these deployments while the block lasts; their connections end with it."""
    app, http = build_gateway(Settings(access_log=False, **settings), Directory(deployments))
    log = io.StringIO()
    app.access_log = AccessLog(log)
    port = await http.listen("127.0.0.1", 0)
    try:
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
            yield Gateway(app, http, port, client, log)
    finally:
        await http.close()
        app.access_log.flush()
        for deployment in deployments:
            for replica in deployment.replicas:
                replica.upstream.close()
        # Closed transports report to their protocols in the next turns.
        await asyncio.sleep(0.01)


async def eventually(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    """Waits until the condition holds; fails after the deadline."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        await asyncio.sleep(0.005)
