"""What keys, limits and the ledger cost the gateway, beside the same gateway without them.

`python -m bench.accounting [--quick] [--rounds 7]`.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bench import books, contestants, keys, load, machine, overhead, processes, relayed, report, servers
from bench.keys import ApiKey
from bench.relayed import CORES, KINDS
from bench.servers import Server

OFF, LEDGER, ON = "relay only", "ledger", "keys, limits, ledger"
LEAST = 0.9
HOW = (
    f"{relayed.WHAT}. `{OFF}` is the gateway without a store, keys and ledger; `{LEDGER}` is `paddock serve`;"
    f" `{ON}` is `paddock serve --require-keys`, with prices, and with limits of every kind (requests and"
    " tokens per minute, concurrent requests, budget) for the key and for its project, none of which is"
    " reached. Ratios are medians of the rounds' ratios."
)


@dataclass
class Contestant:
    """
    Attributes:
        key: that wrk sends.
        reads: a key that may read the usage; empty where none is needed, None where there is no ledger.
        lengths: bytes of an answer of each kind.
        answered: whole answers so far.
        most: as many more may have been under way at the ends of loads, each with a row.
        rates: answers a second, by kind, of each round.
        cpu: microseconds that the server's processes used for an answer, likewise.
    """

    server: Server
    key: str
    reads: str | None
    lengths: Mapping[str, int]
    answered: int = 2
    most: int = 0
    rates: dict[str, list[float]] = field(default_factory=lambda: {kind: [] for kind in KINDS})
    cpu: dict[str, list[float]] = field(default_factory=lambda: {kind: [] for kind in KINDS})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short round, to see that all works")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=8, help="of each load")
    arguments = parser.parse_args()
    rounds, seconds = (1, 2.0) if arguments.quick else (arguments.rounds, arguments.seconds)
    servers.end_on_sigterm()
    machine.raise_file_limit()
    machine.use_cores(CORES)
    report.header("Keys, limits and the ledger beside none", HOW)
    with _all() as (engine, contestants_, folder):
        _load(engine, contestants_, folder, rounds, seconds)
        wanted = _show(contestants_)
        report.targets(wanted + _rows(contestants_))


@contextlib.contextmanager
def _all() -> Iterator[tuple[Server, list[Contestant], Path]]:
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="paddock-bench-")))
        engine = stack.enter_context(contestants.stub(folder))
        key, reader = _keys(folder / "data")
        bare = stack.enter_context(contestants.bare(engine.url, folder))
        plain = stack.enter_context(contestants.paddock(engine.url, folder, name=LEDGER))
        full = stack.enter_context(
            contestants.paddock(
                engine.url,
                folder,
                name=ON,
                options=["--require-keys"],
                env={"PADDOCK_DATA_DIR": str(folder / "data")},
            )
        )
        them = [
            _contestant(bare, load.NO_KEY, None),
            _contestant(plain, load.NO_KEY, load.NO_KEY),
            _contestant(full, key.secret, reader.secret),
        ]
        yield engine, them, folder


def _keys(data: Path) -> tuple[ApiKey, ApiKey]:
    keys.write_prices(data)
    key = keys.make(data, "wrk", "bench", keys.PLENTY)
    keys.limit_project(data, "bench", keys.PLENTY)
    return key, keys.make(data, "reader", scopes=["admin"])


def _contestant(server: Server, key: str, reads: str | None) -> Contestant:
    return Contestant(server, key, reads, relayed.answer_lengths(server, key))


def _load(engine: Server, them: list[Contestant], folder: Path, rounds: int, seconds: float) -> None:
    for turn in range(rounds + 1):  # the first one warms up
        for kind in KINDS:
            contestants.coalesce(engine, relayed.chunks_at_once(kind))
            for one in overhead.rotated(them, turn):
                began = processes.cpu_seconds(one.server)
                seen = load.run(relayed.measured(one.server, kind, one.key), folder, seconds if turn else 2)
                processes.settle(one.server)
                used = processes.cpu_seconds(one.server) - began
                length = one.lengths[kind]
                relayed.check(one.server, kind, seen, length)
                one.answered += seen.answers
                one.most += relayed.CONNECTIONS
                rate = seen.rate(length)
                if turn:
                    one.rates[kind].append(rate)
                    one.cpu[kind].append(1e6 * used / (rate * seen.seconds))
                    print(f"(round {turn}: {one.server.name} {kind} {rate:,.0f}/s)", file=sys.stderr)


def _show(them: list[Contestant]) -> list[report.Target]:
    for what in ("answers/s", "µs of CPU an answer"):
        shown = []
        for one in them:
            of_kind = one.rates if what == "answers/s" else one.cpu
            shown.append(
                [one.server.name, *(report.number(statistics.median(of_kind[kind])) for kind in KINDS)]
            )
        report.table([what, *KINDS], shown)
    bare, ledger, full = them
    with_ledger = [f"{kind} {_ratio(ledger, bare, kind):.3f}" for kind in KINDS]
    print(f"({LEDGER} / {OFF}: {', '.join(with_ledger)})\n")
    return [report.Target(f"{kind}: {ON} / {OFF}", _ratio(full, bare, kind), LEAST) for kind in KINDS]


def _ratio(one: Contestant, other: Contestant, kind: str) -> float:
    """Short neighbours in time share what else the machine does."""
    return statistics.median(a / b for a, b in zip(one.rates[kind], other.rates[kind], strict=True))


def _rows(them: list[Contestant]) -> list[report.Target]:
    """Whether the ledger has a row for each answer, and for no others than those wrk left under way."""
    wrong = []
    for one in them:
        if one.reads is None:
            continue
        found = books.said(one.server.port, one.reads)["total"].requests
        print(f"{one.server.name}: {one.answered:,} answers seen, {found:,} rows in the ledger.")
        off = max(one.answered - found, found - one.answered - one.most, 0)
        wrong.append(report.Target(f"{one.server.name}: rows that lack, or are nobody's", off, 0, True))
    print()
    return wrong


if __name__ == "__main__":
    main()
