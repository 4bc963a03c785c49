"""The bytes at the head of HTTP messages."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

_STATUS_LINES = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
}
_UPGRADE = (b"upgrade", b"connection", b"http2-settings")
_NO_BREAKS = {10: " ", 13: " ", 0: " "}


def status_line(status: int) -> bytes:
    return _STATUS_LINES.get(status) or b"HTTP/1.1 %d Unknown\r\n" % status


def new_headers(*lines: tuple[str, Any]) -> bytes:
    """Header lines; line breaks in a value cannot start another header."""
    return b"".join(
        f"{name}: {str(value).translate(_NO_BREAKS)}\r\n".encode("latin-1", "replace")
        for name, value in lines
    )


def without_upgrade(method: bytes, url: bytes, headers: Mapping[bytes, bytes]) -> bytes:
    """The head of a request as if it had not offered to go on in another protocol."""
    lines = [b"%b: %b\r\n" % item for item in headers.items() if item[0] not in _UPGRADE]
    return b"%b %b HTTP/1.1\r\n%b\r\n" % (method, url, b"".join(lines))
