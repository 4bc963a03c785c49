"""Jobs in Paddock's own API, as far as the commands need them: batches and fine-tunes are jobs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from paddock.cli.connection import connect, object_with
from paddock.clients.transport import Call
from paddock.errors import PaddockError

JSON = dict[str, Any]
PAGE = 100


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
        return self._get(f"jobs/{quoted(identity)}", "state")

    def cancel(self, identity: str) -> JSON:
        path = f"jobs/{quoted(identity)}/cancel"
        return self._transport.request(Call("POST", path, object_with("state"), repeatable=True))

    def events(self, identity: str, limit: int) -> list[JSON]:
        """The last ones, the oldest of them first."""
        return list(self._get("events", "data", {"job": identity, "limit": str(limit)})["data"])

    def _get(self, path: str, field: str, query: dict[str, str] | None = None) -> JSON:
        return self._transport.request(Call("GET", path, object_with(field), params=query, repeatable=True))


def quoted(identity: str, what: str = "job") -> str:
    """An id as a part of a path.

    Args:
        what: it is the id of, for a person.

    Raises:
        PaddockError: it is empty, or would lead elsewhere.
    """
    if not identity.strip("/. "):
        raise PaddockError(f"the id of a {what} must not be empty")
    return quote(identity, safe="")
