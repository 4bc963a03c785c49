"""Failures from what httpx2 raises and from what servers answer."""

from __future__ import annotations

import json
import os
import time
from email.utils import parsedate_to_datetime
from typing import Any

import httpx2

from paddock import errors
from paddock.clients.transport.calls import Failure

# Nothing of the request was sent yet.
_NOT_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)
# The server may have begun to answer.
_HUNG_UP = (httpx2.RemoteProtocolError, httpx2.ReadError, httpx2.WriteError)

_STATUS_OF_TYPE = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "permission_error": 403,
    "not_found_error": 404,
    "rate_limit_error": 429,
}
_STATUS_OF_CODE = {
    kind.code: kind.status
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, errors.PaddockError)
}


def may_repeat(error: httpx2.RequestError, repeatable: bool) -> bool:
    """Whether the request that ended in `error` may be sent again."""
    return isinstance(error, _NOT_SENT) or (repeatable and isinstance(error, _HUNG_UP))


def from_exception(
    error: httpx2.RequestError | httpx2.InvalidURL, url: str, timeout: float | None
) -> Failure:
    detail = _innermost(error)
    match error:
        case httpx2.ConnectTimeout():
            return Failure("timeout", f"connecting to {url} took too long", url)
        case httpx2.TimeoutException():
            return Failure("timeout", f"{url} sent nothing for {timeout:g} seconds", url)
        case httpx2.ConnectError():
            return Failure("connection", f"cannot connect to {url}: {detail}", url)
        case httpx2.UnsupportedProtocol() | httpx2.InvalidURL():
            return Failure("request", f"{url!r} is not a usable URL: {detail}", url)
        case httpx2.LocalProtocolError():
            return Failure("request", f"cannot send the request to {url}: {detail}", url)
        case httpx2.DecodingError():
            return Failure("unreadable", f"the answer of {url} cannot be decoded: {detail}", url)
    return Failure("connection", f"the connection to {url} broke: {detail}", url)


def from_response(response: httpx2.Response, url: str) -> Failure:
    """The failure of an answer with an error status, whose body has been read."""
    body = parse_or_text(response.content)
    said = said_by(body) or f"answered with {response.status_code} {response.reason_phrase}".strip()
    if response.has_redirect_location:
        said = f"redirects to {response.headers['location']}; use that as the base URL"
    return Failure(
        "status",
        said,
        url,
        status=response.status_code,
        body=body,
        request_id=request_id(response),
        retry_after=parse_retry_after(response.headers.get("retry-after")),
    )


def from_event(event: dict[str, Any], response: httpx2.Response, url: str) -> Failure:
    """The failure of a `{"error": …}` in the middle of a stream."""
    said = said_by(event) or "the server ended the stream with an error"
    return Failure("stream", said, url, _status(event["error"]), event, request_id(response))


def unreadable(response: httpx2.Response, url: str, why: str, body: Any = None) -> Failure:
    said = f"the answer of {url} is not understood: {why}"
    return Failure("unreadable", said, url, response.status_code, body, request_id(response))


def request_id(response: httpx2.Response) -> str | None:
    return response.headers.get("x-request-id")


def said_by(body: Any) -> str | None:
    """The message in an error body: OpenAI's, FastAPI's, LLM Engine's or plain text; None without any."""
    if isinstance(body, dict):
        for name in ("error", "message", "detail", "fault", "content"):
            if body.get(name):
                return said_by(body[name])
        return json.dumps(body, ensure_ascii=False) if body else None
    if isinstance(body, list):
        return json.dumps(body, ensure_ascii=False)
    return str(body).strip()[:500] or None if body is not None else None


def parse_retry_after(value: str | None, now: float | None = None) -> float | None:
    """Seconds from a Retry-After header (seconds or an HTTP date); None when absent or not understood."""
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            date = parsedate_to_datetime(value)
        except ValueError:
            return None
        seconds = date.timestamp() - (time.time() if now is None else now)
    # A server's clock may be behind ours; `nan` and `inf` are numbers to float() only.
    return max(0.0, seconds) if seconds < 1e9 else None


def parse_or_text(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return content.decode("utf-8", "replace")


def _innermost(error: BaseException) -> str:
    """What the operating system said: the layers above it say only that connecting failed."""
    while cause := _cause(error):
        error = cause
    if isinstance(error, OSError) and (error.errno or 0) > 0:
        return os.strerror(error.errno or 0)
    return str(error) or type(error).__name__


def _cause(error: BaseException) -> BaseException | None:
    if isinstance(error, BaseExceptionGroup):
        return error.exceptions[-1]
    # httpcore2 raises its own error "from None", around the one it caught.
    inner = error.args[0] if error.args else None
    return error.__cause__ or (inner if isinstance(inner, BaseException) else None)


def _status(error: Any) -> int:
    if not isinstance(error, dict):
        return 500
    for name in ("status", "status_code", "code"):
        value = error.get(name)
        if isinstance(value, int) and 400 <= value < 600:
            return value
    by_type = _STATUS_OF_TYPE.get(str(error.get("type")), 500)
    return _STATUS_OF_CODE.get(str(error.get("code")), by_type)
