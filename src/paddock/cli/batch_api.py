"""Batches in OpenAI's API, and jobs in Paddock's own, as far as the commands need them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from paddock.cli.connection import connect, object_with
from paddock.clients.transport import Call
from paddock.errors import PaddockError

JSON = dict[str, Any]
PAGE = 100


class BatchesApi:
    """Answers are batches as OpenAI has them: https://platform.openai.com/docs/api-reference/batch.

    Raises (all methods):
        NotFound: there is no such batch.
        PaddockError: the request failed; the message is a line for a person.
    """

    def __init__(self, base_url: str | None, api_key: str | None) -> None:
        connection = connect(base_url, api_key, "/v1")
        self.url = connection.url
        self._transport = connection.transport

    def create(self, file: str, endpoint: str, window: str, metadata: dict[str, str]) -> JSON:
        body = {
            "input_file_id": file,
            "endpoint": endpoint,
            "completion_window": window,
            "metadata": metadata,
        }
        return self._transport.request(Call("POST", "batches", object_with("id"), body=body))

    def get(self, identity: str) -> JSON:
        path = f"batches/{_quoted(identity)}"
        return self._transport.request(Call("GET", path, object_with("status"), repeatable=True))

    def newest(self) -> list[JSON]:
        """A page of them, the newest first."""
        query = {"limit": str(PAGE)}
        call = Call("GET", "batches", object_with("data"), params=query, repeatable=True)
        return list(self._transport.request(call)["data"])

    def cancel(self, identity: str) -> JSON:
        path = f"batches/{_quoted(identity)}/cancel"
        return self._transport.request(Call("POST", path, object_with("status"), repeatable=True))


class JobsApi:
    """Answers are jobs as the server gives them: see docs/api.md.

    Raises (all methods):
        NotFound: there is no such job.
        PaddockError: the request failed; the message is a line for a person.
    """

    def __init__(self, base_url: str | None, api_key: str | None) -> None:
        self._transport = connect(base_url, api_key, "/api/v1").transport

    def all(self, kind: str) -> Iterator[JSON]:
        """Every job of this kind, the newest first, asked for as far as it is read."""
        after: str | None = None
        while True:
            query = {"kind": kind, "limit": str(PAGE), **({"after": after} if after else {})}
            page = self._get("jobs", "data", query)
            yield from page["data"]
            after = page.get("next")
            if after is None:
                return

    def get(self, identity: str) -> JSON:
        return self._get(f"jobs/{_quoted(identity)}", "state")

    def cancel(self, identity: str) -> JSON:
        path = f"jobs/{_quoted(identity)}/cancel"
        return self._transport.request(Call("POST", path, object_with("state"), repeatable=True))

    def events(self, identity: str, limit: int) -> list[JSON]:
        """The last ones, the oldest of them first."""
        return list(self._get("events", "data", {"job": identity, "limit": str(limit)})["data"])

    def _get(self, path: str, field: str, query: dict[str, str] | None = None) -> JSON:
        return self._transport.request(Call("GET", path, object_with(field), params=query, repeatable=True))


def _quoted(identity: str) -> str:
    if not identity.strip("/. "):
        raise PaddockError("the id of a batch must not be empty")
    return quote(identity, safe="")
