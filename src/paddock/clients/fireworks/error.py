"""Everything that a call can raise.

FireworksError
├── InvalidRequestError      400, 404 and other 4xx: the request must be changed
├── AuthenticationError      401: the API key is missing or wrong
├── PermissionError          403: the key may not do this
├── RateLimitError           429: too many requests
├── InternalServerError      500 and other 5xx, and answers that are not understood
├── BadGatewayError          502: the engine behind the server failed
├── ServiceUnavailableError  503: starting, stopping or overloaded
├── APITimeoutError          408, 504, or nothing came within request_timeout
└── APIConnectionError       the server could not be reached, or hung up
"""

from __future__ import annotations

from typing import Any

from paddock.clients.transport import ApiError, Failure


class FireworksError(ApiError):
    """Base of all errors of this client.

    As in the published client, `args[0]` is the answer's parsed JSON body where there was an answer.

    Attributes:
        message: what went wrong, for a person.
        status_code: the HTTP status; None when there was no answer.
        body: the answer's parsed JSON body, or its text where that is not JSON.
        request_id: what the server calls the request in its logs (`x-request-id`).
        retry_after: seconds after which the server asked to come back.
    """

    def __init__(self, *args: Any, message: str | None = None, **answer: Any) -> None:
        super().__init__(message if message is not None else " ".join(map(str, args)), **answer)
        self.args = args


class PermissionError(FireworksError):
    """A permission denied error."""


class InvalidRequestError(FireworksError):
    """An invalid request error."""


class AuthenticationError(FireworksError):
    """An authentication error."""


class RateLimitError(FireworksError):
    """A rate limit error."""


class InternalServerError(FireworksError):
    """An internal server error."""


class ServiceUnavailableError(FireworksError):
    """A service unavailable error."""


class BadGatewayError(FireworksError):
    """A bad gateway error."""


class APITimeoutError(FireworksError):
    """The server took too long: see `request_timeout`."""


class APIConnectionError(FireworksError):
    """The server could not be reached, or the connection broke."""


_BY_STATUS: dict[int, type[FireworksError]] = {
    401: AuthenticationError,
    403: PermissionError,
    408: APITimeoutError,
    429: RateLimitError,
    502: BadGatewayError,
    503: ServiceUnavailableError,
    504: APITimeoutError,
}
_BY_KIND: dict[str, type[FireworksError]] = {
    "connection": APIConnectionError,
    "timeout": APITimeoutError,
    "unreadable": InternalServerError,
    "request": InvalidRequestError,
}


def from_failure(failure: Failure) -> FireworksError:
    """The error that the transport raises for `failure`."""
    status = failure.status or 0
    kind = _BY_KIND.get(failure.kind) or _BY_STATUS.get(status)
    if kind is None:
        kind = InternalServerError if status >= 500 else InvalidRequestError
    return kind(
        failure.message if failure.body is None else failure.body,
        message=failure.message,
        status_code=failure.status,
        body=failure.body,
        request_id=failure.request_id,
        retry_after=failure.retry_after,
    )
