"""Limits under two processes that ask for far more: does any window have more than the limit, and what does a
request pay for being counted?

`python -m bench.limits [--quick] [--seconds 20]`.
"""

from __future__ import annotations

import argparse
import asyncio
import bisect
import contextlib
import importlib
import itertools
import multiprocessing
import random
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import report
from paddock.errors import RateLimited
from paddock.gateway.ledger import LedgerWriter
from paddock.gateway.limit_lanes import Lane
from paddock.gateway.limits import Limiter
from paddock.schemas.limits import NANO, Limits
from paddock.schemas.usage import Series
from paddock.services.keys import Key
from paddock.services.limits import Window
from paddock.store.ledger import Ledger

# The tests' own PostgreSQL.
postgres: Any = importlib.import_module("tests.postgres")

PROCESSES, CLIENTS = 2, 24
WINDOW = 6.0
"""A minute of these limits, in seconds."""
MOST = 1.0
"""Overshoot in percent."""
ANSWER, LONGEST = 100, 300
"""Tokens that requests take, and that they are reckoned with."""
PRICE = NANO // 1000
"""Of a token."""
PIECES = 10


@dataclass(frozen=True)
class Case:
    """
    Attributes:
        limit: in `limits` the only one.
        holds: seconds that a request takes at most.
        most: overshoot in percent.
        known: how much a request costs at most is known when it comes.
    """

    what: str
    kind: str
    limit: int
    limits: Limits
    holds: float
    most: float = MOST
    known: bool = True


_BUDGET = Limits(budget=100 * NANO, budget_period="total")
CASES = (
    Case("3 requests", "rate", 3, Limits(requests_per_minute=3), 0.0, 0.0),
    Case("3,000 requests", "rate", 3000, Limits(requests_per_minute=3000), 0.0),
    Case("300,000 tokens", "tokens", 300_000, Limits(tokens_per_minute=300_000), 0.02),
    Case("10 at once", "at once", 10, Limits(concurrent_requests=10), 0.02, 0.0),
    Case("a budget", "budget", 100 * NANO, _BUDGET, 1.0),
    Case("a budget, costs unknown", "budget", 100 * NANO, _BUDGET, 1.0, MOST, False),
)


@dataclass(frozen=True)
class Order:
    """What a process does."""

    url: str
    case: Case
    number: int
    starts: float
    seconds: float


@dataclass(frozen=True)
class Did:
    """A request that was let through: when, until when, and how much it took of what is limited."""

    began: float
    ended: float
    took: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="eight seconds each")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each limit on each database")
    arguments = parser.parse_args()
    seconds = 8.0 if arguments.quick else arguments.seconds
    how = (
        f"{PROCESSES} processes with {CLIENTS} clients each, {seconds:.0f} s for each limit; a minute is"
        f" {WINDOW:.0f} s here. A client that is refused comes again within 20 ms."
    )
    report.header("Limits", how)
    with tempfile.TemporaryDirectory(prefix="paddock-bench-") as name, postgres.running() as server:
        folder = Path(name)
        wanted = []
        for database in ("SQLite", "PostgreSQL"):
            rows = []
            for case in CASES:
                url = f"sqlite:///{folder / case.what}.db" if database == "SQLite" else server.empty()
                row, target = _try(url, case, seconds, database)
                rows.append(row)
                wanted.append(target)
            print(f"{database}:\n")
            report.table(["limit", "most in any window", "of the limit", "let through", "refused"], rows)
        _cost(folder)
        report.targets(wanted)


def _try(url: str, case: Case, seconds: float, database: str) -> tuple[list[str], report.Target]:
    ledger = Ledger(url)
    ledger.open()
    ledger.close()
    orders = [Order(url, case, number, time.time() + 2.0, seconds) for number in range(PROCESSES)]
    with multiprocessing.get_context("spawn").Pool(PROCESSES) as pool:
        found = pool.map(_process, orders)
    done = [one for part, _ in found for one in part]
    most = {"at once": _most_at_once, "budget": _sum}.get(case.kind, _most_in_a_window)(done)
    share = 100 * most / case.limit
    shown = f"{most / NANO:.3f}" if case.kind == "budget" else report.number(most)
    row = [case.what, shown, f"{share:.2f} %", f"{len(done):,}", f"{sum(count for _, count in found):,}"]
    name = f"{database}, {case.what}: overshoot"
    return row, report.Target(name, max(0.0, share - 100), case.most, True, " %")


def _process(order: Order) -> tuple[list[Did], int]:
    """What was let through, and how many were refused."""
    return asyncio.run(_clients(order))


async def _clients(order: Order) -> tuple[list[Did], int]:
    ledger = Ledger(order.url)
    limiter = Limiter(ledger, f"gateway-{order.number}", window=Window(WINDOW))
    writer = LedgerWriter(ledger, limiter.written)
    running = [asyncio.create_task(one.run()) for one in (limiter, writer)]
    await asyncio.sleep(max(0.0, order.starts - time.time()))
    done: list[Did] = []
    chance = random.Random(order.number)
    counts = await asyncio.gather(*(_client(order, limiter, writer, chance, done) for _ in range(CLIENTS)))
    for task in running:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    await writer.close()
    await limiter.close()
    ledger.close()
    return done, sum(counts)


async def _client(
    order: Order, limiter: Limiter, writer: LedgerWriter, chance: random.Random, done: list[Did]
) -> int:
    case = order.case
    key = Key("key-1", "team", "bench", limits=case.limits)
    most = LONGEST * PRICE if case.known else None
    refused = 0
    while time.time() < order.starts + order.seconds:
        tokens = chance.randint(ANSWER, LONGEST)
        try:
            plan = limiter.plan(key, _NONE)
            hold = limiter.at_once(plan, LONGEST, most) or await limiter.admit(plan, LONGEST, most)
        except RateLimited:
            refused += 1
            await asyncio.sleep(chance.uniform(0, 0.02))
            continue
        assert hold is not None
        began, made = time.time(), 0
        with contextlib.suppress(RateLimited):
            for piece in range(1, PIECES + 1):
                await asyncio.sleep(case.holds * chance.random() / PIECES)
                made = tokens * piece // PIECES
                if not isinstance(hold, Lane):
                    hold.charge(made * PRICE)
        took = {"tokens": made, "budget": made * PRICE}.get(case.kind, 1)
        done.append(Did(began, time.time(), took))
        hold.end(made, made * PRICE, made)
        if case.kind == "budget":
            writer.entries.add(_SERIES, ("", time.time(), 0, 0, made, 0.1, 0.0, made * PRICE))
    return refused


_NONE = Limits()
_SERIES = Series("team", "key-1", "m", "", "d", "", "ok", 200, streamed=True)


def _most_in_a_window(done: Sequence[Did]) -> int:
    times = sorted((one.began, one.took) for one in done)
    sums = [0, *itertools.accumulate(took for _, took in times)]
    begins = [began for began, _ in times]
    ends = (bisect.bisect_left(begins, began + WINDOW) for began in begins)
    return max((sums[end] - sums[first] for first, end in enumerate(ends)), default=0)


def _most_at_once(done: Sequence[Did]) -> int:
    steps = sorted([(one.ended, -1) for one in done] + [(one.began, 1) for one in done])
    return max(itertools.accumulate(step for _, step in steps), default=0)


def _sum(done: Sequence[Did]) -> int:
    return sum(one.took for one in done)


def _cost(folder: Path) -> None:
    """Microseconds of one core: letting through, charging ten pieces if need be, the headers and the end."""
    many = 10**12
    everything = Limits(many, many, many, many * NANO)
    rows = []
    for what, limits in (
        ("no limit", _NONE),
        ("requests", Limits(requests_per_minute=many)),
        ("requests, tokens", Limits(many, many)),
        ("all four", everything),
    ):
        taken = asyncio.run(_time(f"sqlite:///{folder / 'cost.db'}", limits))
        rows.append([what, f"{1e6 * statistics.median(taken):.2f}"])
    report.table(["limits of the key", "µs a request"], rows)


async def _time(url: str, limits: Limits) -> list[float]:
    ledger = Ledger(url)
    limiter = Limiter(ledger, "one")
    running = asyncio.create_task(limiter.run())
    key = Key("key-1", "team", "bench", limits=limits)
    rounds = []
    each = 2000
    for number in range(60):
        began = time.perf_counter()
        for _ in range(each):
            plan = limiter.plan(key, _NONE)
            most = LONGEST, ANSWER * PRICE
            hold = limiter.at_once(plan, *most) or await limiter.admit(plan, *most)
            if hold is not None:
                if not isinstance(hold, Lane):
                    for piece in range(PIECES):
                        hold.charge(piece * PRICE)
                hold.headers()
                hold.end(ANSWER, ANSWER * PRICE, ANSWER)
        if number >= 20:
            rounds.append((time.perf_counter() - began) / each)
        # As between two turns of a busy loop.
        await asyncio.sleep(0.005)
    running.cancel()
    await limiter.close()
    ledger.close()
    return rounds


if __name__ == "__main__":
    main()
