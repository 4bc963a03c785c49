"""The bytes at the head of an HTTP response."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

_STATUS_LINES = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
}
_NO_BREAKS = {10: " ", 13: " ", 0: " "}


def status_line(status: int) -> bytes:
    return _STATUS_LINES.get(status) or b"HTTP/1.1 %d Unknown\r\n" % status


def new_headers(*lines: tuple[str, Any]) -> bytes:
    """Header lines; line breaks in a value cannot start another header."""
    return b"".join(
        f"{name}: {str(value).translate(_NO_BREAKS)}\r\n".encode("latin-1", "replace")
        for name, value in lines
    )
