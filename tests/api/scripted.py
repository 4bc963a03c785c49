"""An engine that answers with the very bytes a test gives it, and keeps what it was sent."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

Script = Callable[[asyncio.StreamWriter, dict[str, Any]], Awaitable[None]]


@dataclass
class Engine:
    url: str = ""
    connections: int = 0
    bodies: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    headers: list[str] = field(default_factory=list)
    left: int = 0
    """Requests whose sender closed the connection before the script ended."""


@contextlib.asynccontextmanager
async def serving(script: Script) -> AsyncIterator[Engine]:
    """Runs `script` for each request; the connection closes when it raises ConnectionError."""
    engine = Engine()
    tasks: set[asyncio.Task[None]] = set()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        engine.connections += 1
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                length = int(head.partition("content-length: ")[2].partition("\r\n")[0] or 0)
                data = await reader.readexactly(length)
                engine.paths.append(head.split()[1])
                engine.headers.append(head)
                engine.bodies.append(json.loads(data) if data else {})
                await _watched(engine, reader, script(writer, engine.bodies[-1]))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            tasks.discard(task)

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    engine.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield engine
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _watched(engine: Engine, reader: asyncio.StreamReader, work: Awaitable[None]) -> None:
    """Ends the script when the sender leaves."""
    running = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(reader.read(1))
    try:
        await asyncio.wait({running, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not running.done():
            engine.left += 1
            raise ConnectionResetError
        running.result()
    finally:
        for task in (running, leaving):
            task.cancel()
        await asyncio.gather(running, leaving, return_exceptions=True)


def plain(body: Any, status: str = "200 OK", *headers: str) -> bytes:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status}", "Content-Type: application/json", *headers]
    return "\r\n".join([*lines, f"Content-Length: {len(data)}"]).encode() + b"\r\n\r\n" + data


STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def streamed(*pieces: bytes) -> bytes:
    """A whole streamed answer."""
    return STREAM + b"".join(chunk(piece) for piece in pieces) + chunk(b"")


def event(value: Any) -> bytes:
    return b"data: " + json.dumps(value, separators=(",", ":")).encode() + b"\n\n"


def answering(*answers: bytes) -> Script:
    """Gives one answer to each request, the last one again and again."""
    left: Sequence[bytes] = answers

    async def script(writer: asyncio.StreamWriter, body: dict[str, Any]) -> None:
        nonlocal left
        writer.write(left[0])
        left = left[1:] or left

    return script
