"""Files of the web, fetched for who named them: `addresses` says which; here is how, and how much.

No setting of the environment sends it elsewhere: a proxy would look names up itself, and connect to what was
never checked. Certificates are checked against the system's, or those of `SSL_CERT_FILE`, which is the way to
add an authority of one's own.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Iterable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar
from urllib.parse import urljoin

import httpcore2

from paddock.errors import InvalidRequest
from paddock.services import addresses
from paddock.services.addresses import Address
from paddock.settings import Settings

Result = TypeVar("Result")
NOT_FETCHED = "file_not_fetched"
MOST_REDIRECTS = 5
CONNECT_SECONDS = 15.0
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_HEADERS = (("User-Agent", "paddock"), ("Accept", "*/*"), ("Accept-Encoding", "identity"))


@dataclass(frozen=True)
class Limits:
    """
    Attributes:
        size: bytes of the longest file.
        seconds: of waiting for it, in all.
        private: as `addresses.parse` has it.
    """

    size: int
    seconds: float
    private: bool = False


def limits(settings: Settings) -> Limits:
    return Limits(settings.max_file, settings.fetch_timeout, settings.allow_private_urls)


async def fetch(url: str, param: str, most: Limits) -> AsyncGenerator[bytes, None]:
    """The bytes of a file, in pieces: all of them, or an error comes instead of the next piece.

    Raises:
        InvalidRequest: it may not be fetched, is too large, or does not come whole and in time; says which.
    """
    fetched = _Fetch(url, param, most)
    async with httpcore2.AsyncConnectionPool(
        network_backend=Checked(param, most.private), max_connections=1
    ) as pool:
        response = await fetched.open(pool)
        try:
            async for piece in fetched.body(response):
                yield piece
        finally:
            await response.aclose()


class _Fetch:
    """One file on its way. What its reader does between two pieces takes none of its time."""

    def __init__(self, url: str, param: str, most: Limits) -> None:
        self._url = url
        self._address = addresses.parse(url, param, private=most.private)
        self._param = param
        self._most = most
        self._left = most.seconds

    async def open(self, pool: httpcore2.AsyncConnectionPool) -> httpcore2.Response:
        """The answer that has the file, with nothing of it read."""
        for _ in range(MOST_REDIRECTS + 1):
            response = await self._wait(pool.handle_async_request(_request(self._address)))
            if response.status not in _REDIRECTS:
                self._check(response)
                return response
            location = _header(response, b"location")
            await response.aclose()
            try:
                self._url = urljoin(self._url, location)
            except ValueError:
                self._fail("it was sent on to what is no address")
            self._address = addresses.parse(self._url, self._param, private=self._most.private)
        self._fail(f"it was sent on more than {MOST_REDIRECTS} times")

    async def body(self, response: httpcore2.Response) -> AsyncGenerator[bytes, None]:
        size = 0
        async with aclosing(_pieces(response)) as pieces:
            while (piece := await self._wait(anext(pieces, None))) is not None:
                size += len(piece)
                self._check_size(size)
                yield piece

    def _check(self, response: httpcore2.Response) -> None:
        if response.status != 200:
            self._fail(f"its server answered {response.status}")
        if (coding := _header(response, b"content-encoding")) not in ("", "identity"):
            self._fail(f"its server sent it as {coding[:40]}, without being asked to")
        length = _header(response, b"content-length")
        if not length and "chunked" not in _header(response, b"transfer-encoding"):
            self._fail("its server does not say how long it is, so that half of it would look like all of it")
        self._check_size(int(length or 0))

    def _check_size(self, size: int) -> None:
        if size > self._most.size:
            self._fail(f"it has more than {self._most.size} bytes, which is the most that is read here")

    async def _wait(self, coming: Awaitable[Result]) -> Result:
        began = time.monotonic()
        try:
            async with asyncio.timeout(self._left):
                return await coming
        except (TimeoutError, httpcore2.TimeoutException):
            self._fail(f"it did not come within {self._most.seconds:g} s, or not its beginning")
        except (httpcore2.NetworkError, httpcore2.ProtocolError) as error:
            self._fail(f"the connection failed: {str(error)[:200] or type(error).__name__}")
        finally:
            self._left -= time.monotonic() - began

    def _fail(self, why: str) -> NoReturn:
        raise InvalidRequest(
            f"{self._param}: {str(self._address)[:300]} could not be fetched: {why}",
            param=self._param,
            code=NOT_FETCHED,
        )


class Checked(httpcore2.AsyncNetworkBackend):
    """Connects to addresses that were checked, each time."""

    def __init__(self, param: str, private: bool) -> None:
        self._param = param
        self._private = private
        self._inner = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        failed: Exception = httpcore2.ConnectError("no address")
        for address in await addresses.resolve(host, port, self._param, private=self._private):
            try:
                return await self._inner.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failed = error
        raise failed


def _request(address: Address) -> httpcore2.Request:
    url = httpcore2.URL(
        scheme=address.scheme.encode(),
        host=address.host.encode(),
        port=address.port,
        target=address.target.encode(),
    )
    headers = [("Host", address.netloc), *_HEADERS]
    return httpcore2.Request(
        "GET", url, headers=headers, extensions={"timeout": {"connect": CONNECT_SECONDS}}
    )


async def _pieces(response: httpcore2.Response) -> AsyncGenerator[bytes, None]:
    async for piece in response.aiter_stream():
        yield piece


def _header(response: httpcore2.Response, name: bytes) -> str:
    """Lower-cased but for addresses; empty if there is none."""
    values = [value for key, value in response.headers if key.lower() == name]
    text = values[0].decode("latin-1").strip() if values else ""
    return text if name == b"location" else text.lower()
