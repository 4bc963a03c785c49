"""What people notice of a batch beside them, and a batch of people.

`python -m bench.batch_online [--seconds 20] [--rounds 3]`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from bench import api, foal, jobs, load, prompts, report, servers
from bench.api import Api

TOKENS = 48
PROMPTS = 20_000
"""More than are answered in all rounds."""
SETTLED = 6.0
"""Seconds after the last request of somebody until a batch has the engine to itself again."""
SLOWER, LEAST_SHARE = 3.0, 0.5


@dataclass(frozen=True)
class Round:
    """Seconds to whole answers, and rows of the batch in a second."""

    alone: list[float]
    beside: list[float]
    rate_alone: float
    rate_beside: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    servers.end_on_sigterm()
    how = (
        f"A chat of {TOKENS} tokens a second, {arguments.seconds} s without and {arguments.seconds} s with"
        f" a batch beside it; {arguments.rounds} rounds in turns."
    )
    report.header("A batch beside people", how)
    with tempfile.TemporaryDirectory(prefix="paddock-bench-") as name:
        with foal.served(Path(name)) as (_, _, paddock), api.connected(paddock.port) as client:
            rounds = [_round(client, arguments.seconds) for _ in range(arguments.rounds)]
    _show(rounds)


def _round(client: Api, seconds: int) -> Round:
    alone = _ask(client, seconds)
    asked = prompts.made(PROMPTS)
    lines = prompts.lines(prompts.CHATS, asked, TOKENS, foal.MODEL)
    batch = jobs.start(client, jobs.upload(client, lines), prompts.CHATS)
    time.sleep(SETTLED)
    rate_alone = _rate(client, batch, lambda: time.sleep(seconds / 2))
    beside: list[float] = []
    rate_beside = _rate(client, batch, lambda: beside.extend(_ask(client, seconds)))
    jobs.cancel(client, batch)
    return Round(alone, beside, rate_alone, rate_beside)


def _ask(client: Api, seconds: int) -> list[float]:
    """The times of one chat a second."""
    found = []
    for _ in range(seconds):
        began = time.perf_counter()
        client.send("POST", load.PATH, foal.request_body(foal.MODEL, TOKENS, stream=False))
        found.append(time.perf_counter() - began)
        time.sleep(max(0.0, 1.0 - found[-1]))
    return found


def _rate(client: Api, batch: str, meanwhile: object) -> float:
    assert callable(meanwhile)
    before, began = jobs.get(client, batch)["done"], time.perf_counter()
    meanwhile()
    job = jobs.get(client, batch)
    if jobs.is_over(job):
        raise RuntimeError(f"the batch was over too soon: {json.dumps(job)}")
    return float(job["done"] - before) / (time.perf_counter() - began)


def _show(rounds: list[Round]) -> None:
    rows = [
        [
            f"{number}",
            f"{statistics.median(one.alone) * 1000:.0f}",
            f"{statistics.median(one.beside) * 1000:.0f}",
            f"{max(one.beside) * 1000:.0f}",
            f"{one.rate_alone:.0f}",
            f"{one.rate_beside:.0f}",
        ]
        for number, one in enumerate(rounds, 1)
    ]
    columns = ["round", "alone p50, ms", "beside p50, ms", "beside max, ms", "rows/s alone", "rows/s beside"]
    report.table(columns, rows)
    alone = statistics.median([seconds for one in rounds for seconds in one.alone])
    beside = statistics.median([seconds for one in rounds for seconds in one.beside])
    share = statistics.median([one.rate_beside / one.rate_alone for one in rounds])
    report.targets(
        [
            report.Target("p50 of a chat beside a batch, of that without", beside / alone, SLOWER, True),
            report.Target("rate of a batch beside chats, of that alone", share, LEAST_SHARE),
        ]
    )


if __name__ == "__main__":
    main()
