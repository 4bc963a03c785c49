"""Fine-tunes in OpenAI's API and in Paddock's own, as far as the commands need them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from paddock.cli.connection import connect, object_with
from paddock.cli.jobs_api import JobsApi, quoted
from paddock.clients.transport import Call
from paddock.errors import NotFound

JSON = dict[str, Any]
KIND = "ft"
PAGE = 1000


class FineTunesApi:
    """Answers are jobs and events as Paddock's own API gives them: see docs/api.md.

    Raises (all methods):
        NotFound: there is no such fine-tune.
        PaddockError: the request failed; the message is a line for a person.
    """

    def __init__(self, base_url: str | None, api_key: str | None) -> None:
        self._jobs = JobsApi(base_url, api_key)
        self._openai = connect(base_url, api_key, "/v1").transport
        self._own = connect(base_url, api_key, "/api/v1").transport

    def create(self, body: JSON) -> str:
        """Asks for one as OpenAI has it: https://platform.openai.com/docs/api-reference/fine-tuning/create.

        Returns:
            Its id.
        """
        call = Call("POST", "fine_tuning/jobs", object_with("id"), body=body)
        return str(self._openai.request(call)["id"])

    def hyperparameters(self, identity: str) -> JSON:
        """How it learns, with all that was chosen for it."""
        path = f"fine_tuning/jobs/{quoted(identity, 'fine-tune')}"
        call = Call("GET", path, object_with("hyperparameters"), repeatable=True)
        return dict(self._openai.request(call)["hyperparameters"] or {})

    def all(self) -> Iterator[JSON]:
        """Every one, the newest first, asked for as far as it is read."""
        return self._jobs.all(KIND)

    def get(self, identity: str) -> JSON:
        quoted(identity, "fine-tune")
        job = self._jobs.get(identity)
        if job.get("kind") != KIND:
            raise NotFound(f"{identity} is no fine-tune; `paddock {job.get('kind')} show` may know it")
        return job

    def cancel(self, identity: str) -> JSON:
        """Asks it to end. What is no fine-tune is left alone."""
        return self._jobs.cancel(str(self.get(identity)["id"]))

    def events(self, identity: str, after: int = 0) -> list[JSON]:
        """Those that came after the event `after`, the oldest first."""
        found: list[JSON] = []
        while True:
            query = {"job": identity, "limit": str(PAGE), "after": str(after)}
            call = Call("GET", "events", object_with("data"), params=query, repeatable=True)
            page = self._own.request(call)
            found += page["data"]
            if page.get("next") is None or not page["data"]:
                return found
            after = int(page["next"])
