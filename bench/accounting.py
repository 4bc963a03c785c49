"""What keys, limits and the ledger cost the gateway, beside the same gateway without them.

`python -m bench.accounting [--quick] [--rounds 9] [--parts]`.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench import books, contestants, keys, load, machine, overhead, processes, relayed, report, servers
from bench.keys import ApiKey
from bench.relayed import CORES, KINDS
from bench.servers import Server

BARE, OFF, LEDGER, ON = "relay only", "off", "ledger", "keys, limits, ledger"
LEAST = 0.9
SECONDS = 10
"""Of a load, as in `bench.gateway`. A short one would show above all that an idle key has nothing in hand."""
HOW = (
    f"{relayed.WHAT}. All are started anew in each round: one and the same server is up to a tenth faster or"
    f" slower by where its memory happens to lie. `{OFF}` is `paddock serve` with all but keys, limits and"
    f" the ledger; `{ON}` is `paddock serve --require-keys`, with prices, and with limits of every kind"
    " (requests and tokens per minute, concurrent requests, budget) for the key and for its project, none of"
    " which is reached. Ratios are medians of the rounds' ratios."
)
PARTS = (
    f"`{BARE}` is the gateway alone, without a store and all that goes on beside answering; `{LEDGER}` is"
    " `paddock serve`. More servers that run meanwhile cost those with more threads of their own more."
)


@dataclass
class Contestant:
    """Of one round.

    Attributes:
        key: that wrk sends.
        reads: a key that may read the usage; empty where none is needed, None where there is no ledger.
        lengths: bytes of an answer of each kind.
        answered: whole answers so far.
        most: as many more may have been under way at the ends of loads, each with a row.
        rates, cpu: of each kind, answers a second, and microseconds of CPU time that the server's processes
            used for an answer.
    """

    server: Server
    key: str
    reads: str | None
    lengths: Mapping[str, int]
    answered: int = 2
    most: int = 0
    rates: dict[str, float] = field(default_factory=dict)
    cpu: dict[str, float] = field(default_factory=dict)


@dataclass
class Figures:
    """Of one contestant in all rounds, by kind: as of a `Contestant`."""

    rates: dict[str, list[float]] = field(default_factory=lambda: {kind: [] for kind in KINDS})
    cpu: dict[str, list[float]] = field(default_factory=lambda: {kind: [] for kind in KINDS})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short round, to see that all works")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--parts", action="store_true", help="also show what two of the parts cost alone")
    arguments = parser.parse_args()
    rounds = 1 if arguments.quick else arguments.rounds
    servers.end_on_sigterm()
    machine.raise_file_limit()
    machine.use_cores(CORES)
    report.header("Keys, limits and the ledger beside none", f"{HOW} {PARTS}" if arguments.parts else HOW)
    names = (BARE, OFF, LEDGER, ON) if arguments.parts else (OFF, ON)
    figures = {name: Figures() for name in names}
    off = Counter[str]()
    with tempfile.TemporaryDirectory(prefix="paddock-bench-") as name, contestants.stub(Path(name)) as engine:
        for turn in range(rounds):
            folder = Path(name) / f"round-{turn}"
            folder.mkdir()
            with _started(engine, folder, names) as them:
                _load(engine, them, folder, turn)
                _note(them, figures)
                off.update(_rows(them))
    report.targets(_show(figures) + [report.Target(what, rows, 0, True) for what, rows in off.items()])


@contextlib.contextmanager
def _started(engine: Server, folder: Path, names: Sequence[str]) -> Iterator[list[Contestant]]:
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(_contestant(name, engine, folder)) for name in names]


@contextlib.contextmanager
def _contestant(name: str, engine: Server, folder: Path) -> Iterator[Contestant]:
    key, reads = load.NO_KEY, None
    if name == BARE:
        starts = contestants.bare(engine.url, folder, name)
    elif name == OFF:
        starts = contestants.uncounted(engine.url, folder, name)
    elif name == LEDGER:
        starts, reads = contestants.paddock(engine.url, folder, name=name), load.NO_KEY
    else:
        mine, reader = _keys(folder / "data")
        key, reads = mine.secret, reader.secret
        env = {"PADDOCK_DATA_DIR": str(folder / "data")}
        starts = contestants.paddock(engine.url, folder, name=name, options=["--require-keys"], env=env)
    with starts as server:
        yield Contestant(server, key, reads, relayed.answer_lengths(server, key))


def _keys(data: Path) -> tuple[ApiKey, ApiKey]:
    keys.write_prices(data)
    key = keys.make(data, "wrk", "bench", keys.PLENTY)
    keys.limit_project(data, "bench", keys.PLENTY)
    return key, keys.make(data, "reader", scopes=["admin"])


def _load(engine: Server, them: list[Contestant], folder: Path, turn: int) -> None:
    for kind in KINDS:
        contestants.coalesce(engine, relayed.chunks_at_once(kind))
        for warm in (False, True):
            for one in overhead.rotated(them, turn):
                began = processes.cpu_seconds(one.server)
                seen = load.run(relayed.measured(one.server, kind, one.key), folder, SECONDS if warm else 1)
                processes.settle(one.server)
                length = one.lengths[kind]
                relayed.check(one.server, kind, seen, length)
                one.answered += seen.answers
                one.most += relayed.CONNECTIONS
                if warm:
                    one.rates[kind] = rate = seen.rate(length)
                    used = processes.cpu_seconds(one.server) - began
                    one.cpu[kind] = 1e6 * used / (rate * seen.seconds)


def _note(them: list[Contestant], figures: Mapping[str, Figures]) -> None:
    for one in them:
        noted = figures[one.server.name]
        for kind in KINDS:
            noted.rates[kind].append(one.rates[kind])
            noted.cpu[kind].append(one.cpu[kind])
        rates = ", ".join(f"{kind} {noted.rates[kind][-1]:,.0f}/s" for kind in KINDS)
        print(f"({one.server.name}: {rates})", file=sys.stderr)


def _show(figures: Mapping[str, Figures]) -> list[report.Target]:
    for what in ("answers/s", "µs of CPU an answer"):
        shown = []
        for name, noted in figures.items():
            of_kind = noted.rates if what == "answers/s" else noted.cpu
            shown.append([name, *(report.number(statistics.median(of_kind[kind])) for kind in KINDS)])
        report.table([what, *KINDS], shown)
    for name, other in ((LEDGER, OFF), (ON, OFF), (OFF, BARE), (ON, BARE)):
        if not {name, other} <= set(figures):
            continue
        said = []
        for kind in KINDS:
            ratios = sorted(_ratios(figures, name, other, kind))
            said.append(f"{kind} {statistics.median(ratios):.3f} ({ratios[0]:.2f} to {ratios[-1]:.2f})")
        print(f"{name} / {other}: {', '.join(said)}.")
    print()
    return [
        report.Target(f"{kind}: {ON} / {OFF}", statistics.median(_ratios(figures, ON, OFF, kind)), LEAST)
        for kind in KINDS
    ]


def _ratios(figures: Mapping[str, Figures], name: str, other: str, kind: str) -> list[float]:
    """Short neighbours in time share what else the machine does."""
    pairs = zip(figures[name].rates[kind], figures[other].rates[kind], strict=True)
    return [one / two for one, two in pairs]


def _rows(them: list[Contestant]) -> dict[str, int]:
    """How many answers have no row in the ledger, or rows no answer but those that wrk left under way."""
    found = {}
    for one in them:
        if one.reads is None:
            continue
        rows = books.said(one.server.port, one.reads)["total"].requests
        off = max(one.answered - rows, rows - one.answered - one.most, 0)
        found[f"{one.server.name}: rows that lack, or are nobody's"] = off
    return found


if __name__ == "__main__":
    main()
