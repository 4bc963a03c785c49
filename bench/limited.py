"""Keys that ask for all they can get, each with a limit of another kind, of two gateway processes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvloop

from bench import answers, books, contestants, customers, keys, probe, report, servers
from bench.keys import ApiKey
from bench.servers import HOST, Server
from bench.talking import connect, head
from paddock.schemas.limits import NANO

WINDOW = 60.0
REQUESTS, TOKENS, CONCURRENT, BUDGET = 3_000, 60_000, 8, 0.5
MOST_OVER = 0.01
PAUSE = 0.03
"""Seconds after a refusal."""
AT_ONCE = 8
"""Connections of each key; the one with limited concurrency has three times as many as it may ask at once."""
ASKED_EACH = 25
"""On one connection; the next may reach the other process."""
SLOW = "slow"
TOKEN_SECONDS = 0.002


@dataclass
class Pressed:
    """What came of pressing a limit.

    Attributes:
        through: when each answer that was let through was whole, and the tokens it used.
        odd: statuses that are neither 200 nor 429.
    """

    what: str
    keys: list[ApiKey]
    limit: float
    model: str = answers.MODEL
    at_once: int = AT_ONCE
    streams: bool = False
    through: list[tuple[float, int]] = field(default_factory=list)
    refused: int = 0
    odd: list[int] = field(default_factory=list)

    def most(self, *, tokens: bool = False) -> int:
        """The most requests, or tokens, within any `WINDOW`."""
        most = now = first = 0
        for at, used in self.through:
            now += used if tokens else 1
            while self.through[first][0] <= at - WINDOW:
                now -= self.through[first][1] if tokens else 1
                first += 1
            most = max(most, now)
        return most


def how(seconds: float) -> str:
    return (
        f"{customers.WORKERS} gateway processes, all keys at once for {seconds:g} s, {AT_ONCE} connections"
        f" for each, which ask again {1000 * PAUSE:g} ms after a refusal and are replaced after {ASKED_EACH}"
        f" requests. What was let through is counted by its callers, in any {WINDOW:g} s; requests at once by"
        " the engine, costs by the ledger."
    )


def measure(folder: Path, seconds: float) -> list[report.Target]:
    data = folder / "data"
    them, reader = _made(data)
    port = servers.free_port()
    with contextlib.ExitStack() as stack:
        stub = stack.enter_context(contestants.stub(folder))
        options = ["--chunk-delay", f"{TOKEN_SECONDS}"]
        slow = stack.enter_context(customers.python_stub(folder, SLOW, options))
        attach = ["--attach", f"{answers.MODEL}={stub.url}/v1", "--attach", f"{SLOW}={slow.url}/v1"]
        argv = [*customers.serve(attach), "--port", f"{port}", "--data-dir", f"{data}"]
        env = {"PADDOCK_ACCESS_LOG": "false"}
        customers.until_serving(stack.enter_context(servers.started("Paddock", argv, folder, port, env=env)))
        uvloop.run(_press_all(port, them, seconds))
        time.sleep(1)
        said = books.said(port, reader.secret)
        at_once = _most_at_once(slow)
    return _show(them, said, at_once)


def _made(data: Path) -> tuple[list[Pressed], ApiKey]:
    keys.write_prices(data)

    def key(name: str, project: str = "apart", **limits: Any) -> ApiKey:
        return keys.make(data, name, project, limits)

    shared = [key("ann", "shared"), key("ben", "shared")]
    keys.limit_project(data, "shared", {"requests_per_minute": REQUESTS})
    budget = key("budget", budget=BUDGET, budget_period="total")
    concurrent = key("concurrent", concurrent_requests=CONCURRENT)
    them = [
        Pressed("requests per minute of a key", [key("requests", requests_per_minute=REQUESTS)], REQUESTS),
        Pressed("requests per minute of a project", shared, REQUESTS),
        Pressed("tokens per minute", [key("tokens", tokens_per_minute=TOKENS)], TOKENS, streams=True),
        Pressed("requests at once", [concurrent], CONCURRENT, SLOW, 3 * CONCURRENT, streams=True),
        Pressed("budget", [budget], BUDGET, streams=True),
    ]
    return them, keys.make(data, "reader", scopes=["admin"])


async def _press_all(port: int, them: Sequence[Pressed], seconds: float) -> None:
    end = time.time() + seconds
    await asyncio.gather(
        *(
            _press(port, one, key, end, number)
            for one in them
            for key in one.keys
            for number in range(one.at_once)
        )
    )
    for one in them:
        one.through.sort()


async def _press(port: int, one: Pressed, key: ApiKey, end: float, number: int) -> None:
    while time.time() < end:
        connection = await connect(port)
        for turn in range(ASKED_EACH):
            stream = one.streams and (turn + number) % 2 == 0
            got = await connection.ask(_request(one.model, key, stream=stream))
            status = head(got)[1]
            if status == 200:
                one.through.append((time.time(), _used(probe.parsed(bytes(got)))))
            elif status == 429:
                one.refused += 1
                await asyncio.sleep(PAUSE)
            else:
                one.odd.append(status)
            if time.time() > end or connection.lost:
                break
        connection.leave(at_once=False)


def _request(model: str, key: ApiKey, *, stream: bool) -> bytes:
    messages = [{"role": "user", "content": "What can a foal do on its first day?"}]
    fields: dict[str, Any] = {"model": model, "messages": messages, "max_tokens": 64}
    if stream:
        fields |= {"stream": True, "stream_options": {"include_usage": True}}
    headers = {"Authorization": f"Bearer {key.secret}"}
    return probe.post("/v1/chat/completions", json.dumps(fields).encode(), headers)


def _used(answer: probe.Answer) -> int:
    """Tokens. A stream that the limit ends says nothing of its prompt."""
    events = answer.events
    if not events:
        return int(json.loads(answer.body)["usage"]["total_tokens"])
    usage = json.loads(events[-2]).get("usage") if events[-1] == b"[DONE]" else None
    return int(usage["total_tokens"]) if usage else sum(map(answers.holds_token, events))


def _most_at_once(slow: Server) -> int:
    with probe.connected(slow.port) as connection:
        stats = connection.ask(f"GET /stats HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
    return int(json.loads(stats.body)["most_in_flight"])


def _show(them: Sequence[Pressed], said: Mapping[str, books.Sums], at_once: int) -> list[report.Target]:
    rows, targets = [], []
    for one in them:
        counted = {
            "requests at once": float(at_once),
            "budget": said[one.keys[0].id].cost / NANO,
            "tokens per minute": float(one.most(tokens=True)),
        }
        most = counted.get(one.what, float(one.most()))
        shown = [report.number(one.limit), report.number(most)]
        rows.append([one.what, *shown, f"{len(one.through):,}", f"{one.refused:,}"])
        over = 100 * (most / one.limit - 1)
        targets.append(report.Target(f"{one.what}: over", max(0.0, over), 100 * MOST_OVER, True, " %"))
        if one.odd:
            raise RuntimeError(f"{one.what}: answers with status {sorted(set(one.odd))}")
    report.table(["limit", "is", "most", "let through in all", "refused"], rows)
    return targets
