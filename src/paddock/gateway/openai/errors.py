"""Errors in OpenAI's shape."""

from __future__ import annotations

import orjson

from paddock.errors import PaddockError

_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


def error_body(error: PaddockError) -> bytes:
    """`{"error": {message, type, param, code}}`, as OpenAI's API reference has it."""
    kind = _TYPES.get(error.status) or ("invalid_request_error" if error.status < 500 else "server_error")
    return orjson.dumps(
        {"error": {"message": error.message, "type": kind, "param": error.param, "code": error.code}}
    )
