"""Keeps web pages off a server that wants no keys because only its machine's users reach it.

Their browsers do too, and what these run comes from anywhere: a page may send requests to loopback (which
browsers mark with an `Origin`), and may have its own name lead there (which its `Host` then is). A key
protects from both, for no page knows it.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit

from paddock.errors import Forbidden

_REMEMBERED = 1024
_HELP = (
    "give the server --public-url with the address by which it is reached, or let it ask for keys with"
    " --require-keys, or for nothing with --allow-anonymous"
)


class Pages:
    """
    Args:
        public_url: where clients reach the server, if the operator said so.
    """

    def __init__(self, public_url: str | None = None) -> None:
        self._public = _host_of(public_url) if public_url else ""
        self.good: set[tuple[bytes | None, bytes | None]] = set()

    def check(self, headers: Mapping[bytes, bytes]) -> None:
        """
        Raises:
            Forbidden: a page of another site may have sent it.
        """
        sent = headers.get(b"host"), headers.get(b"origin")
        if sent not in self.good:
            self._look(*sent)
            if len(self.good) >= _REMEMBERED:
                self.good.clear()
            self.good.add(sent)

    def _look(self, host: bytes | None, origin: bytes | None) -> None:
        asked = _host_of("//" + (host or b"").decode("latin-1"))
        if not (asked == self._public or _is_name_here(asked) or _address(asked) is not None):
            raise Forbidden(
                f"this server, which wants no keys, is not asked as {asked[:100]!r}, for a page of another"
                f" site could do that; {_HELP}",
                code="host_not_allowed",
            )
        if origin is None:
            return
        page = _host_of(origin.decode("latin-1"))
        if not page or not (page in (asked, self._public) or _is_name_here(page) or _is_near(page)):
            raise Forbidden(
                f"this server, which wants no keys, answers no page of {origin[:100].decode('latin-1')!r};"
                f" {_HELP}",
                code="origin_not_allowed",
            )


def _host_of(url: str) -> str:
    """Its host in lower case, without the dot that a whole name may end with; empty if it has none."""
    try:
        return (urlsplit(url).hostname or "").rstrip(".")
    except ValueError:
        return ""


def _is_name_here(host: str) -> bool:
    """Whether no one can have that name in the internet."""
    return host.endswith((".localhost", ".internal")) or ("." not in host and ":" not in host)


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _is_near(host: str) -> bool:
    """Whether it is an address of this machine or of a private network: others are anybody's."""
    found = _address(host)
    return found is not None and not found.is_global
