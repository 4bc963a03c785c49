"""Addresses of the web that callers name: what the server may ask for them.

It stands where callers do not: beside services that trust everybody in their network, such as those that give
a machine its credentials. So a name is resolved here, and a connection goes to the very address that was
checked: a name that means something else a moment later leads nowhere.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from dataclasses import dataclass
from typing import NoReturn
from urllib.parse import SplitResult, quote, urlsplit

from paddock.errors import InvalidRequest

NOT_ALLOWED = "address_not_allowed"
LONGEST = 4000
"""Characters of an address."""
_PORTS = {"https": 443, "http": 80}
_UNICAST = ipaddress.IPv6Network("2000::/3")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_SAFE = "%/:=&?~#+!$,;'@()*[]"
"""What may stand in an address beside letters and digits; the rest is written as `%20` is."""


@dataclass(frozen=True)
class Address:
    """An address of the web, read.

    Attributes:
        host: as DNS has it; an IPv6 address without brackets.
        target: path and query.
    """

    scheme: str
    host: str
    port: int
    target: str

    @property
    def netloc(self) -> str:
        """Host and port, as the header `Host` has them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        """For people. A query is left out: in presigned addresses it is a key."""
        return f"{self.scheme}://{self.netloc}{self.target.partition('?')[0]}"


def parse(url: str, param: str, *, private: bool) -> Address:
    """Reads an address. Looks nothing up.

    Args:
        private: whether addresses of private networks may be named, and `http://` with them.

    Raises:
        InvalidRequest: it is none, has a name and password in it, or is not encrypted.
    """
    if len(url) > LONGEST or not url.isprintable() or " " in url:
        _refuse(f"{param} must be an address without spaces, of at most {LONGEST} characters", param)
    try:
        parts = urlsplit(url)
        port = parts.port
        host = (parts.hostname or "").encode("idna").decode()
    except (ValueError, UnicodeError):
        _refuse(f"{param} must be an address such as https://example.com/rows.csv", param)
    if parts.scheme not in _PORTS or not host:
        _refuse(f"{param} must be an address such as https://example.com/rows.csv", param)
    if parts.scheme == "http" and not private:
        _refuse(f"{param} must begin with https://: http:// can be read and changed on its way", param)
    if "@" in parts.netloc:
        _refuse(f"{param} must have no name or password before the host: both would be kept and shown", param)
    return Address(parts.scheme, host, port or _PORTS[parts.scheme], _target(parts))


async def resolve(host: str, port: int, param: str, *, private: bool) -> list[str]:
    """The IP addresses that a connection to `host` may go to.

    Raises:
        InvalidRequest: it has none, or one of them belongs to a private network and `private` is not set.
    """
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        found = []
    addresses = list(dict.fromkeys(str(one[4][0]) for one in found))
    if not addresses:
        _refuse(f"{param}: there is no host {host[:200]!r}", param)
    if not private and not all(is_public(one) for one in addresses):
        raise InvalidRequest(
            f"{param}: {host[:200]!r} lies in a private network, or is this machine; the operator allows such"
            " addresses with the setting allow_private_urls",
            param=param,
            code=NOT_ALLOWED,
        )
    return addresses


def is_public(address: str) -> bool:
    """Whether an IP address is one of the internet: not of a private network, a single machine or a group,
    nor an IPv6 address by which one of those is reached.
    """
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour
        if ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
        if ip not in _UNICAST:
            return False
    return ip.is_global and not (ip.is_private or ip.is_multicast or ip.is_reserved)


def _target(parts: SplitResult) -> str:
    query = f"?{parts.query}" if parts.query else ""
    return quote((parts.path or "/") + query, safe=_SAFE)


def _refuse(said: str, param: str) -> NoReturn:
    raise InvalidRequest(said, param=param)
