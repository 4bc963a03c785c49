"""Streams of server-sent events that go on until the caller leaves or the server drains."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from paddock.errors import InvalidRequest
from paddock.gateway.head import new_headers
from paddock.gateway.http import Request
from paddock.gateway.query import flag, number
from paddock.store.sessions import Store

POLL_SECONDS = 0.2
"""How often the store is asked: only changes of this process ring."""
KEEP_ALIVE_SECONDS = 15.0
"""Proxies close connections on which nothing comes, most of them after 30 or 60 seconds."""

Read = Callable[[], Awaitable[bytes | None]]
"""What is new, as whole events: nothing if nothing is, None if nothing ever will be."""


def wants_stream(request: Request, values: Mapping[str, str]) -> bool:
    """By `follow=true`, or as a browser's EventSource asks.

    Raises:
        InvalidRequest: `follow` is neither true nor false.
    """
    asked = flag(values, "follow")
    return request.method == "GET" and (asked or b"text/event-stream" in request.headers.get(b"accept", b""))


def resume_from(request: Request, values: Mapping[str, str]) -> int | None:
    """The id after which a stream goes on: the one that the caller has seen, or `after`; None for neither.

    Who reconnects asks as before, and Last-Event-ID says what came meanwhile.

    Raises:
        InvalidRequest: it is no id.
    """
    seen = request.headers.get(b"last-event-id", b"").decode("latin-1").strip()
    if seen:
        if not seen.isdigit():
            raise InvalidRequest(
                f"Last-Event-ID must be the id of an event, not {seen[:40]!r}", param="Last-Event-ID"
            )
        return number({"Last-Event-ID": seen}, "Last-Event-ID", 0)
    return number(values, "after", 0) if "after" in values else None


def event(id: int, data: str, kind: str | None = None) -> bytes:
    """One event; `data` is a line of JSON."""
    name = f"event: {kind}\n" if kind else ""
    return f"id: {id}\n{name}data: {data}\n\n".encode()


async def follow(request: Request, store: Store, read: Read, ending: Callable[[], bool]) -> None:
    """Answers with what `read` finds, and goes on finding, as long as the key works that asks.

    Args:
        ending: whether the server drains.
    """
    connection, clock = request.connection, asyncio.get_running_loop().time
    bell = asyncio.Event()
    silence = store.on_change(bell.set)
    request.record.status, request.record.streamed = 200, True
    connection.start_stream(
        200,
        new_headers(
            ("content-type", "text/event-stream; charset=utf-8"),
            ("cache-control", "no-cache"),
            ("x-accel-buffering", "no"),
            ("x-request-id", request.id),
        ),
    )
    try:
        # The first bytes tell that the request was understood, which may otherwise take a while.
        connection.write(b":\n\n")
        spoke = clock()
        while not ending() and request.key_works():
            # To a caller who does not keep up nothing is sent, nor read for it.
            found = b"" if connection.paused else await read()
            if found is None:
                break
            if found:
                connection.write(found)
                spoke = clock()
            else:
                if clock() - spoke >= KEEP_ALIVE_SECONDS and not connection.paused:
                    connection.write(b":\n\n")
                    spoke = clock()
                await _nap(bell)
        connection.end_stream()
    finally:
        silence()


async def _nap(bell: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(POLL_SECONDS):
            await bell.wait()
    except TimeoutError:
        return
    bell.clear()
