"""Where calls go: the module attributes `api_key` and `base_url`, read at each call."""

from __future__ import annotations

from typing import TYPE_CHECKING

from paddock.clients import fireworks, transport
from paddock.clients.fireworks.error import InvalidRequestError, from_failure

if TYPE_CHECKING:
    from paddock.clients.transport import AsyncTransport, Transport


def connect(request_timeout: float | None) -> Transport:
    """A transport to the server that the module attributes name at this moment."""
    base_url, api_key, timeout = _target(request_timeout)
    return transport.Transport(base_url, from_failure, api_key=api_key, timeout=timeout)


def connect_async(request_timeout: float | None) -> AsyncTransport:
    base_url, api_key, timeout = _target(request_timeout)
    return transport.AsyncTransport(base_url, from_failure, api_key=api_key, timeout=timeout)


def _target(request_timeout: float | None) -> tuple[str, str | None, float | None]:
    base_url = fireworks.base_url
    if not isinstance(base_url, str) or not base_url.startswith(("http://", "https://")):
        raise InvalidRequestError(
            f"base_url must be a URL such as http://127.0.0.1:8800/inference/v1, not {base_url!r}"
        )
    if request_timeout is not None and (
        isinstance(request_timeout, bool)
        or not isinstance(request_timeout, int | float)
        or not request_timeout > 0
    ):
        raise InvalidRequestError(
            f"request_timeout must be a number of seconds above 0, not {request_timeout!r}"
        )
    return base_url, fireworks.api_key, request_timeout
