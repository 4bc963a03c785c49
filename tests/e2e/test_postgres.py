"""The whole server on a shared database, with several gateway processes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx2

from tests.e2e.server import serving, until
from tests.postgres import PostgreSql

SECONDS = 20.0


def ask(url: str, path: str, body: Any = None, method: str = "GET") -> tuple[int, Any]:
    """(status, answer) over a connection of its own: any of the processes takes it."""
    response = httpx2.request(method, url + path, json=body, timeout=SECONDS)
    return response.status_code, response.json() if response.content else None


def complete(url: str, model: str) -> int:
    status, _ = ask(url, "/v1/completions", {"model": model, "prompt": "A foal", "max_tokens": 2}, "POST")
    return status


class TestPostgreSql:
    def test_what_one_process_made_all_of_them_serve(self, tmp_path: Path, postgresql: PostgreSql) -> None:
        url = postgresql.empty()
        with serving(tmp_path, "--database-url", url, "--workers", "2") as server:
            made = {"model": "foal", "name": "pony", "context_length": 256}
            assert ask(server.url, "/api/v1/deployments", made, "POST")[0] == 201
            until(lambda: ask(server.url, "/api/v1/deployments/pony")[1]["status"] == "ready", SECONDS)
            assert {complete(server.url, "pony") for _ in range(16)} == {200}
            changed = {"context_length": 128}
            assert ask(server.url, "/api/v1/deployments/pony", changed, "PATCH")[0] == 200
            until(lambda: _generation(server.url) == 2, SECONDS)
            assert {complete(server.url, "pony") for _ in range(16)} == {200}
        # The database has it all: a server with another data folder goes on where this one ended.
        with serving(tmp_path / "again", "--database-url", url) as server:
            until(lambda: ask(server.url, "/api/v1/deployments/pony")[1]["status"] == "ready", SECONDS)
            assert complete(server.url, "pony") == 200
            assert ask(server.url, "/api/v1/deployments/pony", method="DELETE")[0] in (200, 202, 204)
            until(lambda: complete(server.url, "pony") == 404, SECONDS)


def _generation(url: str) -> int:
    """That of the ready replicas, once there is only one generation."""
    _, pony = ask(url, "/api/v1/deployments/pony")
    found = {replica["generation"] for replica in pony["replicas"] if replica["state"] == "ready"}
    return found.pop() if len(found) == 1 else 0
