"""A stub engine in Python that misbehaves on demand: slow, dying, silent, refusing or talking garbage.

`python -m bench.stub --port 0` prints its port. In a test:

    async with stub.serving(Behaviour(die_after=3)) as engine:
        engine.url, engine.behaviour, engine.stats

`GET /v1/models`, `GET /health`, `POST /v1/chat/completions` and `/v1/completions` are as OpenAI's. For its
user there are `GET /stats` (what it saw), `POST /behaviour` (JSON of fields to change), `GET /step/MS`
(milliseconds between two tokens) and `GET /coalesce/N` (tokens in one write).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import json
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, cast

import httptools
import uvloop

from bench import answers
from bench.behaviour import Behaviour

HTML = b"<html><body>It works!</body></html>"
REASONS = {200: "OK", 401: "Unauthorized", 404: "Not Found", 429: "Too Many Requests"}


@dataclass
class Stats:
    """What the stub has seen: completions asked for, by kind and outcome, and the last request."""

    connections: int = 0
    requests: int = 0
    streams: int = 0
    finished: int = 0  # answered as the behaviour wanted, faults included
    in_flight: int = 0
    most_in_flight: int = 0
    disconnects: int = 0  # clients that left before their answer's end
    tokens: dict[str, int] = field(default_factory=dict)  # sent in streams, by the `user` of their requests
    last_path: str = ""
    last_headers: dict[str, str] = field(default_factory=dict)
    last_body: Any = None


@dataclass
class Request:
    path: str
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        try:
            return json.loads(self.body)
        except ValueError:
            return None


@dataclass
class Engine:
    """A listening stub: its address, and what tests change and read while it runs."""

    port: int
    behaviour: Behaviour
    stats: Stats

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextlib.asynccontextmanager
async def serving(behaviour: Behaviour | None = None, port: int = 0) -> AsyncIterator[Engine]:
    """Serves on loopback while the block lasts."""
    engine = Engine(port, behaviour or Behaviour(), Stats())
    connections: set[Connection] = set()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: Connection(engine, connections), "127.0.0.1", port, backlog=4096
    )
    engine.port = server.sockets[0].getsockname()[1]
    try:
        yield engine
    finally:
        server.close()
        for connection in list(connections):
            connection.close()
        await asyncio.gather(*(c.task for c in connections if c.task), return_exceptions=True)


class Connection(asyncio.Protocol):
    """One client: requests are parsed as they come and answered in their order."""

    def __init__(self, engine: Engine, connections: set[Connection]) -> None:
        self.task: asyncio.Task[None] | None = None
        self._engine = engine
        self._connections = connections
        self._waiting: deque[Request] = deque()
        self._parser = httptools.HttpRequestParser(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass
        self._writable = asyncio.Event()
        self._writable.set()
        self._connections.add(self)
        self._engine.stats.connections += 1

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.discard(self)
        if self.task:
            self.task.cancel()

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._transport.close()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def close(self) -> None:
        self._transport.abort()

    # What httptools calls while it parses.

    def on_message_begin(self) -> None:
        self._path, self._body, self._headers = b"", b"", dict[str, str]()

    def on_url(self, url: bytes) -> None:
        self._path += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        path = self._path.decode("latin-1").partition("?")[0]
        self._waiting.append(Request(path, self._headers, self._body))
        if self.task is None:
            self.task = asyncio.get_running_loop().create_task(self._answer_waiting())

    async def _answer_waiting(self) -> None:
        while self._waiting:
            await self._answer(self._waiting.popleft())
        self.task = None

    async def _answer(self, request: Request) -> None:
        key = self._engine.behaviour.key
        if key is not None and request.headers.get("authorization") != f"Bearer {key}":
            self._send_error(401, "wrong or missing API key")
        elif request.path.endswith("/completions"):
            await self._complete_counted(request)
        else:
            self._transport.write(_control(request, self._engine))

    async def _complete_counted(self, request: Request) -> None:
        stats = self._engine.stats
        stats.requests += 1
        stats.in_flight += 1
        stats.most_in_flight = max(stats.most_in_flight, stats.in_flight)
        stats.last_path, stats.last_headers, stats.last_body = request.path, request.headers, request.json()
        try:
            await self._complete(request, self._engine.behaviour.now())
            stats.finished += 1
        except asyncio.CancelledError:
            stats.disconnects += 1
            raise
        finally:
            stats.in_flight -= 1

    async def _complete(self, request: Request, behaviour: Behaviour) -> None:
        body = request.json()
        if behaviour.first_delay:
            await asyncio.sleep(behaviour.first_delay)
        if behaviour.hang:
            await asyncio.Event().wait()
        if behaviour.drop:
            return self._transport.abort()
        if behaviour.status != 200:
            return self._send_error(behaviour.status, "the stub was told to fail")
        if not isinstance(body, dict):
            return self._send_error(400, "the body is not a JSON object")
        if behaviour.garbage in ("http", "json"):
            answer = b"\x00\x01not HTTP\r\n\r\n" if behaviour.garbage == "http" else answers.http_json(HTML)
            return self._transport.write(answer)
        kind = answers.CHAT if request.path.endswith("/chat/completions") else answers.TEXT
        if body.get("stream"):
            self._engine.stats.streams += 1
            usage = bool((body.get("stream_options") or {}).get("include_usage"))
            user = str(body.get("user", ""))
            return await self._stream(answers.events(kind, behaviour.chunks, usage), behaviour, user)
        answer = answers.http_json(answers.plain(kind))
        if behaviour.die_after is not None:
            return self._end_early(answer[: len(answer) // 2])
        self._transport.write(answer)

    async def _stream(self, events: list[bytes], behaviour: Behaviour, user: str) -> None:
        tokens = self._engine.stats.tokens
        tokens.setdefault(user, 0)
        if behaviour.garbage == "event":
            events[len(events) // 2] = b"data: {not JSON\n\n"
        deadly = behaviour.die_after
        events = events if deadly is None else events[:deadly]
        chunks = [answers.http_chunk(event) for event in events]
        if deadly is None:
            chunks[-1] += answers.http_chunk(b"")
        head = answers.http_stream_head()
        for at in range(0, len(chunks), behaviour.coalesce):
            if at:
                await asyncio.sleep(behaviour.chunk_delay)
            await self._writable.wait()
            self._transport.write(head + b"".join(chunks[at : at + behaviour.coalesce]))
            tokens[user] += sum(map(answers.holds_token, events[at : at + behaviour.coalesce]))
            head = b""
        if deadly is not None:
            self._end_early(head)

    def _end_early(self, last: bytes) -> None:
        if last:
            self._transport.write(last)
        self._transport.close()

    def _send_error(self, status: int, message: str) -> None:
        reason = f"{status} {REASONS.get(status, 'Error')}"
        self._transport.write(answers.http_json(answers.error(status, message), reason))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--port", type=int, default=0, help="0, the default, takes a free one")
    for spec in dataclasses.fields(Behaviour):
        option = "--" + spec.name.replace("_", "-")
        if isinstance(spec.default, bool):
            parser.add_argument(option, action="store_true")
        else:
            kind = {"int": int, "float": float, "str": str}[str(spec.type).split(" ")[0]]
            parser.add_argument(option, type=kind, default=spec.default)
    given = vars(parser.parse_args())
    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(_serve_for_ever(given.pop("port"), Behaviour(**given)))


async def _serve_for_ever(port: int, behaviour: Behaviour) -> None:
    async with serving(behaviour, port) as engine:
        print(engine.port, flush=True)
        await asyncio.Event().wait()


def _control(request: Request, engine: Engine) -> bytes:
    if request.path.endswith("/models"):
        return answers.http_json(answers.models())
    if request.path == "/stats":
        return answers.http_json(json.dumps(dataclasses.asdict(engine.stats)).encode())
    if request.path == "/behaviour":
        for name, value in (request.json() or {}).items():
            setattr(engine.behaviour, name, value)
        return answers.http_json(json.dumps(dataclasses.asdict(engine.behaviour)).encode())
    if request.path.startswith("/step/"):
        engine.behaviour.chunk_delay = int(request.path.rpartition("/")[2]) / 1000
    elif request.path.startswith("/coalesce/"):
        engine.behaviour.coalesce = int(request.path.rpartition("/")[2])
    elif request.path != "/health":
        return answers.http_json(answers.error(404, "no such path"), "404 Not Found")
    return answers.http_json(b'{"status":"ok"}')


if __name__ == "__main__":
    main()
