"""Where clients reach this server."""

from __future__ import annotations

import re
from collections.abc import Mapping

_HOST = re.compile(rb"[A-Za-z0-9._~-]+(:\d+)?|\[[0-9A-Fa-f:.]+\](:\d+)?")


def server_address(public_url: str | None, headers: Mapping[bytes, bytes], host: str, port: int) -> str:
    """Where clients reach this server, without a slash at the end.

    The setting `public_url`, else what the request was sent to. What proxies say in other headers is not
    believed: anybody can send those.

    Args:
        host, port: what this server listens on, for requests without a usable Host.
    """
    if public_url:
        return public_url.rstrip("/")
    asked = headers.get(b"host", b"")
    if _HOST.fullmatch(asked):
        return f"http://{asked.decode()}"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
