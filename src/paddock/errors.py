"""The one error tree. Every error has a code and an HTTP status; each dialect renders it in its own body.

PaddockError
├── InvalidRequest 400            a field is missing, of a wrong type or out of range
│   ├── UnsupportedParameter 400  a known field that this engine or model cannot honour
│   └── ContextLengthExceeded 400 the prompt does not fit the model's context
├── Unauthorized 401              no key, or one that is not known, has ended or was revoked
├── Forbidden 403                 the key is good, and not for this
├── NotFound 404
│   └── ModelNotFound 404
├── MethodNotAllowed 405
├── Conflict 409                  the thing is in a state that does not allow this
├── BodyTooLarge 413
├── RateLimited 429               too many requests; says when to come back
│   └── BudgetSpent 429           what the key or its project may cost is spent
├── Unavailable 503               draining, starting or overloaded; says when to come back
│   ├── StoreFailed 503           the database is gone, or its disk is full
│   └── StorageFailed 503         where the bytes of files lie is gone, or full
├── EngineFailed 502              the engine answered what nobody understands
│   └── EngineLost 502            it could not be reached, or died while it answered
├── EngineTimeout 504
├── ReaderStalled 408             a stream's caller does not read on
├── JobFailed                     a job cannot go on; it fails with this reason
├── Fenced                        this process lost its lease; another one acts now
└── StartupError                  the command cannot run; one line and exit code 2
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class PaddockError(Exception):
    """Base of all errors that a caller may see.

    Attributes:
        message: what was wrong and what would be right, for a person.
        code: a stable machine-readable word.
        status: the HTTP status.
        param: the request field at fault, dotted (`messages.0.role`), if one is.
        retry_after: seconds after which the same request may succeed.
    """

    code = "internal_error"
    status = 500

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or type(self).code
        self.param = param
        self.retry_after = retry_after


class InvalidRequest(PaddockError):
    code = "invalid_request"
    status = 400


class UnsupportedParameter(InvalidRequest):
    code = "unsupported_parameter"


class ContextLengthExceeded(InvalidRequest):
    code = "context_length_exceeded"


class Unauthorized(PaddockError):
    code = "invalid_api_key"
    status = 401


class Forbidden(PaddockError):
    code = "permission_denied"
    status = 403


class NotFound(PaddockError):
    code = "not_found"
    status = 404


class ModelNotFound(NotFound):
    code = "model_not_found"


class MethodNotAllowed(PaddockError):
    code = "method_not_allowed"
    status = 405


class Conflict(PaddockError):
    code = "conflict"
    status = 409


class BodyTooLarge(PaddockError):
    code = "request_too_large"
    status = 413


class RateLimited(PaddockError):
    """
    Attributes:
        headers: lines that say what the limits are, for the answer; each ends in CRLF.
    """

    code = "rate_limit_exceeded"
    status = 429
    headers: bytes = b""


class BudgetSpent(RateLimited):
    """OpenAI's code for it."""

    code = "insufficient_quota"


class EngineFailed(PaddockError):
    code = "engine_failed"
    status = 502


class EngineLost(EngineFailed):
    """Another replica may do what this one could not."""

    code = "engine_lost"


class Unavailable(PaddockError):
    code = "unavailable"
    status = 503


class StoreFailed(Unavailable):
    code = "store_failed"


class StorageFailed(Unavailable):
    code = "storage_failed"


class EngineTimeout(PaddockError):
    code = "engine_timeout"
    status = 504


class ReaderStalled(PaddockError):
    """The log and the ledger have it; the caller finds it at the end of his stream, if he reads on."""

    code = "reader_stalled"
    status = 408


class Fenced(PaddockError):
    """Never seen by a caller: who meets it stops acting."""

    code = "fenced"


class JobFailed(PaddockError):
    """Ends the job that meets it.

    Attributes:
        errors: what is wrong with its input, as `schemas.jobs.JobError` has it.
    """

    code = "job_failed"

    def __init__(
        self,
        message: str,
        errors: Sequence[dict[str, Any]] = (),
        *,
        code: str | None = None,
        param: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, code=code, param=param, retry_after=retry_after)
        self.errors = list(errors)


class StartupError(PaddockError):
    """A command that cannot run: the CLI prints the one line and exits with code 2.

    Attributes:
        log: the last lines that a process wrote which did not start; empty if none was begun.
    """

    code = "startup_failed"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        retry_after: float | None = None,
        log: Sequence[str] = (),
    ) -> None:
        super().__init__(message, code=code, param=param, retry_after=retry_after)
        self.log = list(log)
