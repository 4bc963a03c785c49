"""Somebody asks once a second, beside a batch and without one: what is waited, and what the batch loses.

`python -m bench.batch_online [--quick] [--rounds 5]`.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from bench import api, foal, jobs, load, probe, processes, prompts, report, servers
from bench.api import Api
from bench.servers import Server

TOKENS, ONLINE_TOKENS = 48, 64
PROMPTS = 100_000
"""More than any round can answer."""
SECONDS = 20
EVERY = 1.0
QUIET = 6.0
"""Seconds after the last online request before a batch is taken to be alone."""
SLOWER, KEPT = 3.0, 0.5
WHOLE, FIRST, STREAM = "whole answer", "first token", "whole stream"


@dataclass
class Waits:
    """Seconds that online requests took, by what was waited for."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: {WHOLE: [], FIRST: [], STREAM: []})

    def p50(self, what: str) -> float:
        return statistics.median(self.seconds[what])


@dataclass(frozen=True)
class Round:
    """What online requests waited without a batch and beside it, and its rows per second alone and beside."""

    without: Waits
    beside: Waits
    alone: float
    shared: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one round of 8 seconds for each")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    rounds, seconds = (1, 8) if arguments.quick else (arguments.rounds, SECONDS)
    servers.end_on_sigterm()
    how = (
        f"A chat of {ONLINE_TOKENS} tokens each second, whole and streamed in turns, whether or not the one"
        f" before is answered; for {seconds} s without a batch, then {seconds} s of a batch alone, then both;"
        f" {rounds} rounds. The batch's answers have up to {TOKENS} tokens. Ratios are medians of theirs."
    )
    report.header("Online beside a batch", how)
    with tempfile.TemporaryDirectory(prefix="paddock-bench-") as name:
        with foal.served(Path(name)) as (_, _, paddock), api.connected(paddock.port) as client:
            lines = prompts.lines(prompts.CHATS, prompts.made(PROMPTS), TOKENS, foal.MODEL)
            file_id = jobs.upload(client, lines)
            _online(paddock, 4)  # warms up
            _show([_round(client, paddock, file_id, seconds) for _ in range(rounds)])


def _show(rounds: Sequence[Round]) -> None:
    rows, targets = [], []
    for what in (WHOLE, FIRST, STREAM):
        without = statistics.median(one.without.p50(what) for one in rounds)
        beside = statistics.median(one.beside.p50(what) for one in rounds)
        ratio = statistics.median(one.beside.p50(what) / one.without.p50(what) for one in rounds)
        rows.append([f"{what}, p50 ms", f"{1e3 * without:.1f}", f"{1e3 * beside:.1f}", f"{ratio:.2f}"])
        targets.append(report.Target(f"{what}: beside a batch / without", ratio, SLOWER, True))
    alone = statistics.median(one.alone for one in rounds)
    shared = statistics.median(one.shared for one in rounds)
    kept = statistics.median(one.shared / one.alone for one in rounds)
    rows.append(["the batch, rows/s", f"{alone:.1f}", f"{shared:.1f}", f"{kept:.2f}"])
    targets.append(report.Target("the batch's rate beside online / alone", kept, KEPT))
    report.table(["", "alone", "beside each other", "ratio"], rows)
    report.targets(targets)


def _round(client: Api, paddock: Server, file_id: str, seconds: int) -> Round:
    processes.settle(paddock)
    without = _online(paddock, seconds)
    job_id = jobs.start(client, file_id, prompts.CHATS)
    while not jobs.get(client, job_id)["done"]:
        time.sleep(0.05)
    time.sleep(QUIET)
    _, alone = _rate(client, job_id, lambda: time.sleep(seconds))
    # Those that begin when somebody comes, and what the batch has at the engine already, are seen too.
    beside, shared = _rate(client, job_id, lambda: _online(paddock, seconds))
    jobs.cancel(client, job_id)
    assert beside is not None
    return Round(without, beside, alone, shared)


def _rate(client: Api, job_id: str, meanwhile: Callable[[], Waits | None]) -> tuple[Waits | None, float]:
    """(what `meanwhile` gives, rows that the batch answered per second of it)."""
    before, began = jobs.get(client, job_id)["done"], time.perf_counter()
    found = meanwhile()
    job, ended = jobs.get(client, job_id), time.perf_counter()
    if jobs.is_over(job):
        raise RuntimeError(f"the batch is {job['state']} already: {job['reason']}")
    return found, (job["done"] - before) / (ended - began)


def _online(paddock: Server, seconds: int) -> Waits:
    """One request after the other, begun on time even if the one before is not answered."""
    waits, lock = Waits(), threading.Lock()

    def ask(stream: bool) -> None:
        request = probe.post(load.PATH, foal.request_body(foal.MODEL, ONLINE_TOKENS, stream))
        with probe.connected(paddock.port) as connection:
            answer = connection.ask(request)
        if answer.status != 200 or (stream and answer.events[-1:] != [b"[DONE]"]):
            raise RuntimeError(f"an online request got {answer.status} {answer.body[-500:]!r}")
        with lock:
            if stream:
                waits.seconds[FIRST].append(answer.first)
            waits.seconds[STREAM if stream else WHOLE].append(answer.total)

    began = time.perf_counter()
    with ThreadPoolExecutor(64) as pool:
        asked = []
        for number in range(round(seconds / EVERY)):
            time.sleep(max(0.0, began + number * EVERY - time.perf_counter()))
            asked.append(pool.submit(ask, number % 2 == 1))
        time.sleep(max(0.0, began + seconds - time.perf_counter()))
    for one in asked:
        one.result()
    return waits


if __name__ == "__main__":
    main()
