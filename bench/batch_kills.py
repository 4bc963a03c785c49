"""`kill -9` of servers, engines and workers within batches: every prompt is answered once, and in its place.

`python -m bench.batch_kills [--quick] [--kills 50] [--seed N]`.
"""

from __future__ import annotations

import argparse
import random
import tempfile
from collections.abc import Callable
from pathlib import Path

from bench import killed_batches, killed_workers, report, servers
from bench.killed_batches import Plan, Result

MOST_REPEATED = 0.02
"""Of a batch's prompts, for each kill."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="500 prompts, 8 kills of the server")
    parser.add_argument("--kills", type=int, default=50, help="of the server; a fifth as many of the others")
    parser.add_argument("--prompts", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=None, help="of the random moments; printed")
    arguments = parser.parse_args()
    count, kills = (500, 8) if arguments.quick else (arguments.prompts, arguments.kills)
    seed = random.randrange(10**6) if arguments.seed is None else arguments.seed
    servers.end_on_sigterm()
    shortest, longest = killed_batches.SHORTEST, killed_batches.LONGEST
    how = (
        f"OpenAI batches of {count:,} chats, up to {killed_batches.PER_BATCH} kills in each, {shortest:g} to"
        f" {longest:g} s after what is killed could work; it is started again at once. Half of the server's"
        " kills take its engine along; the other half leave an engine that counts what it is"
        " asked, by a relay in front of it."
        f" Seed {seed}."
    )
    report.header("Batches and kill -9", how)
    chance = random.Random(seed)
    half, fifth = kills // 2, max(1, kills // 5)
    results = []
    with tempfile.TemporaryDirectory(prefix="paddock-bench-") as name:
        folder = Path(name)
        runs: list[tuple[str, Callable[[Path, Plan], Result], int]] = [
            ("server, engine stays", killed_batches.counted, half),
            ("server and engine", killed_batches.together, kills - half),
            ("engine", killed_batches.engines_only, fifth),
            ("one of two workers", killed_workers.killed, fifth),
        ]
        for what, run, times in runs:
            own = folder / what.replace(" ", "-").replace(",", "")
            own.mkdir()
            results.append((what, run(own, Plan(count, times, chance))))
            _tell(what, results[-1][1])
    _show(results, count)


def _tell(what: str, result: Result) -> None:
    for problem in result.problems[:10]:
        print(f"({what}: {problem})")
    again = f", at most {max(result.repeated)} prompts asked again for one kill" if result.repeated else ""
    print(
        f"{what}: {result.kills} kills in {result.batches} batches, {result.seconds:.0f} s,"
        f" {result.wrong} rows wrong{again}\n",
        flush=True,
    )


def _show(results: list[tuple[str, Result]], count: int) -> None:
    rows = []
    for what, one in results:
        again = [f"{sum(one.repeated)}", f"{max(one.repeated)}"] if one.repeated else ["", ""]
        rows.append([what, f"{one.kills}", f"{one.batches}", f"{one.right:,}", f"{one.wrong}", *again])
    columns = ["killed", "kills", "batches", "right rows", "wrong rows", "asked again", "most for one kill"]
    report.table(columns, rows)
    targets = [report.Target(f"{what}: rows that are not right", one.wrong, 0, True) for what, one in results]
    for what, one in results:
        if one.repeated:
            share = 100 * max(one.repeated) / count
            most = f"{what}: prompts asked again for one kill, most"
            targets.append(report.Target(most, share, 100 * MOST_REPEATED, True, " %"))
    report.targets(targets)


if __name__ == "__main__":
    main()
