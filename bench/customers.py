"""Four keys in two projects, and three engines: one that answers, one that refuses, one that dies."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import answers, contestants, install, keys, mixed, probe, servers
from bench.keys import ApiKey
from bench.servers import HOST, Server, free_port

WORKERS = 2
_CUSTOMERS = (("ann", "north"), ("ben", "north"), ("cleo", "south"), ("dan", "south"))
_STEP, _COALESCED = 4, 4
"""Milliseconds and tokens of a turn of the stub: a stream takes 64 ms, in which somebody may leave."""
_QUIET_SECONDS = 1.5
_PATIENCE = 60.0


@dataclass(frozen=True)
class Customers:
    """
    Attributes:
        keys: of all that ask.
        reader: may read everybody's usage.
    """

    keys: Sequence[ApiKey]
    reader: ApiKey


def made(data: Path) -> Customers:
    """Their keys, with limits that none reaches, and prices."""
    keys.write_prices(data)
    them = [keys.make(data, name, project, keys.PLENTY) for name, project in _CUSTOMERS]
    for project in {one.project for one in them}:
        keys.limit_project(data, project, keys.PLENTY)
    return Customers(them, keys.make(data, "reader", scopes=["admin"]))


@contextlib.contextmanager
def engines(folder: Path) -> Iterator[tuple[Server, list[str]]]:
    """The stub in C, which counts what it sends, and what makes a server answer with it and the others."""
    if install.stub() is None:
        raise SystemExit("a C compiler is missing: the engine that counts is written in C (Debian: gcc)")
    with contextlib.ExitStack() as stack:
        stub = stack.enter_context(contestants.stub(folder))
        contestants.step(stub, _STEP)
        contestants.coalesce(stub, _COALESCED)
        options = {mixed.REFUSED: ["--status", "500"], mixed.DIES: ["--die-after", f"{mixed.DIES_AFTER}"]}
        argv = ["--attach", f"{answers.MODEL}={stub.url}/v1"]
        for kind, given in options.items():
            faulty = stack.enter_context(python_stub(folder, mixed.MODELS[kind], given))
            argv += ["--attach", f"{faulty.name}={faulty.url}/v1"]
        yield stub, argv


@contextlib.contextmanager
def python_stub(folder: Path, name: str, options: Sequence[str]) -> Iterator[Server]:
    """The stub that misbehaves on demand."""
    port = free_port()
    argv = [sys.executable, "-m", "bench.stub", "--port", f"{port}", *options]
    env = {"PYTHONPATH": str(Path(__file__).parents[1])}
    with servers.running(name, argv, folder, port, "/health", env=env) as server:
        yield server


def serve(attach: Sequence[str]) -> list[str]:
    """The command that serves them, but for its port and data."""
    return [contestants.PADDOCK, "serve", "--workers", f"{WORKERS}", "--require-keys", *attach]


def until_serving(server: Server) -> None:
    """Returns once all of its gateway processes answer: `/readyz` speaks for one of them.

    Raises:
        RuntimeError: it ended, or they do not.
    """
    deadline = time.monotonic() + _PATIENCE
    while b"Paddock serves" not in server.log.read_bytes():
        if server.process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"{server.name} does not serve:\n{servers.tail(server.log)}")
        time.sleep(0.02)


def sent(stub: Server) -> Mapping[int, int]:
    """Tokens that the stub has sent, by request, once nothing is under way any more.

    Raises:
        RuntimeError: it does not come to an end.
    """
    deadline = time.monotonic() + _PATIENCE
    found = _sent(stub)
    while time.monotonic() < deadline:
        time.sleep(_QUIET_SECONDS)
        before, found = found, _sent(stub)
        if before == found:
            return found
    raise RuntimeError("the engine still sends")


def _sent(stub: Server) -> Mapping[int, int]:
    with probe.connected(stub.port) as connection:
        text = connection.ask(f"GET /sent HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()).body
    return {int(user): int(count) for user, count in (line.split() for line in text.splitlines())}
