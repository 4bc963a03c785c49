"""NULs in paths, queries, bodies and forms: PostgreSQL has no place for them in a text, and SQLite has."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2

from paddock.gateway.app import App
from paddock.inference.routing import Directory
from paddock.main.front import build_gateway
from paddock.store.sessions import Store
from tests.api.gateway import serving
from tests.postgres import PostgreSql
from tests.store.fakes import platform_of

NUL = "a\0b"
LLM = "/llm-engine/v1"


@contextlib.asynccontextmanager
async def on_postgresql(
    folder: Path, postgresql: PostgreSql
) -> AsyncIterator[tuple[App, httpx2.AsyncClient]]:
    store = Store(postgresql.store())
    platform = platform_of(store, folder, allow_private_urls=True, access_log=False)
    app, http = build_gateway(platform.settings, Directory([]), platform, "gateway")
    await app.keyring.ready()
    port = await http.listen("127.0.0.1", 0)
    try:
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
            yield app, client
    finally:
        await http.close()
        if app.accounts is not None:
            await app.accounts.close()
        platform.ledger.close()
        store.close()
        await asyncio.sleep(0.01)


async def test_no_path_has_one() -> None:
    async with serving() as gateway:
        for path in ("/v1/models/a%00b", "/v1%00", "/inference/v1/models/%00"):
            answer = await gateway.client.get(path)
            assert answer.status_code == 404, path
            assert answer.json()["error"]["code"] == "unknown_route"


async def test_no_id_is_a_server_error(tmp_path: Path, postgresql: PostgreSql) -> None:
    async with on_postgresql(tmp_path, postgresql) as (app, client):
        for mount in app.mounts:
            for route in mount.routes:
                if "{" in route.pattern:
                    path = mount.prefix + re.sub(r"\{\w+\}", "a%00b", route.pattern)
                    answer = await client.request(route.method, path, json={})
                    assert answer.status_code == 404, (route.method, path, answer.text)
                elif route.method == "GET" and route.query:
                    for name in route.query:
                        answer = await client.get(mount.prefix + route.pattern, params={name: NUL})
                        assert answer.status_code == 400, (mount.prefix, route.pattern, answer.text)
                        assert name in answer.text


async def test_no_field_of_any_body_is_a_server_error(tmp_path: Path, postgresql: PostgreSql) -> None:
    async with on_postgresql(tmp_path, postgresql) as (app, client):
        tried = 0
        for mount in app.mounts:
            for route in mount.routes:
                if route.body is None:
                    continue
                path = mount.prefix + re.sub(r"\{\w+\}", "mine", route.pattern)
                for name in route.body.json_schema()["properties"]:
                    for value in (NUL, [NUL], {"k": NUL}):
                        body = {**(route.example or {}), name: value}
                        answer = await client.request(route.method, path, json=body)
                        tried += 1
                        assert answer.status_code < 500, (path, body, answer.text)
        assert tried > 300


TUNE = {"model": "foal", "training_file": "file-1"}
LLM_TUNE = {"model": "foal", "training_file": "file-1", "hyperparameters": {}}
BATCH = {"input_file_id": "file-1", "endpoint": "/v1/completions", "completion_window": "24h"}
PROMPTS = {"prompts": ["hi"], "max_new_tokens": 1, "temperature": 0}
V1 = {"model_config": {"model": "foal", "labels": {}}, "content": PROMPTS, "output_data_path": "out"}
AUTH = {"kind": "basic", "username": NUL, "password": "p"}
ENDPOINT = {
    "name": "e",
    "model_name": "foal",
    "labels": {},
    "min_workers": 1,
    "max_workers": 1,
    "per_worker": 1,
}


FIELDS: list[tuple[str, dict[str, Any], str]] = [
    ("/api/v1/deployments", {"model": "foal", "name": NUL}, "name"),
    ("/api/v1/deployments", {"model": "foal", "labels": {"team": NUL}}, "labels.team"),
    ("/api/v1/keys", {"name": "n", "project": NUL}, "project"),
    ("/api/v1/keys", {"name": "n", "models": ["m", NUL]}, "models.1"),
    ("/api/v1/webhooks", {"url": f"http://127.0.0.1:1/{NUL}", "events": ["*"]}, "url"),
    ("/api/v1/webhooks", {"url": "http://127.0.0.1:1/", "events": [NUL]}, "events.0"),
    ("/cortecs/api/v1/instances/start", {"model_id": "foal", "labels": {NUL: "x"}}, "labels"),
    ("/cortecs/api/v1/instances/stop", {"instance_id": NUL}, "instance_id"),
    (f"{LLM}/llm/model-endpoints", {**ENDPOINT, "labels": {"team": NUL}}, "labels.team"),
    (f"{LLM}/llm/model-endpoints", {**ENDPOINT, "metadata": {"note": NUL}}, "metadata.note"),
    (
        f"{LLM}/llm/model-endpoints",
        {**ENDPOINT, "default_callback_auth": AUTH},
        "default_callback_auth.username",
    ),
    (f"{LLM}/llm/fine-tunes", {**LLM_TUNE, "training_file": NUL}, "training_file"),
    (f"{LLM}/llm/batch-completions", {**V1, "output_data_path": NUL}, "output_data_path"),
    (
        "/llm-engine/v2/batch-completions",
        {**V1, "model_config": {"model": "foal", "labels": {"team": NUL}}},
        "model_config.labels.team",
    ),
    ("/v1/batches", {**BATCH, "metadata": {"note": NUL}}, "metadata.note"),
    ("/v1/fine_tuning/jobs", {**TUNE, "metadata": {"note": NUL}}, "metadata.note"),
    (
        "/v1/fine_tuning/jobs",
        {**TUNE, "integrations": [{"type": "wandb", "wandb": {"project": "p", "tags": [NUL]}}]},
        "integrations.0.wandb.tags.0",
    ),
]
"""Where it is sent, what, and the field that is named."""


async def test_the_field_is_named(tmp_path: Path, postgresql: PostgreSql) -> None:
    async with on_postgresql(tmp_path, postgresql) as (_, client):
        for path, body, field in FIELDS:
            answer = await client.post(path, json=body)
            assert answer.status_code == 400, (path, answer.text)
            said = rf"{re.escape(field)} must not have (names with )?a NUL character"
            assert re.search(said, answer.text), (path, answer.text)
            if not path.startswith("/llm-engine"):
                assert answer.json()["error"]["param"] == field


async def test_fields_of_forms(tmp_path: Path, postgresql: PostgreSql) -> None:
    async with on_postgresql(tmp_path, postgresql) as (_, client):
        for path in ("/v1/files", f"{LLM}/files"):
            form = {"files": {"file": ("a.jsonl", b"{}")}, "data": {"purpose": NUL}}
            answer = await client.post(path, **form)
            assert answer.status_code == 400
            assert "purpose" in answer.text
