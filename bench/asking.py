"""One chat request on a connection of its own, sent once, and whether its answer came whole."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass
from typing import Any

from bench import load, probe
from bench.probe import Answer
from bench.servers import HOST

PATIENCE = 120.0  # seconds


@dataclass(frozen=True)
class Asked:
    """Seconds from the connection to the answer's end; what is wrong with it, empty when it is whole."""

    seconds: float
    problem: str


def request(model: str, question: str, tokens: int, *, stream: bool = False) -> bytes:
    """A chat request whose answer has exactly `tokens` tokens."""
    body: dict[str, Any] = {
        "model": model,
        "messages": [{"role": "user", "content": question}],
        "max_tokens": tokens,
        "ignore_eos": True,
    }
    if stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return probe.post(load.PATH, json.dumps(body).encode(), {"Connection": "close"})


async def ask(port: int, request: bytes, tokens: int, begun: asyncio.Event | None = None) -> Asked:
    """Sends the request once.

    Args:
        begun: set at the first bytes of the answer's body, or when there will be none.
    """
    began = time.perf_counter()
    received = bytearray()
    try:
        async with asyncio.timeout(PATIENCE):
            await _receive(port, request, received, begun)
        problem = _problem(probe.parsed(bytes(received)), tokens)
    except TimeoutError:
        problem = f"not whole after {PATIENCE:g} s, {len(received)} bytes"
    except (OSError, EOFError) as error:
        problem = f"{type(error).__name__} after {len(received)} bytes: {error}"
    except (ValueError, LookupError) as error:
        problem = f"not to be read, {error}: {bytes(received[-200:])!r}"
    finally:
        if begun is not None:
            begun.set()
    return Asked(time.perf_counter() - began, problem)


async def _receive(port: int, request: bytes, received: bytearray, begun: asyncio.Event | None) -> None:
    """
    Raises:
        EOFError: the server closed the connection before the answer's end.
    """
    reader, writer = await asyncio.open_connection(HOST, port)
    try:
        writer.write(request)
        while not probe.is_whole(received):
            data = await reader.read(65536)
            if not data:
                raise EOFError("the server closed the connection")
            received += data
            if begun is not None and b"data:" in received:
                begun.set()
    finally:
        writer.close()


def _problem(answer: Answer, tokens: int) -> str:
    """What is wrong with a whole response as an answer of so many tokens."""
    if answer.status != 200:
        return f"status {answer.status}: {answer.body[:300]!r}"
    events = answer.events
    if not events:
        return _short(json.loads(answer.body), tokens)
    if events[-1] != b"[DONE]":
        return f"no [DONE] but {events[-1][:300]!r}"
    whole: dict[str, Any] = {"choices": []}
    for event in map(json.loads, events[:-1]):
        if "error" in event:
            return f"an error within: {event}"
        whole["choices"] = event["choices"] or whole["choices"]
        whole["usage"] = event.get("usage") or whole.get("usage")
    return _short(whole, tokens)


def _short(whole: dict[str, Any], tokens: int) -> str:
    reason = whole["choices"][0]["finish_reason"]
    count = (whole["usage"] or {}).get("completion_tokens")
    return "" if (reason, count) == ("length", tokens) else f"ended by {reason!r} after {count} tokens"
