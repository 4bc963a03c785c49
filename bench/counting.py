"""A relay in front of an engine that counts what is asked of it, and keeps what it said.

`python -m bench.counting ENGINE_PORT PORT`. `GET /count` tells how many chats were asked for, and
`GET /counted` the prompt of each, in the order in which they came, and all answers to each prompt.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sys
from asyncio import StreamReader, StreamWriter
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench import answers, load, machine, probe, servers
from bench.api import connected
from bench.servers import HOST, Server, free_port

CLOSING = b"connection: close"
COUNT, COUNTED = "/count", "/counted"


@dataclass(frozen=True)
class Counted:
    """
    Attributes:
        asked: the prompts of chats, in the order in which they came.
        said: the answers to each, as often as there was one.
    """

    asked: list[str]
    said: dict[str, list[str]]


@contextlib.contextmanager
def counting(engine_port: int, folder: Path) -> Iterator[Server]:
    port = free_port()
    argv = [sys.executable, "-m", "bench.counting", str(engine_port), str(port)]
    env = {"PYTHONPATH": str(machine.ROOT)}
    with servers.running("counting", argv, folder, port, COUNT, env=env) as server:
        yield server


def count(relay: Server) -> int:
    """How many chats were asked for until now."""
    with connected(relay.port) as client:
        return int(client.ask("GET", COUNT)["asked"])


def counted(relay: Server) -> Counted:
    with connected(relay.port) as client:
        return Counted(**client.ask("GET", COUNTED))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("engine_port", type=int)
    parser.add_argument("port", type=int)
    arguments = parser.parse_args()
    asyncio.run(_Relay(arguments.engine_port).run(arguments.port))


class _Relay:
    def __init__(self, engine_port: int) -> None:
        self._asked: list[str] = []
        self._said: defaultdict[str, list[str]] = defaultdict(list)
        self._engine_port = engine_port

    async def run(self, port: int) -> None:
        server = await asyncio.start_server(self._accept, HOST, port)
        await server.serve_forever()

    async def _accept(self, reader: StreamReader, writer: StreamWriter) -> None:
        engine: tuple[StreamReader, StreamWriter] | None = None
        try:
            while True:
                request = await _request(reader)
                if (own := self._own_answer(request)) is not None:
                    writer.write(own)
                    continue
                prompt = _prompt(request)
                if prompt is not None:
                    self._asked.append(prompt)
                engine, answer = await self._ask(engine, request)
                if prompt is not None:
                    self._note(prompt, answer)
                writer.write(answer)
                await writer.drain()
                if CLOSING in answer.partition(b"\r\n\r\n")[0].lower():
                    return
        except (OSError, EOFError):
            return  # Whoever asked is gone.
        finally:
            writer.close()
            if engine is not None:
                engine[1].close()

    def _own_answer(self, request: bytes) -> bytes | None:
        path = request.split(b" ", 2)[1].decode()
        if path == COUNT:
            return answers.http_json(json.dumps({"asked": len(self._asked)}).encode())
        if path == COUNTED:
            return answers.http_json(json.dumps({"asked": self._asked, "said": self._said}).encode())
        return None

    async def _ask(
        self, engine: tuple[StreamReader, StreamWriter] | None, request: bytes
    ) -> tuple[tuple[StreamReader, StreamWriter], bytes]:
        """(the connection to go on with, the answer); a kept connection may have been closed meanwhile."""
        if engine is not None:
            answer = await _exchange(engine, request)
            if answer:
                return engine, answer
            engine[1].close()
        engine = await asyncio.open_connection(HOST, self._engine_port)
        answer = await _exchange(engine, request)
        if not answer:
            raise EOFError("the engine closed the connection")
        return engine, answer

    def _note(self, prompt: str, data: bytes) -> None:
        answer = probe.parsed(data)
        if answer.status == 200:
            self._said[prompt].append(json.loads(answer.body)["choices"][0]["message"]["content"])


async def _request(reader: StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = 0
    for line in head.lower().split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name == b"content-length":
            length = int(value)
    return head + await reader.readexactly(length)


async def _exchange(engine: tuple[StreamReader, StreamWriter], request: bytes) -> bytes:
    """The answer; empty if the connection was closed instead."""
    reader, writer = engine
    received = bytearray()
    try:
        writer.write(request)
        while not probe.is_whole(received):
            data = await reader.read(65536)
            if not data:
                return b""
            received += data
    except OSError:
        return b""
    return bytes(received)


def _prompt(request: bytes) -> str | None:
    """What a chat asks for; None if the request is none."""
    head, _, body = request.partition(b"\r\n\r\n")
    if load.PATH.encode() not in head.partition(b"\r\n")[0]:
        return None
    return str(json.loads(body)["messages"][-1]["content"])


if __name__ == "__main__":
    main()
