"""What every error answer has."""

from __future__ import annotations

from typing import Any


def error_of(answer: Any, status: int) -> dict[str, Any]:
    """The error, in exactly OpenAI's shape."""
    assert answer.status_code == status, answer.text[:300]
    assert answer.headers["content-type"] == "application/json"
    assert len(answer.headers["x-request-id"]) == 32
    body = answer.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"message", "type", "param", "code"}
    error: dict[str, Any] = body["error"]
    assert error["type"] == ("server_error" if status >= 500 else "invalid_request_error")
    return error
