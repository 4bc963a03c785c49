"""A gateway that wants no keys: web pages are kept off, and what no id can be leads nowhere."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import httpx2
import pytest

from paddock.inference.routing import Directory
from paddock.main.front import build_gateway
from paddock.services.keys import PASSER_BY
from paddock.store.sessions import Store
from tests.api.gateway import CHAT, serving
from tests.postgres import PostgreSql
from tests.store.fakes import platform_of

EVIL = {"origin": "https://evil.example"}


async def test_web_pages() -> None:
    async with serving() as gateway:
        for headers, code in ((EVIL, "origin_not_allowed"), ({"host": "a.example"}, "host_not_allowed")):
            answer = await gateway.post("/v1/chat/completions", CHAT, headers=headers)
            assert answer.status_code == 403
            assert answer.json()["error"]["code"] == code
            assert (await gateway.client.get("/metrics", headers=headers)).status_code == 403
            assert (await gateway.client.get("/healthz", headers=headers)).status_code == 200
            models = await gateway.client.get("/readyz", headers=headers)
            assert "stub" not in models.text
        assert (
            await gateway.client.get("/v1/models", headers={"origin": "http://localhost:3000"})
        ).is_success


@pytest.mark.parametrize(
    ("settings", "headers"),
    [
        ({"allow_anonymous": True}, {**EVIL, "host": "a.example"}),
        ({"public_url": "https://a.example"}, {"origin": "https://a.example", "host": "a.example"}),
    ],
)
async def test_what_the_operator_opens(settings: dict[str, Any], headers: dict[str, str]) -> None:
    async with serving(**settings) as gateway:
        assert (await gateway.client.get("/v1/models", headers=headers)).status_code == 200


async def test_who_passes_by_is_no_admin() -> None:
    async with serving(host="0.0.0.0", allow_anonymous=True) as gateway:
        assert gateway.app.keyring.anybody is PASSER_BY
        answer = await gateway.client.get("/metrics")
        assert answer.status_code == 403
        assert "without a key: it needs one with the scope 'admin'" in answer.text
        assert (await gateway.client.get("/v1/models")).status_code == 200


async def test_no_path_has_a_nul() -> None:
    async with serving() as gateway:
        for path in ("/v1/models/a%00b", "/v1%00", "/inference/v1/models/%00"):
            answer = await gateway.client.get(path)
            assert answer.status_code == 404, path
            assert answer.json()["error"]["code"] == "unknown_route"


async def test_no_id_is_a_server_error(tmp_path: Path, postgresql: PostgreSql) -> None:
    """PostgreSQL takes no NUL, and SQLite does."""
    store = Store(postgresql.store())
    platform = platform_of(store, tmp_path)
    app, http = build_gateway(platform.settings, Directory([]), platform, "gateway")
    port = await http.listen("127.0.0.1", 0)
    try:
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
            for mount in app.mounts:
                for route in mount.routes:
                    if "{" in route.pattern:
                        path = mount.prefix + re.sub(r"\{\w+\}", "a%00b", route.pattern)
                        answer = await client.request(route.method, path, json={})
                        assert answer.status_code == 404, (route.method, path, answer.text)
                    elif route.method == "GET" and route.query:
                        for name in route.query:
                            answer = await client.get(mount.prefix + route.pattern, params={name: "a\0b"})
                            assert answer.status_code == 400, (mount.prefix, route.pattern, answer.text)
                            assert name in answer.text
    finally:
        await http.close()
        if app.accounts is not None:
            await app.accounts.close()
        platform.ledger.close()
        store.close()
        await asyncio.sleep(0.01)
