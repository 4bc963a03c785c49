"""The bundled model: served by Paddock, and its engine asked directly or started by itself."""

from __future__ import annotations

import contextlib
import json
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

from bench import contestants, load, probe, processes, servers
from bench.servers import Server, free_port
from paddock.engines.engine import Launch
from paddock.engines.llama_cpp.convert import convert
from paddock.engines.llama_cpp.launch import KEY_VARIABLE, choose_engine
from paddock.engines.llama_cpp.sizing import size_engine
from paddock.weights.resolve import resolve

MODEL = "paddock/foal"
KEY = secrets.token_urlsafe(24)


def engine_command(folder: Path, port: int) -> Launch:
    """The command that `paddock serve` would start for the model; converted weights are kept in `folder`."""
    model = resolve(MODEL)
    weights = convert(model.path, folder / "gguf")
    return choose_engine(None).launch(size_engine(weights, model.name, KEY), port)


@contextlib.contextmanager
def served(folder: Path) -> Iterator[tuple[Server, str, Server]]:
    """(its engine, the key that it wants, Paddock serving the model): one engine, two ways to it."""
    port = free_port()
    argv = [contestants.PADDOCK, "serve", "--port", str(port)]
    settings = {"PADDOCK_DATA_DIR": str(folder), "PADDOCK_ACCESS_LOG": "false"}
    with servers.running("Paddock", argv, folder, port, "/healthz", env=settings) as paddock:
        (engine,) = processes.children(paddock)
        arguments = processes.command_line(engine)
        address = int(arguments[arguments.index("--port") + 1])
        direct = Server("direct", address, paddock.process, paddock.log)
        yield direct, processes.environment(engine)[KEY_VARIABLE], paddock


def request_body(model: str, tokens: int, stream: bool) -> bytes:
    """A chat request whose answer has exactly `tokens` tokens."""
    messages = [{"role": "user", "content": "Tell me about horses and how they live."}]
    request = {
        "model": model,
        "messages": messages,
        "max_tokens": tokens,
        "temperature": 0,
        "top_k": 1,  # what Paddock asks greedily for; asked directly it spares the engine sorting too
        "ignore_eos": True,
    }
    return json.dumps(request | ({"stream": True} if stream else {})).encode()


def seconds_to_first_token(server: Server, began: float, patience: float = 120.0) -> float:
    """Asks for one token until it comes; the seconds since `began`, a `time.perf_counter()`.

    Raises:
        RuntimeError: it has not come within `patience` seconds, or the server has ended.
    """
    key = {"Authorization": f"Bearer {KEY}"}
    request = probe.post(load.PATH, request_body(MODEL, 1, stream=True), key)
    while time.perf_counter() < began + patience and server.process.poll() is None:
        with contextlib.suppress(OSError), probe.connected(server.port) as connection:
            answer = connection.ask(request)
            if answer.status == 200 and answer.events:
                return time.perf_counter() - began
        time.sleep(0.005)
    raise RuntimeError(f"{server.name} gave no token:\n{servers.tail(server.log)}")
