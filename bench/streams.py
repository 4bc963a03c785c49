"""A thousand streams at once through Paddock, twice: no error, and no memory that stays.

`python -m bench.streams [--quick] [--streams 1000]`.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from bench import answers, contestants, crowd, machine, processes, report, servers
from bench.servers import Server

STEP_MS = 100  # a stream then takes at least 6.5 s, so that all of them are open at once
RUNS = 3  # the first one fills pools and caches; then the one before and the one after


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="100 streams")
    parser.add_argument("--streams", type=int, default=1000)
    arguments = parser.parse_args()
    streams = 100 if arguments.quick else arguments.streams
    servers.end_on_sigterm()
    machine.raise_file_limit()
    how = f"{streams} streams of {answers.CHUNKS} tokens, one each {STEP_MS} ms, from the stub engine."
    report.header("Streams", how)
    with tempfile.TemporaryDirectory(prefix="paddock-bench-") as name:
        folder = Path(name)
        with (
            contestants.stub(folder) as engine,
            contestants.paddock(engine.url, folder) as paddock,
        ):
            contestants.step(engine, STEP_MS)
            _measure(paddock, streams)


def _measure(paddock: Server, streams: int) -> None:
    rows = [["before", "", "", "", *_memory(paddock)]]
    whole, most_open = 0, streams
    for turn in range(RUNS):
        seen = crowd.stream_all(paddock.port, streams)
        processes.settle(paddock)
        for problem in sorted(set(seen.problems))[:5]:
            print(f"({seen.problems.count(problem)} times: {problem})")
        whole += seen.whole
        most_open = min(most_open, seen.most_open)
        rows.append(
            [
                f"run {turn + 1}",
                f"{seen.whole}",
                f"{seen.most_open}",
                f"{seen.seconds:.1f}",
                *_memory(paddock),
            ]
        )
    report.table(["", "whole", "at once", "seconds", "RSS, MB", "PSS, MB"], rows)
    resident = [float(row[4]) for row in rows]
    report.targets(
        [
            report.Target(f"whole streams of {RUNS} x {streams}", whole, RUNS * streams),
            report.Target("open at once, least", most_open, streams),
            report.Target("RSS after run 2 / after run 1", resident[2] / resident[1], 1.10, at_most=True),
            report.Target("RSS after run 3 / after run 2", resident[3] / resident[2], 1.10, at_most=True),
        ]
    )


def _memory(server: Server) -> tuple[str, str]:
    resident, proportional = processes.memory(server)
    return f"{resident:.1f}", f"{proportional:.1f}"


if __name__ == "__main__":
    main()
