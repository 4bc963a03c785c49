"""`kill -9` of the server under a load of all kinds: which completed answers the ledger has, and none twice.

`python -m bench.ledger_kills [--quick] [--kills 10] [--seed N]`.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import uvloop

from bench import books, customers, machine, report, servers
from bench.books import Row
from bench.mixed import NO_ROW, UNSEEN, Asked, Mix
from bench.servers import Server

CONNECTIONS = 64
SHORTEST, LONGEST = 1.0, 4.0
"""Seconds that the server has been able to work before it is killed."""
LAST = 1.0
"""Seconds before a kill whose rows may lack."""
FOR_EVER = 10**9
START_SECONDS = 0.6
"""No server answers so soon after its start: what comes until then was said by the one before."""


@dataclass(frozen=True)
class Life:
    """Of one server: when all of its processes answered, and when none did any more."""

    begin: float
    end: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two kills")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=None, help="of the mixture and the moments; printed")
    arguments = parser.parse_args()
    kills = 2 if arguments.quick else arguments.kills
    seed = random.randrange(10**6) if arguments.seed is None else arguments.seed
    servers.end_on_sigterm()
    machine.raise_file_limit()
    how = (
        f"{kills} kills of `paddock serve --workers {customers.WORKERS}`, {SHORTEST:g} to {LONGEST:g} s after"
        f" it could work, under the load of bench.ledger over {CONNECTIONS} connections, which goes on. It is"
        f" started again at once on the same data, and its engines live on. Seed {seed}."
    )
    report.header("The ledger and kill -9", how)
    with tempfile.TemporaryDirectory(prefix="paddock-bench-") as name:
        _measure(Path(name), kills, random.Random(seed))


def _measure(folder: Path, kills: int, chance: random.Random) -> None:
    data = folder / "data"
    them = customers.made(data)
    port = servers.free_port()
    with contextlib.ExitStack() as stack:
        _, attach = stack.enter_context(customers.engines(folder))
        argv = [*customers.serve(attach), "--port", f"{port}", "--data-dir", f"{data}"]
        killed = stack.enter_context(contextlib.closing(_Killed(argv, folder, port)))
        mix = Mix(port, them.keys, chance, lasting=True)
        lives = _run(mix, killed, kills, random.Random(chance.random()))
        # Each gateway process writes what it has within a quarter of a second.
        time.sleep(1)
        said = books.said(port, them.reader.secret)
        found = books.rows(data)
    # While it starts it says so, with 503.
    strange = [one for one in mix.asked if one.problem and one.status != 503]
    for one in strange[:20]:
        print(f"({one.kind}: {one.problem})")
    of_rows = books.summed(found)
    off = sum(
        abs(a - b)
        for name in said.keys() | of_rows.keys()
        for a, b in zip(said.get(name, books.Sums()), of_rows.get(name, books.Sums()), strict=True)
    )
    wanted = [
        report.Target("sums, off the rows by", off, 0, True),
        report.Target("answers with a status of another kind", len(strange), 0, True),
    ]
    report.targets([*_judge(mix.asked, found, lives), *wanted])


def _run(mix: Mix, killed: _Killed, kills: int, chance: random.Random) -> list[Life]:
    """The lives that were ended, while the load went on."""
    lives = []
    # A server ends with the thread that started it, so that it is the load that has one of its own.
    with ThreadPoolExecutor(1) as threads:
        load = threads.submit(lambda: uvloop.run(mix.run(FOR_EVER, CONNECTIONS)))
        try:
            for _ in range(kills):
                begin = time.time()
                time.sleep(chance.uniform(SHORTEST, LONGEST))
                at = time.time()
                killed.again()
                # The gateway processes die with the server, a moment later: until then they answer.
                latest = killed.started_at + START_SECONDS
                last = max((one.ended_at for one in mix.asked if one.ended_at < latest), default=at)
                lives.append(Life(begin, max(at, last)))
            time.sleep(LAST)
        finally:
            mix.stop()
        load.result()
    return lives


class _Killed:
    """A server that is killed and started again on the same port and data.

    Attributes:
        started_at: when it was started last, in seconds since 1970.
    """

    def __init__(self, argv: Sequence[str], folder: Path, port: int) -> None:
        self.started_at = 0.0
        self._argv = argv
        self._folder = folder
        self._port = port
        self._count = 0
        self._life = contextlib.ExitStack()
        self._server = self._start()

    def again(self) -> None:
        """Returns once the next one answers."""
        self._server.process.kill()
        self._server.process.wait()
        self._life.close()
        self._server = self._start()

    def close(self) -> None:
        self._life.close()

    def _start(self) -> Server:
        self._count += 1
        self.started_at = time.time()
        env = {"PADDOCK_ACCESS_LOG": "false"}
        started = servers.started(f"Paddock {self._count}", self._argv, self._folder, self._port, env=env)
        server = self._life.enter_context(started)
        customers.until_serving(server)
        return server


def _judge(asked: Sequence[Asked], found: Sequence[Row], lives: Sequence[Life]) -> list[report.Target]:
    rows = {row.id: row for row in found}
    complete = [one for one in asked if one.ended_at and one.kind not in NO_ROW and one.status in (200, 502)]
    wrong = 0
    lost: list[list[float]] = [[] for _ in lives]
    late: list[Asked] = []
    for one in complete:
        row = rows.get(one.id)
        if row is not None:
            wrong += (row.key, row.prompt, row.completion) != (one.key, one.prompt, one.completion)
            continue
        number = next((i for i, life in enumerate(lives) if one.ended_at <= life.end), None)
        if number is None:
            late.append(one)
        else:
            lost[number].append(lives[number].end - one.ended_at)
    _show(complete, lives, lost)
    broken = [one for one in asked if one.kind not in NO_ROW | UNSEEN and one.id and not one.ended_at]
    kept = sum(one.id in rows for one in broken)
    print(f"{len(found):,} rows. {len(broken)} answers broke off at the kills; {kept} of them have a row.\n")
    oldest = max((age for ages in lost for age in ages), default=0.0)
    return [
        report.Target("the oldest completed answer without a row, before its kill", oldest, LAST, True, " s"),
        report.Target("completed answers without a row that no kill explains", len(late), 0, True),
        report.Target("rows that are not as their answers say", wrong, 0, True),
        report.Target("rows of a request that has one already", len(found) - len(rows), 0, True),
    ]


def _show(complete: Sequence[Asked], lives: Sequence[Life], lost: Sequence[Sequence[float]]) -> None:
    table = []
    for number, (life, ages) in enumerate(zip(lives, lost, strict=True), 1):
        before = lives[number - 2].end if number > 1 else 0.0
        answered = sum(before < one.ended_at <= life.end for one in complete)
        in_last = sum(life.end - LAST < one.ended_at <= life.end for one in complete)
        counts = [f"{count:,}" for count in (answered, in_last, len(ages))]
        worked, oldest = life.end - life.begin, max(ages, default=0.0)
        table.append([f"{number}", f"{worked:.1f}", *counts, f"{oldest:.3f}"])
    columns = ["kill", "after, s", "answers before it", "in the last second", "without a row", "oldest, s"]
    report.table(columns, table)


if __name__ == "__main__":
    main()
