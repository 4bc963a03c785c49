"""A million rows in the ledger: what `/api/v1/usage` takes for a month, and what reading the rows takes.

`python -m bench.usage [--quick] [--rows 1000000] [--rounds 15]`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import contestants, probe, report, servers
from bench.servers import HOST
from paddock.schemas.usage import Entries, Entry, Series
from paddock.services.usage.record import Batch, record
from paddock.store.ledger import FILE, Ledger

KEYS, PROJECTS, MODELS = 50, 5, 4
OUTCOMES = ("ok", "ok", "ok", "ok", "aborted", "engine_failed")
MONTH = datetime(2025, 11, 1, tzinfo=UTC).timestamp(), datetime(2025, 12, 1, tzinfo=UTC).timestamp()
BATCH = 4_000
"""As many as a quarter of a second gives at 16,000 requests a second."""
LIMIT = 0.1
COLUMNS = "count(*), sum(prompt_tokens), sum(cached_tokens), sum(completion_tokens), sum(cost)"


@dataclass(frozen=True)
class Kind:
    """A question, and how SQL puts the same to the rows.

    Attributes:
        counts: whether the target is for it.
    """

    what: str
    group_by: str
    sql: str
    start: float = MONTH[0]
    end: float = MONTH[1]
    counts: bool = True


KINDS = (
    Kind("the month", "", ""),
    Kind(
        "by key, model and day", "key,model,day", "GROUP BY key, model, strftime('%Y-%m-%d', at, 'unixepoch')"
    ),
    Kind("by key, with edges within hours", "key", "GROUP BY key", MONTH[0] + 1_234.5, MONTH[1] - 2_345.6),
    Kind("by hour", "hour", "GROUP BY strftime('%Y-%m-%dT%H', at, 'unixepoch')", counts=False),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fifty thousand rows, three rounds")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    count, rounds = (50_000, 3) if arguments.quick else (arguments.rows, arguments.rounds)
    servers.end_on_sigterm()
    how = (
        f"{count:,} requests of a month, of {KEYS} keys and {MODELS} models, in SQLite. Each question is"
        f" put to the server and to the rows in turns, {rounds} rounds, medians. SQLite adds the rows up in"
        " this process; both must come to the same."
    )
    report.header("Usage of a month", how)
    with tempfile.TemporaryDirectory(prefix="paddock-bench-") as name, contextlib.ExitStack() as stack:
        data = Path(name) / "data"
        _fill(data, count)
        engine = stack.enter_context(contestants.stub(Path(name)))
        env = {"PADDOCK_DATA_DIR": str(data)}
        server = stack.enter_context(contestants.paddock(engine.url, Path(name), env=env))
        rows = stack.enter_context(contextlib.closing(sqlite3.connect(data / FILE)))
        _measure(server.port, rows, rounds)


def _fill(data: Path, count: int) -> None:
    ledger = Ledger(f"sqlite:///{data / FILE}")
    ledger.open()
    chance = random.Random(0)
    entries = [_entry(chance, MONTH[0] + (MONTH[1] - MONTH[0]) * number / count) for number in range(count)]
    began = time.perf_counter()
    for number, first in enumerate(range(0, count, BATCH), 1):
        part = Entries(entries[first : first + BATCH])
        ledger.write_now(lambda session: record(session, Batch("bench", number), part))  # noqa: B023
    seconds = time.perf_counter() - began
    ledger.close()
    bytes_each = sum(path.stat().st_size for path in data.glob(f"{FILE}*")) / count
    print(f"Written in {seconds:.1f} s: {1e6 * seconds / count:.1f} µs and {bytes_each:.0f} bytes a row.\n")


def _entry(chance: random.Random, at: float) -> Entry:
    key = chance.randrange(KEYS)
    series = Series(
        project=f"project-{key % PROJECTS}",
        key=f"key-{key:016x}",
        model=f"org/model-{chance.randrange(MODELS)}",
        adapter="",
        deployment="model",
        job="",
        outcome=chance.choice(OUTCOMES),
        status=200,
        streamed=chance.random() < 0.5,
    )
    return Entry(
        series,
        id=f"{chance.getrandbits(128):032x}",
        at=at,
        prompt_tokens=chance.randrange(2_000),
        cached_tokens=chance.randrange(10),
        completion_tokens=chance.randrange(500),
        latency=chance.random(),
        first_token=chance.random(),
        cost=chance.randrange(10**7),
    )


def _measure(port: int, rows: sqlite3.Connection, rounds: int) -> None:
    seconds: dict[str, tuple[list[float], list[float]]] = {kind.what: ([], []) for kind in KINDS}
    with probe.connected(port) as connection:
        for number in range(rounds + 1):
            for kind in KINDS:
                query = f"start={kind.start}&end={kind.end}&group_by={kind.group_by}"
                answer = connection.ask(
                    f"GET /api/v1/usage?{query} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()
                )
                if answer.status != 200:
                    raise RuntimeError(f"{kind.what}: {answer.status} {answer.body[:500]!r}")
                began = time.perf_counter()
                read = rows.execute(
                    f"SELECT {COLUMNS} FROM usage_requests WHERE at >= ? AND at < ? {kind.sql}",
                    (kind.start, kind.end),
                ).fetchall()
                taken = time.perf_counter() - began
                _compare(kind, json.loads(answer.body), read)
                # The first round warms up.
                if number:
                    seconds[kind.what][0].append(answer.total)
                    seconds[kind.what][1].append(taken)
    shown, targets = [], []
    for kind in KINDS:
        asked, reading = (1000 * statistics.median(values) for values in seconds[kind.what])
        shown.append([kind.what, f"{asked:.1f}", f"{reading:.1f}", f"{asked / reading:.4f}"])
        if kind.counts:
            targets.append(report.Target(f"{kind.what}: asked / read", asked / reading, LIMIT, True))
    report.table(["ms", "GET /api/v1/usage", "reading the rows", "ratio"], shown)
    report.targets(targets)


def _compare(kind: Kind, answer: dict[str, Any], read: Sequence[Sequence[int]]) -> None:
    """
    Raises:
        RuntimeError: the server says something else than the rows.
    """
    total = answer["total"]
    names = ("requests", "prompt_tokens", "cached_tokens", "completion_tokens")
    said = [len(answer["data"]), *(total[name] for name in names), round(total["cost"]["amount"] * 10**9)]
    found = [len(read), *(sum(column) for column in zip(*read, strict=True))]
    if said != found:
        raise RuntimeError(f"{kind.what}: the server says {said}, the rows say {found}")


if __name__ == "__main__":
    main()
