"""Who reaches the server by the address that it listens on, and what that opens or closes."""

from __future__ import annotations

import ipaddress

from paddock.errors import StartupError
from paddock.settings import Settings


def keys_required(settings: Settings) -> bool:
    """Whether nobody is answered without a key.

    Raises:
        StartupError: the operator says both.
    """
    if settings.require_keys and settings.allow_anonymous:
        raise StartupError("require_keys and allow_anonymous contradict each other; choose one")
    return settings.require_keys or not (settings.allow_anonymous or is_loopback(settings.host))


def is_personal(settings: Settings) -> bool:
    """Whether only this machine's users ask, all of whom are one: they may name whatever they read anyway."""
    return is_loopback(settings.host) and not settings.require_keys


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
