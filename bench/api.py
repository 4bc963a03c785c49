"""Paddock's management routes, asked over a connection that is kept while it is used; never twice."""

from __future__ import annotations

import contextlib
import http.client
import json
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from bench.servers import HOST

DEPLOYMENTS = "/api/v1/deployments"
CORTECS = "/cortecs/api/v1"
JSON = dict[str, Any]
IDLE_SECONDS = 2.0
"""A connection that was idle for longer may have been closed by the server."""


class Api:
    """
    Raises:
        OSError, http.client.HTTPException: from every method, when the server is gone.
    """

    def __init__(self, port: int, timeout: float = 60.0) -> None:
        self._connection = http.client.HTTPConnection(HOST, port, timeout=timeout)
        self._used = time.monotonic()

    def close(self) -> None:
        self._connection.close()

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> JSON:
        """The answer's JSON.

        Raises:
            RuntimeError: it was refused; carries the answer.
        """
        data = None if body is None else json.dumps(body).encode()
        found: JSON = json.loads(self.send(method, path, data))
        return found

    def send(
        self, method: str, path: str, data: bytes | None = None, content_type: str = "application/json"
    ) -> bytes:
        """The answer's body.

        Raises:
            RuntimeError: it was refused; carries the answer.
        """
        if time.monotonic() - self._used > IDLE_SECONDS:
            self._connection.close()
        self._connection.request(method, path, data, {"content-type": content_type})
        response = self._connection.getresponse()
        answer = response.read()
        self._used = time.monotonic()
        if not 200 <= response.status < 300:
            raise RuntimeError(f"{method} {path}: {response.status} {answer[:500]!r}")
        return answer

    def create(self, name: str, **fields: Any) -> JSON:
        """A deployment of foal."""
        return self.ask("POST", DEPLOYMENTS, {"model": "paddock/foal", "name": name, **fields})

    def get(self, name: str) -> JSON:
        return self.ask("GET", f"{DEPLOYMENTS}/{name}")

    def all(self) -> list[JSON]:
        """A page of the deployments: all of them where there are few."""
        found: list[JSON] = self.ask("GET", DEPLOYMENTS)["data"]
        return found

    def until(
        self, name: str, is_so: Callable[[JSON], bool], patience: float = 60.0, step: float = 0.01
    ) -> JSON:
        """The deployment as soon as `is_so` is true of it, asked every `step` seconds.

        Raises:
            RuntimeError: it failed, or was not so within `patience` seconds.
        """
        deadline = time.monotonic() + patience
        while True:
            found = self.get(name)
            if is_so(found):
                return found
            if found["status"] == "failed" or time.monotonic() > deadline:
                raise RuntimeError(f"{name} is not as it should be: {json.dumps(found)}")
            time.sleep(step)

    def until_gone(self, name: str, patience: float = 60.0) -> None:
        """
        Raises:
            RuntimeError: it is still listed after `patience` seconds.
        """
        deadline = time.monotonic() + patience
        while any(one["name"] == name for one in self.all()):
            if time.monotonic() > deadline:
                raise RuntimeError(f"{name} is still there after {patience:g} s")
            time.sleep(0.02)


@contextlib.contextmanager
def connected(port: int) -> Iterator[Api]:
    api = Api(port)
    try:
        yield api
    finally:
        api.close()


def is_ready(deployment: JSON) -> bool:
    return bool(deployment["status"] == "ready")


def is_whole(deployment: JSON) -> bool:
    """Whether it has just the replicas that it is meant to have, all ready and of the newest generation."""
    wanted = [(deployment["generation"], "ready")] * deployment["min_workers"]
    return is_ready(deployment) and _replicas(deployment) == wanted


def _replicas(deployment: JSON) -> list[tuple[int, str]]:
    return [(one["generation"], one["state"]) for one in deployment["replicas"]]
