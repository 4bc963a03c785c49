"""The best that a client of an engine can do: raw connections that are kept and ask on at once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import cast

import uvloop

from bench import probe
from bench.servers import HOST

PATIENCE = 600.0  # seconds
CLOSING = b"connection: close"


def answer_all(port: int, requests: Sequence[bytes], at_once: int) -> tuple[float, list[bytes]]:
    """Asks them all, so many at once: (seconds, the bodies of the answers in the order of the requests).

    Raises:
        RuntimeError: an answer has another status than 200.
        TimeoutError: they have not all come within `PATIENCE`.
    """
    return uvloop.run(_answer_all(port, requests, at_once))


async def _answer_all(port: int, requests: Sequence[bytes], at_once: int) -> tuple[float, list[bytes]]:
    loop = asyncio.get_running_loop()
    left = iter(enumerate(requests))
    found: list[bytes] = [b""] * len(requests)
    began = loop.time()
    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(*(_ask_on(port, left, found) for _ in range(at_once)))
    seconds = loop.time() - began
    # Read only now, lest it take time of the engine's cores.
    return seconds, [_body(data) for data in found]


async def _ask_on(port: int, left: Iterator[tuple[int, bytes]], found: list[bytes]) -> None:
    loop = asyncio.get_running_loop()
    lane: _Lane | None = None
    for number, request in left:
        while True:
            if lane is None or lane.closed:
                _, lane = await loop.create_connection(_Lane, HOST, port)
            data = await lane.ask(request)
            if data is not None:
                found[number] = data
                break
    if lane is not None:
        lane.close()


class _Lane(asyncio.Protocol):
    """A connection that is kept until the engine closes it, as llama.cpp does after a hundred answers."""

    def __init__(self) -> None:
        self.closed = False
        self._received = bytearray()
        self._answer: asyncio.Future[bytes | None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass

    def ask(self, request: bytes) -> asyncio.Future[bytes | None]:
        """Gives None if the connection was closed instead."""
        self._answer = asyncio.get_running_loop().create_future()
        self._received.clear()
        self._transport.write(request)
        return self._answer

    def close(self) -> None:
        self.closed = True
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        self._received += data
        if not probe.is_whole(self._received):
            return
        whole = bytes(self._received)
        if CLOSING in whole.partition(b"\r\n\r\n")[0].lower():
            self.close()
        self._give(whole)

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        self._give(None)

    def _give(self, data: bytes | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(data)


def _body(data: bytes) -> bytes:
    answer = probe.parsed(data)
    if answer.status != 200:
        raise RuntimeError(f"the engine answered {answer.status}: {answer.body[:500]!r}")
    return answer.body
