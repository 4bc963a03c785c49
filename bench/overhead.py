"""Latency that a proxy adds to a single request: its median minus that of the engine asked directly.

`python -m bench.overhead` runs it alone; `bench.gateway` runs it beside the throughput.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from bench import answers, contestants, load, machine, probe, report
from bench.servers import Server, end_on_sigterm

T = TypeVar("T")
STEP_MS = 1  # a token each millisecond: without a pause the stub would keep the core that the client needs
KINDS = ("plain", "first chunk", "whole stream")


@dataclass(frozen=True)
class Overhead:
    """Median seconds of a request for each kind in KINDS, by server name; `direct` is the engine itself."""

    medians: dict[str, dict[str, float]]

    def added(self, name: str, kind: str) -> float:
        return self.medians[name][kind] - self.medians["direct"][kind]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    rounds, requests = (2, 20) if parser.parse_args().quick else (9, 60)
    end_on_sigterm()
    cores = machine.use_cores(2)
    report.header("Added latency", "One connection to the stub engine, directly or through a proxy, in turn.")
    with contestants.all_of_them(cores) as (engine, proxies, _):
        report.targets(show(measure(engine, proxies, rounds, requests)))


def measure(engine: Server, proxies: Sequence[Server], rounds: int, requests: int) -> Overhead:
    """One request at a time; a round asks each server `requests` plain ones and a third as many streamed."""
    samples: dict[str, dict[str, list[float]]] = {}
    servers = [engine, *proxies]
    contestants.step(engine, STEP_MS)
    for turn in range(rounds + 1):
        for server in rotated(servers, turn):
            # A connection for each turn: LiteLLM closes one that is idle while the others have theirs.
            with probe.connected(server.port) as connection:
                medians = _one_round(connection, requests)
            if turn:  # the first one warms up
                for kind, median in medians.items():
                    samples.setdefault(server.name, {}).setdefault(kind, []).append(median)
    return Overhead({name: {k: statistics.median(v) for k, v in by.items()} for name, by in samples.items()})


def show(overhead: Overhead) -> list[report.Target]:
    """Prints the table and returns the targets, against the LiteLLM that adds least."""
    rows = []
    for name, medians in overhead.medians.items():
        cells = [f"{medians[kind] * 1e3:.3f} ({overhead.added(name, kind) * 1e3:+.3f})" for kind in KINDS]
        rows.append([name, *cells])
    report.table(["one request at a time, ms (added)", *KINDS], rows)
    others = [name for name in overhead.medians if name.startswith("LiteLLM")]
    if not others or "Paddock" not in overhead.medians:
        return []
    wanted = []
    for what, kind in (("a plain request", "plain"), ("a stream's first chunk", "first chunk")):
        best = min(others, key=lambda name: overhead.added(name, kind))
        ratio = overhead.added("Paddock", kind) / overhead.added(best, kind)
        wanted.append(report.Target(f"added to {what}: Paddock / {best}", ratio, 0.1, at_most=True))
    return wanted


def rotated(items: Sequence[T], turn: int) -> list[T]:
    """The items from another starting point each turn, so that none is always first."""
    start = turn % len(items)
    return [*items[start:], *items[:start]]


def _one_round(connection: probe.Probe, requests: int) -> dict[str, float]:
    plain, stream = (probe.post(load.PATH, load.request_body(stream)) for stream in (False, True))
    plains = [connection.ask(plain) for _ in range(requests)]
    streams = [connection.ask(stream) for _ in range(requests // 3)]
    probe.check_plain(plains[-1], answers.SENTENCE)
    probe.check_stream(streams[-1], answers.STREAMED, answers.CHUNKS)
    figures = ([a.total for a in plains], [a.first for a in streams], [a.total for a in streams])
    return {kind: statistics.median(values) for kind, values in zip(KINDS, figures, strict=True)}


if __name__ == "__main__":
    main()
