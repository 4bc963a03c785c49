"""One HTTP client for each server and event loop: connections belong to the loop that opened them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

import httpx2

from paddock.clients.transport.connecting import client_options


@dataclass(slots=True)
class _Held:
    clients: dict[str, httpx2.AsyncClient] = field(default_factory=dict)
    closing: AsyncGenerator[None] | None = None


_held: dict[asyncio.AbstractEventLoop, _Held] = {}
_inherited: list[_Held] = []


async def client_for(origin: str) -> httpx2.AsyncClient:
    """The running loop's client, whose connections to `origin` are kept open between requests."""
    loop = asyncio.get_running_loop()
    held = _held.get(loop)
    if held is None:
        _forget_closed_loops()
        held = _held[loop] = _Held()
        held.closing = _close_with(loop, held)
        await anext(held.closing)
    client = held.clients.get(origin)
    if client is None:
        client = held.clients[origin] = httpx2.AsyncClient(**client_options(origin))
    return client


async def _close_with(loop: asyncio.AbstractEventLoop, held: _Held) -> AsyncGenerator[None]:
    # asyncio.run() ends by closing the loop's unfinished async generators, and that is the only moment
    # it offers for closing connections: so this generator waits, unfinished, for that.
    try:
        yield
    finally:
        _held.pop(loop, None)
        for client in held.clients.values():
            await client.aclose()


def _forget_closed_loops() -> None:
    for loop in [loop for loop in tuple(_held) if loop.is_closed()]:
        _held.pop(loop, None)


def _begin_anew_after_fork() -> None:
    # As for threads: the parent goes on using the sockets, so the child neither uses nor closes them.
    _inherited.extend(_held.values())
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew_after_fork)
