"""Paddock's own API at `/api/v1`, as far as the commands need it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import Any
from urllib.parse import quote

from paddock.cli.connection import connect, object_with
from paddock.clients.transport import Call
from paddock.errors import PaddockError

JSON = dict[str, Any]
PAGE = 1000


class DeploymentsApi:
    """Answers are JSON as the server gives it: see docs/api.md.

    Raises (all methods):
        NotFound: there is no such deployment.
        PaddockError: the request failed; the message is a line for a person.
    """

    def __init__(self, base_url: str | None, api_key: str | None) -> None:
        connection = connect(base_url, api_key, "/api/v1")
        self.url = connection.url
        self._transport = connection.transport

    def create(self, asked: JSON) -> JSON:
        return self._transport.request(Call("POST", "deployments", object_with("id"), body=asked))

    def get(self, name: str) -> JSON:
        """By name or id."""
        return self._get(_path(name), object_with("status"))

    def all(self) -> Iterator[JSON]:
        """Every deployment, in the order of their making."""
        after: str | None = None
        while True:
            query = {"limit": str(PAGE), **({"after": after} if after else {})}
            page = self._get("deployments", object_with("data"), query)
            yield from page["data"]
            after = page.get("next")
            if after is None:
                return

    def scale(self, name: str, bounds: JSON) -> JSON:
        return self._post(name, "scale", bounds)

    def stop(self, name: str) -> JSON:
        return self._post(name, "stop")

    def start(self, name: str) -> JSON:
        return self._post(name, "start")

    def delete(self, name: str) -> JSON:
        return self._transport.request(Call("DELETE", _path(name), object_with("id")))

    def events(self, name: str, limit: int) -> list[JSON]:
        """The last ones, the oldest of them first."""
        query = {"deployment": name, "limit": str(limit)}
        return list(self._get("events", object_with("data"), query)["data"])

    def lines(self, name: str, tail: int) -> list[JSON]:
        """The last lines of its engines' logs: {id, at, replica, text}."""
        query = {"tail": str(tail)}
        return list(self._get(f"{_path(name)}/logs", object_with("lines"), query)["lines"])

    def follow_lines(self, name: str, tail: int) -> Generator[JSON]:
        """The last lines, and those to come, until the deployment is gone or the server drains."""
        query = {"tail": str(tail), "follow": "true"}
        return self._transport.stream(Call("GET", f"{_path(name)}/logs", object_with("text"), params=query))

    def hardware(self) -> JSON:
        return self._get("hardware", object_with("types"))

    def _get(self, path: str, parse: Callable[[Any], JSON], query: dict[str, str] | None = None) -> JSON:
        return self._transport.request(Call("GET", path, parse, params=query, repeatable=True))

    def _post(self, name: str, verb: str, body: Any = None) -> JSON:
        return self._transport.request(Call("POST", f"{_path(name)}/{verb}", object_with("id"), body=body))


def _path(name: str) -> str:
    if not name.strip("/"):
        raise PaddockError("the name of a deployment must not be empty")
    return f"deployments/{quote(name, safe='/@:')}"
