"""Batches in OpenAI's API, as far as the commands need them."""

from __future__ import annotations

from typing import Any

from paddock.cli.connection import connect, object_with
from paddock.cli.jobs_api import quoted
from paddock.clients.transport import Call

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
        path = f"batches/{quoted(identity, 'batch')}"
        return self._transport.request(Call("GET", path, object_with("status"), repeatable=True))

    def newest(self) -> list[JSON]:
        """A page of them, the newest first."""
        query = {"limit": str(PAGE)}
        call = Call("GET", "batches", object_with("data"), params=query, repeatable=True)
        return list(self._transport.request(call)["data"])

    def cancel(self, identity: str) -> JSON:
        path = f"batches/{quoted(identity, 'batch')}/cancel"
        return self._transport.request(Call("POST", path, object_with("status"), repeatable=True))
