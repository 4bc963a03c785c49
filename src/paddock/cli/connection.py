"""The way to the server that settings and options name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from paddock import settings
from paddock.clients.transport import Failure, Transport
from paddock.errors import NotFound, PaddockError, StartupError


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
    """Opens nothing yet. The transport raises `PaddockError` with a line for a person when a request fails,
    and `NotFound` where the server answers so.

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


def _failed(failure: Failure) -> PaddockError:
    message = failure.message
    if failure.kind == "connection" and failure.status is None:
        message += ". Start a server with `paddock serve`, or name a running one with --base-url"
    elif failure.status == 401:
        message += ". Give a key with --api-key or PADDOCK_API_KEY"
    kind = NotFound if failure.status == 404 else PaddockError
    return kind(message, code=failure.kind)
