"""Many streams at once: a thousand connections from one process, each asks once and reads to the end."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from bench import answers, load, probe
from bench.servers import HOST


@dataclass(frozen=True)
class Crowd:
    """How a crowd of streams fared: how many were whole, the most that were open at once, what went wrong."""

    whole: int
    most_open: int
    seconds: float
    problems: list[str]


def run(port: int, streams: int, timeout: float = 300.0) -> Crowd:
    """Opens `streams` connections, sends a streaming request on each and checks every answer in full."""
    return asyncio.run(_run(port, streams, timeout))


async def _run(port: int, streams: int, timeout: float) -> Crowd:
    loop = asyncio.get_running_loop()
    began = loop.time()
    clients = [_Client(loop.create_future()) for _ in range(streams)]
    await asyncio.gather(*(_connect(client, port) for client in clients))
    for client in clients:
        client.ask()
    waiting = [client.done for client in clients]
    await asyncio.wait(waiting, timeout=timeout)
    problems = [problem for client in clients if (problem := client.problem())]
    return Crowd(streams - len(problems), _most_open(clients), loop.time() - began, problems)


async def _connect(client: _Client, port: int) -> None:
    try:
        await asyncio.get_running_loop().create_connection(lambda: client, HOST, port)
    except OSError as error:
        client.fail(f"cannot connect: {error}")


class _Client(asyncio.Protocol):
    """One connection with one request; times are those of the first event and of the end."""

    def __init__(self, done: asyncio.Future[None]) -> None:
        self.done = done
        self.first = self.end = 0.0
        self._received = bytearray()
        self._failure = ""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def ask(self) -> None:
        if self._transport and not self.done.done():
            self._transport.write(probe.post(load.PATH, load.request_body(stream=True)))

    def data_received(self, data: bytes) -> None:
        self._received += data
        if not self.first and b"data:" in self._received:
            self.first = asyncio.get_running_loop().time()
        if self._received.endswith(probe.END_OF_CHUNKS):
            self.end = asyncio.get_running_loop().time()
            self._finish()

    def connection_lost(self, exc: Exception | None) -> None:
        self.fail(f"connection lost: {exc or 'closed by the server'}")

    def fail(self, why: str) -> None:
        if not self.done.done():
            self._failure = why
            self._finish()

    def problem(self) -> str:
        """What is wrong with the answer; empty when it is whole."""
        if self._failure or not self.end:
            return self._failure or f"not finished in time, after {len(self._received)} bytes"
        try:
            answer = probe.parsed(bytes(self._received))
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
