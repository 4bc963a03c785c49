"""One try to bring a message to its receiver, who is not trusted: see `services.addresses`."""

from __future__ import annotations

import asyncio
import base64
import time

import httpcore2

from paddock.errors import InvalidRequest
from paddock.services import addresses
from paddock.services.addresses import Address
from paddock.services.fetching import Checked
from paddock.services.webhooks import signatures
from paddock.services.webhooks.outbox import Message, Outcome

SECONDS = 10.0
"""For the whole of a try."""
_KEPT_OPEN = 32
_IDLE_SECONDS = 10.0
_LONGEST_ANSWER = 65_536
"""Bytes of an answer that are read, and thrown away: a connection is used again once its answer is over."""


def new_pool(*, private: bool) -> httpcore2.AsyncConnectionPool:
    """Connections to receivers. One pool is for many messages: certificates are loaded once for it.

    Args:
        private: as `addresses.parse` has it.
    """
    return httpcore2.AsyncConnectionPool(
        ssl_context=httpcore2.default_ssl_context(),
        network_backend=Checked("url", private),
        max_connections=None,
        max_keepalive_connections=_KEPT_OPEN,
        keepalive_expiry=_IDLE_SECONDS,
    )


async def send(
    pool: httpcore2.AsyncConnectionPool, message: Message, *, private: bool, seconds: float = SECONDS
) -> Outcome:
    """Posts it. Only an answer of 2xx is a yes; redirects are not followed."""
    try:
        address = addresses.parse(message.url, "url", private=private)
        async with asyncio.timeout(seconds):
            status = await _post(pool, address, message)
    except InvalidRequest as error:
        return Outcome(0, error.message)
    except TimeoutError:
        return Outcome(0, f"it did not answer within {seconds:g} s")
    except (httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.TimeoutException) as error:
        return Outcome(0, f"the connection failed: {str(error)[:200] or type(error).__name__}")
    if 200 <= status < 300:
        return Outcome(status)
    return Outcome(status, f"it answered {status}")


async def _post(pool: httpcore2.AsyncConnectionPool, address: Address, message: Message) -> int:
    response = await pool.handle_async_request(_request(address, message))
    try:
        read = 0
        async for piece in response.aiter_stream():
            read += len(piece)
            if read > _LONGEST_ANSWER:
                break
    finally:
        await response.aclose()
    return int(response.status)


def _request(address: Address, message: Message) -> httpcore2.Request:
    url = httpcore2.URL(
        scheme=address.scheme.encode(),
        host=address.host.encode(),
        port=address.port,
        target=address.target.encode(),
    )
    headers = [
        ("Host", address.netloc),
        ("User-Agent", "paddock"),
        ("Content-Type", "application/json"),
        ("Content-Length", str(len(message.body))),
        *signatures.headers(message.secret, message.event_id, int(time.time()), message.body),
    ]
    if message.user is not None:
        known = base64.b64encode(f"{message.user}:{message.password or ''}".encode()).decode()
        headers.append(("Authorization", f"Basic {known}"))
    return httpcore2.Request("POST", url, headers=headers, content=message.body)
