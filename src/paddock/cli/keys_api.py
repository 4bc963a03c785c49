"""Keys and projects on a server, in Paddock's own API at `/api/v1`."""

from __future__ import annotations

from typing import Any

from paddock.cli.connection import connect, object_with
from paddock.cli.jobs_api import quoted
from paddock.clients.transport import Call
from paddock.errors import Unauthorized

JSON = dict[str, Any]
_FIRST = (
    ". The first key is made by who runs the server, on its machine: `paddock keys create --name NAME"
    " --scope admin --data-dir FOLDER`"
)


class KeysApi:
    """`Keys` of a server."""

    def __init__(self, base_url: str | None, api_key: str | None) -> None:
        self._transport = connect(base_url, api_key, "/api/v1").transport

    def create(self, asked: JSON) -> JSON:
        return self._ask("POST", "keys", "secret", asked)

    def all(self, project: str | None, revoked: bool) -> list[JSON]:
        query = {"revoked": "true"} if revoked else {}
        if project is not None:
            query["project"] = project
        return list(self._ask("GET", "keys", "data", query=query)["data"])

    def get(self, identity: str) -> JSON:
        return self._ask("GET", _path(identity), "id")

    def change(self, identity: str, asked: JSON) -> JSON:
        if "expires_at" in asked:
            asked = {**asked, "expires_at": asked["expires_at"] or None}
        return self._ask("PATCH", _path(identity), "id", asked)

    def rotate(self, identity: str, keep_old: float) -> JSON:
        return self._ask("POST", f"{_path(identity)}/rotate", "secret", {"keep_old_seconds": keep_old})

    def revoke(self, identity: str) -> JSON:
        return self._ask("POST", f"{_path(identity)}/revoke", "id")

    def projects(self) -> list[JSON]:
        return list(self._ask("GET", "projects", "data")["data"])

    def limit_project(self, name: str, limits: JSON) -> JSON:
        return self._ask("PATCH", f"projects/{quoted(name, 'project')}", "name", {"limits": limits})

    def _ask(
        self,
        method: str,
        path: str,
        field: str,
        body: JSON | None = None,
        query: dict[str, str] | None = None,
    ) -> JSON:
        # Only what makes a secret may not be done twice: the first one would be lost.
        call = Call(
            method, path, object_with(field), body=body, params=query or None, repeatable=field != "secret"
        )
        try:
            return self._transport.request(call)
        except Unauthorized as error:
            raise Unauthorized(error.message + _FIRST, code=error.code) from error


def _path(identity: str) -> str:
    return f"keys/{quoted(identity, 'key')}"
