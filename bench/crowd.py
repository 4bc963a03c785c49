"""Many requests at once from one process: a thousand streams, or a few clients that ask again and again."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import cast

import uvloop

from bench import answers, load, probe
from bench.servers import HOST

PATIENCE = 300.0  # seconds


@dataclass(frozen=True)
class Crowd:
    """How a crowd of streams fared: how many were whole, the most that were open at once, what went wrong."""

    whole: int
    most_open: int
    seconds: float
    problems: list[str]


def stream_all(port: int, streams: int, timeout: float = PATIENCE) -> Crowd:
    """Opens `streams` connections, sends a streaming request on each and checks every answer in full."""
    return uvloop.run(_stream_all(port, streams, timeout))


def seconds_to_answer(port: int, request: bytes, at_once: int, each: int) -> float:
    """The time in which `at_once` clients get `each` answers one after the other, a connection for each.

    Raises:
        RuntimeError: an answer was not whole, or had another status than 200.
        TimeoutError: they have not all come within PATIENCE.
    """
    return uvloop.run(_seconds_to_answer(port, request, at_once, each))


async def _stream_all(port: int, streams: int, timeout: float) -> Crowd:
    loop = asyncio.get_running_loop()
    began = loop.time()
    request = probe.post(load.PATH, load.request_body(stream=True))
    clients = [_Client(loop.create_future(), request) for _ in range(streams)]
    await asyncio.gather(*(_connect(client, port) for client in clients))
    for client in clients:
        client.ask()
    await asyncio.wait([client.done for client in clients], timeout=timeout)
    seconds = loop.time() - began
    problems = [problem for client in clients if (problem := client.problem())]
    return Crowd(streams - len(problems), _most_open(clients), seconds, problems)


async def _seconds_to_answer(port: int, request: bytes, at_once: int, each: int) -> float:
    loop = asyncio.get_running_loop()

    async def ask_again_and_again() -> None:
        for _ in range(each):
            client = _Client(loop.create_future(), request)
            await _connect(client, port)
            client.ask()
            await client.done
            if client.failure or not client.received.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(f"{client.failure or bytes(client.received[:600])!r}")

    began = loop.time()
    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(*(ask_again_and_again() for _ in range(at_once)))
    return loop.time() - began


async def _connect(client: _Client, port: int) -> None:
    try:
        await asyncio.get_running_loop().create_connection(lambda: client, HOST, port)
    except OSError as error:
        client.fail(f"cannot connect: {error}")


class _Client(asyncio.Protocol):
    """One connection with one request; times are those of the first event and of the end."""

    def __init__(self, done: asyncio.Future[None], request: bytes) -> None:
        self.done = done
        self._request = request
        self.first = self.end = 0.0
        self.received = bytearray()
        self.failure = ""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass

    def ask(self) -> None:
        if self._transport and not self.done.done():
            self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self.received += data
        if not self.first and b"data:" in self.received:
            self.first = asyncio.get_running_loop().time()
        if probe.is_whole(self.received):
            self.end = asyncio.get_running_loop().time()
            self._finish()

    def connection_lost(self, exc: Exception | None) -> None:
        self.fail(f"connection lost: {exc or 'closed by the server'}")

    def fail(self, why: str) -> None:
        if not self.done.done():
            self.failure = why
            self._finish()

    def problem(self) -> str:
        """What is wrong with the answer; empty when it is whole."""
        if self.failure or not self.end:
            return self.failure or f"not finished in time, after {len(self.received)} bytes"
        try:
            answer = probe.parsed(bytes(self.received))
            probe.check_stream(answer, answers.STREAMED, answers.CHUNKS)
        except (RuntimeError, ValueError, LookupError) as error:
            return str(error)
        return ""

    def _finish(self) -> None:
        self.done.set_result(None)
        if self._transport:
            self._transport.close()


def _most_open(clients: list[_Client]) -> int:
    """The most streams that had begun and not ended at one moment."""
    moments = [(client.first, 1) for client in clients if client.end]
    moments += [(client.end, -1) for client in clients if client.end]
    most = now = 0
    for _, change in sorted(moments):
        now += change
        most = max(most, now)
    return most
