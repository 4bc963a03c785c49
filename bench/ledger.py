"""Whether the ledger says what the answers said, to the token, and how exactly limits hold.

`python -m bench.ledger [--quick] [--requests 100000] [--seconds 130] [--seed N]`.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import uvloop

from bench import answers, books, customers, keys, limited, machine, report, servers
from bench.books import Row, Sums
from bench.mixed import CUT, LEFT, NO_ROW, SHARES, UNSEEN, Asked, Mix

CONNECTIONS = 64


@dataclass
class Verdict:
    """
    Attributes:
        expected: what the answers and the engine say of each key, and of all.
        wrong: rows that are not as their answers say; with those that are nobody's.
        problems: for a person.
    """

    expected: dict[str, Sums] = field(default_factory=dict)
    wrong: int = 0
    problems: list[str] = field(default_factory=list)

    def add(self, key: str, prompt: int, completion: int) -> None:
        cost = keys.PRICE.cost(prompt, 0, completion)
        for name in (key, "total"):
            known = self.expected.get(name, Sums())
            self.expected[name] = Sums(
                known.requests + 1, known.prompt + prompt, known.completion + completion, known.cost + cost
            )

    def find(self, problem: str) -> None:
        self.wrong += 1
        self.problems.append(problem)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="5,000 requests; limits for 20 s")
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=130, help="for which limits are tried")
    parser.add_argument("--seed", type=int, default=None, help="of the mixture; printed")
    parser.add_argument("--only", choices=["sums", "limits"])
    arguments = parser.parse_args()
    count, seconds = (5_000, 20.0) if arguments.quick else (arguments.requests, arguments.seconds)
    seed = random.randrange(10**6) if arguments.seed is None else arguments.seed
    servers.end_on_sigterm()
    machine.raise_file_limit()
    targets: list[report.Target] = []
    with tempfile.TemporaryDirectory(prefix="paddock-bench-") as name:
        folder = Path(name)
        if arguments.only != "limits":
            shares = ", ".join(f"{share} % {kind}" for kind, share in SHARES.items())
            how = (
                f"{count:,} requests over {CONNECTIONS} connections, of four keys in two projects, to"
                f" {customers.WORKERS} gateway processes: {shares}. Seed {seed}."
            )
            report.header("The ledger's sums", how)
            targets += _sums(folder / "sums", count, random.Random(seed))
        if arguments.only != "sums":
            report.header("Limits", limited.how(seconds))
            targets += limited.measure(folder / "limits", seconds)
    report.targets(targets)


def _sums(folder: Path, count: int, chance: random.Random) -> list[report.Target]:
    data = folder / "data"
    them = customers.made(data)
    port = servers.free_port()
    with contextlib.ExitStack() as stack:
        stub, attach = stack.enter_context(customers.engines(folder))
        argv = [*customers.serve(attach), "--port", f"{port}", "--data-dir", f"{data}"]
        env = {"PADDOCK_ACCESS_LOG": "false"}
        customers.until_serving(stack.enter_context(servers.started("Paddock", argv, folder, port, env=env)))
        mix = Mix(port, them.keys, chance)
        began = time.perf_counter()
        uvloop.run(mix.run(count, CONNECTIONS))
        seconds = time.perf_counter() - began
        sent = customers.sent(stub)
        # Each gateway process writes what it has within a quarter of a second.
        time.sleep(1)
        said = books.said(port, them.reader.secret)
        found = books.rows(data)
    verdict = judge(mix.asked, found, sent)
    print(f"{len(mix.asked):,} requests in {seconds:.0f} s, written by {books.writers(data)} processes.\n")
    return _show(mix.asked, found, said, verdict)


def judge(asked: Sequence[Asked], found: Sequence[Row], sent: Mapping[int, int]) -> Verdict:
    """Compares every row with what is known of its request."""
    verdict = Verdict()
    verdict.problems = [f"{one.kind}: {one.problem}" for one in asked if one.problem]
    verdict.wrong = len(verdict.problems)
    by_id = {row.id: row for row in found}
    for one in asked:
        if not one.id:
            continue
        row = by_id.pop(one.id, None)
        if one.kind in NO_ROW:
            if row is not None:
                verdict.find(f"{one.kind}: {row}")
            continue
        prompt, completion = one.prompt, one.completion
        if one.kind in UNSEEN:
            completion = sent.get(one.number, 0)
            # The engine tells how long a prompt was at the end of its answer.
            told = completion == answers.CHUNKS and row is not None and row.prompt == answers.PROMPT_TOKENS
            prompt = answers.PROMPT_TOKENS if told else one.estimate if completion else 0
        verdict.add(one.key, prompt, completion)
        if row is None or (row.key, row.prompt, row.completion) != (one.key, prompt, completion):
            verdict.find(f"{one.kind}: {row or f'no row of {one.id}'}, but it used {prompt} + {completion}")
    _judge_unknown(verdict, asked, list(by_id.values()), sent)
    return verdict


def _judge_unknown(
    verdict: Verdict, asked: Sequence[Asked], rows: Sequence[Row], sent: Mapping[int, int]
) -> None:
    """Whoever leaves before an answer's head never learns its id: the rest of the rows are theirs, by key."""
    for key in {one.key for one in asked} | {row.key for row in rows}:
        left = [one for one in asked if one.key == key and not one.id and one.kind in (CUT, LEFT)]
        mine = [row for row in rows if row.key == key]
        got, used = sum(row.completion for row in mine), sum(sent.get(one.number, 0) for one in left)
        if len(mine) > len(left) or got != used:
            verdict.find(
                f"{key}: {len(mine)} rows with {got} tokens that nobody knows; {len(left)} left at once, who"
                f" used {used}"
            )
        for row in mine:
            verdict.add(key, row.prompt, row.completion)


def _show(
    asked: Sequence[Asked], found: Sequence[Row], said: Mapping[str, Sums], verdict: Verdict
) -> list[report.Target]:
    for problem in verdict.problems[:20]:
        print(f"({problem})")
    rows = []
    for kind in SHARES:
        ours = [one for one in asked if one.kind == kind]
        ids = {one.id for one in ours if one.id}
        outcomes = Counter(row.outcome for row in found if row.id in ids)
        rows.append(
            [kind, f"{len(ours):,}", ", ".join(f"{n:,} {what}" for what, n in outcomes.most_common())]
        )
    report.table(["kind", "requests", "outcomes in the ledger"], rows)
    of_rows = books.summed(found)
    rows, off = [], 0
    for name, expected in sorted(verdict.expected.items()):
        ledger = said.get(name, Sums())
        off += sum(abs(a - b) for a, b in zip(ledger, expected, strict=True))
        off += sum(abs(a - b) for a, b in zip(ledger, of_rows.get(name, Sums()), strict=True))
        shown = [f"{a:,} / {b:,}" for a, b in zip(ledger[:3], expected[:3], strict=True)]
        rows.append([name, *shown])
    report.table(["ledger / answers and engine", *books.COUNTS], rows)
    twice = len(found) - len({row.id for row in found})
    return [
        report.Target("the ledger's sums: off by requests, tokens and billionths", off, 0, True),
        report.Target(
            "rows that are not as their answers say, or lack, or are nobody's", verdict.wrong, 0, True
        ),
        report.Target("rows of a request that has one already", twice, 0, True),
    ]


if __name__ == "__main__":
    main()
