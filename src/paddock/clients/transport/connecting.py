"""How a pooled HTTP client for one server is set up."""

from __future__ import annotations

import ipaddress
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import TypedDict
from urllib.parse import urlsplit

import httpx2

CONNECT_TIMEOUT = 10.0
# httpx2's own 100 would make the hundred-and-first concurrent request wait for another to end.
_LIMITS = httpx2.Limits(max_connections=2000, max_keepalive_connections=100, keepalive_expiry=30.0)


class ClientOptions(TypedDict):
    cookies: CookieJar
    limits: httpx2.Limits
    verify: bool
    trust_env: bool


def origin(base_url: str) -> str:
    """Scheme, host and port: what connections are shared by."""
    parts = urlsplit(base_url)
    return f"{parts.scheme}://{parts.netloc}"


def client_options(origin: str) -> ClientOptions:
    """Keyword arguments of `httpx2.Client` and `httpx2.AsyncClient`."""
    parts = urlsplit(origin)
    # A proxy from the environment cannot reach this machine's loopback; and without TLS, loading the
    # certificates (tens of milliseconds) is for nothing.
    near = parts.scheme == "http" and is_loopback(parts.hostname or "")
    # Calls with different keys share connections; a cookie that one was given is not for the others.
    no_cookies = CookieJar(DefaultCookiePolicy(allowed_domains=()))
    return {"cookies": no_cookies, "limits": _LIMITS, "verify": not near, "trust_env": not near}


def timeouts(seconds: float | None) -> httpx2.Timeout:
    """`seconds` for each wait of a request, less for connecting: a server that is there accepts soon."""
    connect = CONNECT_TIMEOUT if seconds is None else min(CONNECT_TIMEOUT, seconds)
    return httpx2.Timeout(seconds, connect=connect)


def is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
