"""Webhooks in Paddock's own API, as far as the commands need them."""

from __future__ import annotations

from typing import Any

from paddock.cli.connection import connect, object_with
from paddock.cli.jobs_api import quoted
from paddock.clients.transport import Call

JSON = dict[str, Any]


class WebhooksApi:
    """Answers are webhooks as the server gives them: see docs/webhooks.md.

    Raises (all methods):
        NotFound: there is no such webhook.
        PaddockError: the request failed; the message is a line for a person.
    """

    def __init__(self, base_url: str | None, api_key: str | None) -> None:
        self._transport = connect(base_url, api_key, "/api/v1").transport

    def create(self, asked: JSON) -> JSON:
        return self._transport.request(Call("POST", "webhooks", object_with("secret"), body=asked))

    def all(self) -> list[JSON]:
        """The oldest first."""
        found = self._transport.request(Call("GET", "webhooks", object_with("data"), repeatable=True))
        return list(found["data"])

    def get(self, identity: str) -> JSON:
        """With its latest deliveries."""
        return self._transport.request(
            Call("GET", _path(identity), object_with("deliveries"), repeatable=True)
        )

    def test(self, identity: str) -> JSON:
        return self._transport.request(Call("POST", f"{_path(identity)}/test", object_with("delivered")))

    def delete(self, identity: str) -> JSON:
        return self._transport.request(Call("DELETE", _path(identity), object_with("id")))

    def callback_secret(self, *, new: bool) -> str:
        call = Call("POST" if new else "GET", "webhooks/callback-secret", object_with("secret"))
        return str(self._transport.request(call)["secret"])


def _path(identity: str) -> str:
    return f"webhooks/{quoted(identity, 'webhook')}"
