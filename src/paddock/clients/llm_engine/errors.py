"""Everything that a call can raise.

LLMEngineError
├── BadRequestError         400: the request must be changed
│   └── ValidationError     an argument is wrong; nothing was sent
├── UnauthorizedError       401: the API key is missing or wrong
├── NotFoundError           404: there is no such model, job or file, or not for this key
├── RateLimitExceededError  429: too many requests
├── ServerError             500 and other 5xx
├── UnknownError            other statuses, and answers that are not understood
├── APITimeoutError         nothing came within `timeout`
└── APIConnectionError      the server could not be reached, or hung up
"""

from __future__ import annotations

from paddock.clients.transport import ApiError, Failure


class LLMEngineError(ApiError):
    """Base of all errors of this client.

    Attributes:
        message: what went wrong, for a person; of an answer, its `detail`.
        status_code: the HTTP status; for an error in the middle of a stream, the one it stands for; None
            when there was no answer.
        body: the answer's parsed JSON body, or its text where that is not JSON.
        request_id: what the server calls the request in its logs.
        retry_after: seconds after which the server asked to come back.
    """


class BadRequestError(LLMEngineError):
    """The request had inputs that are invalid; sending it again unchanged is of no use."""


class ValidationError(BadRequestError, ValueError):
    """An argument has a wrong type or value; nothing was sent."""


class UnauthorizedError(LLMEngineError):
    """No valid API key was given."""


class NotFoundError(LLMEngineError):
    """There is no such model, job or file, or the key may not know of it."""


class RateLimitExceededError(LLMEngineError):
    """Too many requests at once or in a short time; see `retry_after`."""


class ServerError(LLMEngineError):
    """The server failed, or cannot answer now."""


class UnknownError(LLMEngineError):
    """An answer with a status that has no error of its own here, or that is not understood."""


class APITimeoutError(LLMEngineError):
    """The server took too long: see `timeout`."""


class APIConnectionError(LLMEngineError):
    """The server could not be reached, or the connection broke."""


_BY_STATUS: dict[int, type[LLMEngineError]] = {
    400: BadRequestError,
    401: UnauthorizedError,
    404: NotFoundError,
    429: RateLimitExceededError,
}
_BY_KIND: dict[str, type[LLMEngineError]] = {
    "connection": APIConnectionError,
    "timeout": APITimeoutError,
    "unreadable": UnknownError,
    "request": ValidationError,
}


def from_failure(failure: Failure) -> LLMEngineError:
    """The error that the transport raises for `failure`."""
    status = failure.status or 0
    kind = _BY_KIND.get(failure.kind) or _BY_STATUS.get(status)
    if kind is None:
        kind = ServerError if 500 <= status < 600 else UnknownError
    fields = failure.body if isinstance(failure.body, dict) else {}
    detail = fields.get("detail")
    return kind(
        detail if failure.kind == "status" and isinstance(detail, str) else failure.message,
        status_code=failure.status,
        body=failure.body,
        request_id=failure.request_id or fields.get("request_id"),
        retry_after=failure.retry_after,
    )
