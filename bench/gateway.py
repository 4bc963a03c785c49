"""Throughput and latency of Paddock's gateway beside nginx and LiteLLM, in one run on the same two cores.

`make bench-gateway`, or `python -m bench.gateway [--quick]`.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import contestants, load, machine, overhead, processes, relayed, report, servers
from bench.relayed import CORES, KINDS, PLAIN, SINGLY, STREAM
from bench.servers import Server

HOW = f"{relayed.WHAT}; medians over the rounds. Latency is taken on one connection."


@dataclass(frozen=True)
class Plan:
    rounds: int
    seconds: float
    slow_seconds: float  # for LiteLLM, of whose answers few are whole in a short time
    latency_rounds: int
    latency_requests: int


FULL = Plan(rounds=3, seconds=10, slow_seconds=15, latency_rounds=9, latency_requests=60)
QUICK = Plan(rounds=1, seconds=2, slow_seconds=8, latency_rounds=2, latency_requests=20)
Rates = dict[str, dict[str, float]]  # kind -> server's name -> answers per second


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short round, to see that all works")
    parser.add_argument("--without", action="append", default=[], choices=["paddock", "litellm"])
    arguments = parser.parse_args()
    plan = QUICK if arguments.quick else FULL
    servers.end_on_sigterm()
    machine.raise_file_limit()
    cores = machine.use_cores(CORES)
    report.header("Gateway", HOW)
    with contestants.all_of_them(cores, arguments.without) as (engine, proxies, folder):
        wanted = _show_rates(_throughput(engine, proxies, folder, plan))
        added = overhead.measure(engine, proxies, plan.latency_rounds, plan.latency_requests)
        report.targets(wanted + overhead.show(added))


def _throughput(engine: Server, proxies: Sequence[Server], folder: Path, plan: Plan) -> Rates:
    contenders = [engine, *proxies]
    samples: dict[str, dict[str, list[float]]] = {kind: {} for kind in KINDS}
    lengths = {server.name: relayed.answer_lengths(server) for server in contenders}
    for turn in range(plan.rounds + 1):  # the first one warms up
        for kind in KINDS:
            contestants.coalesce(engine, relayed.chunks_at_once(kind))
            for server in overhead.rotated(contenders, turn):
                seconds = plan.slow_seconds if server.name.startswith("LiteLLM") else plan.seconds
                seconds = seconds if turn else min(seconds, 5)
                seen = load.run(relayed.measured(server, kind), folder, seconds)
                processes.settle(server)
                if turn == 0:
                    continue
                length = lengths[server.name][kind]
                relayed.check(server, kind, seen, length)
                rate = seen.rate(length)
                samples[kind].setdefault(server.name, []).append(rate)
                print(f"(round {turn}: {server.name} {kind} {rate:,.0f}/s)", file=sys.stderr)
    return {kind: {name: statistics.median(v) for name, v in by.items()} for kind, by in samples.items()}


def _show_rates(rates: Rates) -> list[report.Target]:
    rows = [[name, *(report.number(rates[kind][name]) for kind in KINDS)] for name in rates[PLAIN]]
    report.table(["answers/s", *KINDS], rows)
    wanted = []
    for kind, times in ((PLAIN, 40.0), (STREAM, 60.0), (SINGLY, 60.0)):
        by_name = rates[kind]
        ours = by_name.get("Paddock")
        if ours is None:
            continue
        wanted.append(report.Target(f"{kind}: Paddock / nginx", ours / by_name["nginx"], 0.20))
        theirs = {name: rate for name, rate in by_name.items() if name.startswith("LiteLLM")}
        if theirs:
            best = max(theirs, key=lambda name: theirs[name])
            wanted.append(report.Target(f"{kind}: Paddock / {best}", ours / theirs[best], times))
            print(
                f"(for comparison, {kind}: nginx / {best} {report.number(by_name['nginx'] / theirs[best])})\n"
            )
    return wanted


if __name__ == "__main__":
    main()
