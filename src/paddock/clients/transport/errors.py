"""What the errors of every client have in common."""

from __future__ import annotations

from typing import Any


class ApiError(Exception):
    """Something went wrong with a call. Each client has a tree of its own below it.

    Attributes:
        message: what went wrong, for a person.
        status_code: the HTTP status; None when there was no answer.
        body: the answer's parsed JSON body, or its text where that is not JSON.
        request_id: what the server calls the request in its logs (`x-request-id`).
        retry_after: seconds after which the server asked to come back.
    """

    def __init__(
        self,
        message: str,
        *,
        status_code: int | None = None,
        body: Any = None,
        request_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status_code = status_code
        self.body = body
        self.request_id = request_id
        self.retry_after = retry_after

    def __str__(self) -> str:
        details = []
        if self.status_code is not None:
            details.append(f"status {self.status_code}")
        if self.request_id:
            details.append(f"request {self.request_id}")
        return f"{self.message} ({', '.join(details)})" if details else self.message
