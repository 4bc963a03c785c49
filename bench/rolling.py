"""Requests and streams while their deployment rolls to new engines, and while its replicas are killed.

`python -m bench.rolling [--quick] [--requests 1000] [--streams 32]`.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import itertools
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bench import api, asking, contestants, engines, report, servers
from bench.api import JSON, Api
from bench.asking import Asked
from bench.engines import Engine
from bench.servers import Server, free_port

NAME = "rolled"
REPLICAS, WORKERS, AT_ONCE = 2, 2, 16
TOKENS, LONG = 64, 600
CONTEXTS = (1024, 2048)
"""What an update changes, to and fro: it needs new engines, and every answer fits into both."""
PAUSE = 0.3
KILLS = 2
ROUNDS = 3
MOST = 0.75
"""The others may have to wait for a slot: two gateways do not know how many each sends where."""


@dataclass
class Seen:
    """What happened while a load ran: its requests, and how long each change took to be over, in seconds."""

    asked: list[Asked] = field(default_factory=list)
    changes: list[float] = field(default_factory=list)

    @property
    def failed(self) -> int:
        return sum(bool(one.problem) for one in self.asked)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="300 requests, one round of 8 streams")
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--streams", type=int, default=32)
    arguments = parser.parse_args()
    requests, streams, rounds = arguments.requests, arguments.streams, ROUNDS
    if arguments.quick:
        requests, streams, rounds = 300, 8, 1
    servers.end_on_sigterm()
    how = (
        f"{REPLICAS} replicas of foal behind `--workers {WORKERS}`. Chats of {TOKENS} tokens from {AT_ONCE}"
        f" clients, a new connection for each, without retries; streams of {LONG} tokens."
        " An answer counts when it is whole: status 200, its end, and all of its tokens."
    )
    report.header("Under change", how)
    with tempfile.TemporaryDirectory(prefix="paddock-bench-") as name:
        folder = Path(name)
        port = free_port()
        argv = [contestants.PADDOCK, "serve", "--data-dir", str(folder / "data"), "--port", str(port)]
        argv += ["--workers", str(WORKERS), "--no-access-log"]
        with servers.running("Paddock", argv, folder, port, "/healthz") as server:
            _measure(server, requests, streams, rounds)


def _measure(server: Server, requests: int, streams: int, rounds: int) -> None:
    with api.connected(server.port) as client:
        client.create(NAME, min_workers=REPLICAS, max_workers=REPLICAS)
        client.until(NAME, api.is_whole)
    rolls: dict[str, Seen] = {
        "nothing": _loaded(server, requests, _nothing),
        "rolling updates": _loaded(server, requests, _updates),
        "replicas killed": _loaded(server, requests, _kills),
    }
    rows = [[what, *_row(seen)] for what, seen in rolls.items()]
    report.table(
        ["meanwhile", "whole", "failed", "median, s", "slowest, s", "changes", "slowest change, s"], rows
    )
    cut, least_open = _streams(server, streams, rounds)
    _tell(server, [one for seen in rolls.values() for one in seen.asked])
    done = {what: float(seen.failed) for what, seen in rolls.items() if seen.changes}
    targets = [report.Target(f"{what}: failed requests", count, 0, True) for what, count in done.items()]
    report.targets(
        [
            *targets,
            report.Target(f"streams cut of {rounds} x {streams}", cut, 0, True),
            report.Target("streams open when new engines took over, least", least_open, streams),
        ]
    )


def _row(seen: Seen) -> list[str]:
    seconds = [one.seconds for one in seen.asked if not one.problem] or [0.0]
    whole = len(seen.asked) - seen.failed
    times = [f"{statistics.median(seconds):.3f}", f"{max(seconds):.3f}"]
    change = f"{max(seen.changes):.2f}" if seen.changes else ""
    return [f"{whole}", f"{seen.failed}", *times, f"{len(seen.changes)}", change]


def _tell(server: Server, asked: list[Asked]) -> None:
    problems = [one.problem for one in asked if one.problem]
    for problem in sorted(set(problems))[:10]:
        print(f"({problems.count(problem)} times: {problem})")
    if problems:
        print(f"\nThe end of the server's log:\n{servers.tail(server.log)}\n")


# ---- whole answers

Meanwhile = Callable[[Api, Server, "Progress"], Iterator[float]]


class Progress:
    """How far a load is, for the thread that disturbs it."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.answered = 0
        self.over = threading.Event()

    def reaches(self, share: float) -> bool:
        """Waits until this share of the answers is there; False if the load ended before."""
        while self.answered < share * self.total:
            if self.over.wait(0.005):
                return False
        return not self.over.is_set()


def _loaded(server: Server, requests: int, meanwhile: Meanwhile) -> Seen:
    """Asks for all answers while `meanwhile` goes on in a thread of its own."""
    progress = Progress(requests)
    seen = Seen()

    def disturb() -> None:
        with api.connected(server.port) as client:
            seen.changes += meanwhile(client, server, progress)

    async def load() -> None:
        disturbing = asyncio.ensure_future(asyncio.to_thread(disturb))
        numbers = iter(range(requests))

        async def ask_again_and_again() -> None:
            for number in numbers:
                request = asking.request(NAME, f"What is {number} plus {number % 7}?", TOKENS)
                seen.asked.append(await asking.ask(server.port, request, TOKENS))
                progress.answered += 1

        await asyncio.gather(*(ask_again_and_again() for _ in range(AT_ONCE)))
        progress.over.set()
        await disturbing

    asyncio.run(load())
    return seen


def _nothing(client: Api, server: Server, progress: Progress) -> Iterator[float]:
    return iter(())


def _updates(client: Api, server: Server, progress: Progress) -> Iterator[float]:
    """One rolling update after the other. Yields the seconds of each, until the old engines have ended."""
    while progress.reaches(0.02):
        began = time.perf_counter()
        _update(client)
        client.until(NAME, api.is_whole, step=0.05)
        yield time.perf_counter() - began
        time.sleep(PAUSE)


def _kills(client: Api, server: Server, progress: Progress) -> Iterator[float]:
    """Kills one replica after the other. Yields the seconds until another one was ready in its place."""
    for number in range(KILLS):
        if not progress.reaches((number + 1) / (KILLS + 1)):
            raise RuntimeError("the load was over before a replica was killed")
        victim = next(one for one in engines.of_server(server) if one.deployment == NAME)
        began = time.perf_counter()
        victim.kill()
        client.until(NAME, functools.partial(_is_replaced, victim), step=0.05)
        yield time.perf_counter() - began


def _update(client: Api) -> None:
    length = client.get(NAME)["context_length"]
    (other,) = [one for one in CONTEXTS if one != length][:1]
    client.ask("PATCH", f"{api.DEPLOYMENTS}/{NAME}", {"context_length": other})


def _is_replaced(victim: Engine, deployment: JSON) -> bool:
    mark = victim.replica.rpartition("-")[2]
    return api.is_whole(deployment) and not any(one["id"].endswith(mark) for one in deployment["replicas"])


# ---- streams


def _streams(server: Server, streams: int, rounds: int) -> tuple[int, int]:
    """(streams that were cut, the fewest that were open when the new engines took over)."""
    rows = []
    cut, least_open = 0, streams
    for number in range(rounds):
        asked, still_open, seconds = asyncio.run(_stream(server, streams))
        _tell(server, asked)
        broken = sum(bool(one.problem) for one in asked)
        cut, least_open = cut + broken, min(least_open, still_open)
        longest = max(one.seconds for one in asked)
        counts = [f"{streams - broken}", f"{broken}", f"{still_open}"]
        rows.append([f"round {number + 1}", *counts, f"{seconds:.2f}", f"{longest:.2f}"])
    report.table(
        ["streams", "whole", "cut", "open when it took over", "took over after, s", "longest stream, s"], rows
    )
    return cut, least_open


async def _stream(server: Server, streams: int) -> tuple[list[Asked], int, float]:
    """Opens all streams and updates their deployment once most of them have begun."""
    begun = [asyncio.Event() for _ in range(streams)]
    stories = [f"Tell me {number} stories." for number in range(streams)]
    requests = [asking.request(NAME, story, LONG, stream=True) for story in stories]
    running = [
        asyncio.ensure_future(asking.ask(server.port, request, LONG, event))
        for request, event in zip(requests, begun, strict=True)
    ]
    beginnings = asyncio.as_completed([event.wait() for event in begun])
    for beginning in itertools.islice(beginnings, int(MOST * streams)):
        await beginning
    began = time.perf_counter()
    with api.connected(server.port) as client:
        await asyncio.to_thread(_update, client)
        await asyncio.to_thread(client.until, NAME, _took_over)
        seconds = time.perf_counter() - began
        still_open = sum(not one.done() for one in running)
        asked = await asyncio.gather(*running)
        await asyncio.to_thread(client.until, NAME, api.is_whole)
    return asked, still_open, seconds


def _took_over(deployment: JSON) -> bool:
    """Whether requests go to new engines only: the old ones drain."""
    ready = [one["generation"] for one in deployment["replicas"] if one["state"] == "ready"]
    return ready == [deployment["generation"]] * REPLICAS


if __name__ == "__main__":
    main()
