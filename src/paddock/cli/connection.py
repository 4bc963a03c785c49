"""The way to the server that settings and options name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paddock import settings
from paddock.clients.transport import Failure, Transport
from paddock.errors import (
    NotFound,
    PaddockError,
    RateLimited,
    StartupError,
    Unauthorized,
    Unavailable,
)

JSON = dict[str, Any]
# What a command may want to tell apart.
_KINDS: dict[int, type[PaddockError]] = {
    401: Unauthorized,
    404: NotFound,
    429: RateLimited,
    502: Unavailable,
    503: Unavailable,
    504: Unavailable,
}


@dataclass(frozen=True)
class Connection:
    """
    Attributes:
        url: the server's, without the path of any dialect.
        data_dir: this user's folder.
    """

    url: str
    data_dir: Path
    transport: Transport


def connect(base_url: str | None, api_key: str | None, mount: str) -> Connection:
    """Opens nothing yet. The transport raises `PaddockError` with a line for a person when a request fails:
    `Unauthorized`, `NotFound`, `RateLimited` or `Unavailable` where the server answers so, and with the code
    `connection` or `timeout` where it does not answer.

    Args:
        mount: the path of the dialect, such as `/v1`.

    Raises:
        StartupError: the address is none.
    """
    chosen = settings.load({"base_url": base_url, "api_key": api_key})
    url = chosen.base_url.rstrip("/").removesuffix(mount).removesuffix("/v1")
    if not url.startswith(("http://", "https://")):
        raise StartupError(
            f"the server's address must be a URL such as http://127.0.0.1:8800, not {chosen.base_url!r}"
        )
    transport = Transport(f"{url}{mount}", _failed, api_key=chosen.api_key, timeout=chosen.request_timeout)
    return Connection(url, chosen.data_dir, transport)


def object_with(field: str) -> Callable[[Any], JSON]:
    """Takes an object that has this field for what it should be."""

    def parse(body: Any) -> JSON:
        if not isinstance(body, dict) or field not in body:
            raise ValueError(f"it has no {field!r}; is this the address of a Paddock server?")
        return body

    return parse


def _failed(failure: Failure) -> PaddockError:
    message = failure.message
    if failure.kind == "connection" and failure.status is None:
        message += ". Start a server with `paddock serve`, or name a running one with --base-url"
    elif failure.status == 401:
        message += ". Give a key with --api-key or PADDOCK_API_KEY"
    kind = _KINDS.get(failure.status or 0, PaddockError)
    return kind(message, code=failure.kind, retry_after=failure.retry_after)
