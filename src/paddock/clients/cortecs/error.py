"""Everything that a call can raise.

CortecsError
├── BadRequest        400 and other 4xx, and arguments that cannot be sent; also a ValueError
├── Unauthorized      401: the credentials are missing or wrong
├── PermissionDenied  403: these credentials may not do this
├── NotFound          404: no such instance, model or hardware type
├── Conflict          409: not in the state that the instance is in
├── RateLimited       429: too many requests
├── ServerError       500 and other 5xx, and answers that are not understood
├── Timeout           408, 504, or nothing came within request_timeout; also a TimeoutError
│   └── StillPending  an instance did not run within the time that it was waited for
├── ConnectionFailed  the server could not be reached, or hung up
└── InstanceStopped   an instance stopped instead of running; also a RuntimeError
"""

from __future__ import annotations

from typing import Any

from paddock.clients.transport import ApiError, Failure
from paddock.schemas.cortecs import Instance


class CortecsError(ApiError):
    """Base of all errors of this client.

    Attributes:
        message: what went wrong, for a person.
        status_code: the HTTP status; None when there was no answer.
        body: the answer's parsed JSON body, or its text where that is not JSON.
        request_id: what the server calls the request in its logs (`x-request-id`).
        retry_after: seconds after which the server asked to come back.
        instance: what was last seen of the instance that was waited for; None elsewhere.
    """

    def __init__(self, message: str, *, instance: Instance | None = None, **answer: Any) -> None:
        super().__init__(message, **answer)
        self.instance = instance


class BadRequest(CortecsError, ValueError):
    """The request must be changed."""


class Unauthorized(CortecsError):
    """The credentials are missing or wrong."""


class PermissionDenied(CortecsError):
    """These credentials may not do this."""


class NotFound(CortecsError):
    """There is no such instance, model or hardware type."""


class Conflict(CortecsError):
    """It cannot be done in the state that the instance is in, such as deleting a running one."""


class RateLimited(CortecsError):
    """Too many requests."""


class ServerError(CortecsError):
    """The server failed, or answered what this client does not understand."""


class Timeout(CortecsError, TimeoutError):
    """The server took too long: see `request_timeout`."""


class StillPending(Timeout):
    """The instance did not run within the time that it was waited for; it may run later."""


class ConnectionFailed(CortecsError):
    """The server could not be reached, or the connection broke."""


class InstanceStopped(CortecsError, RuntimeError):
    """The instance stopped instead of running; the message has the server's reason."""


_BY_STATUS: dict[int, type[CortecsError]] = {
    401: Unauthorized,
    403: PermissionDenied,
    404: NotFound,
    408: Timeout,
    409: Conflict,
    429: RateLimited,
    504: Timeout,
}
_BY_KIND: dict[str, type[CortecsError]] = {
    "connection": ConnectionFailed,
    "timeout": Timeout,
    "unreadable": ServerError,
    "request": BadRequest,
}
_PASSING = frozenset({408, 429, 500, 502, 503, 504})


def from_failure(failure: Failure) -> CortecsError:
    """The error that the transport raises for `failure`."""
    status = failure.status or 0
    kind = _BY_KIND.get(failure.kind) or _BY_STATUS.get(status)
    if kind is None:
        kind = ServerError if status >= 500 else BadRequest
    body = failure.body
    # Where OAuth's errors (RFC 6749, 5.2) have their sentence: `error` is a word there.
    described = body.get("error_description") if isinstance(body, dict) else None
    return kind(
        described if isinstance(described, str) else failure.message,
        status_code=failure.status,
        body=body,
        request_id=failure.request_id,
        retry_after=failure.retry_after,
    )


def may_pass(error: CortecsError) -> bool:
    """Whether the same request may succeed a little later, and whether `error` leaves open what it did."""
    return isinstance(error, ConnectionFailed | Timeout) or error.status_code in _PASSING
