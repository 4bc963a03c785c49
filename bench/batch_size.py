"""A hundred thousand prompts beside a thousand: what one takes, and the memory of the server.

`python -m bench.batch_size [--quick] [--prompts 100000] [--engine foal|stub]`.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench import answers, api, contestants, foal, jobs, processes, prompts, report, servers
from bench.api import JSON, Api
from bench.servers import Server

FEW, TOKENS = 1000, 8
BATCHES = 5
"""Small ones before the large one, and as many after it."""
MEGABYTES, RATIO = 50, 1.1
ENGINES = ("foal", "stub")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="10,000 prompts beside two times two small batches"
    )
    parser.add_argument("--prompts", type=int, default=100_000)
    parser.add_argument("--engine", choices=ENGINES, default=None, help="only this one")
    arguments = parser.parse_args()
    many, batches = (10_000, 2) if arguments.quick else (arguments.prompts, BATCHES)
    servers.end_on_sigterm()
    how = (
        f"OpenAI batches of {FEW:,} chats with answers of up to {TOKENS} tokens, {batches} before and"
        f" {batches} after one of {many:,}; medians. Memory is what the server has resident. The stub"
        " engine answers faster than anything can be asked, so that it shows what the server itself takes."
    )
    report.header("Large batches", how)
    targets = []
    for engine in ENGINES:
        if arguments.engine in (None, engine):
            with tempfile.TemporaryDirectory(prefix="paddock-bench-") as name:
                with _served(engine, Path(name)) as (paddock, model), api.connected(paddock.port) as client:
                    targets += _measure(engine, client, paddock, model, many, batches)
    report.targets(targets)


@contextlib.contextmanager
def _served(engine: str, folder: Path) -> Iterator[tuple[Server, str]]:
    """(Paddock, the model to ask)."""
    if engine == "foal":
        with foal.served(folder) as (_, _, paddock):
            yield paddock, foal.MODEL
    else:
        with contestants.stub(folder) as stub, contestants.paddock(stub.url, folder) as paddock:
            yield paddock, answers.MODEL


def _measure(
    engine: str, client: Api, paddock: Server, model: str, many: int, batches: int
) -> list[report.Target]:
    rows = []

    def note(what: str, count: int, each: float) -> None:
        processes.settle(paddock)
        figures = (processes.peak(paddock), processes.resident(paddock))
        took = f"{1e3 * each:.3f}" if count else ""
        rows.append([what, f"{count:,}" if count else "", took, *(f"{one:.1f}" for one in figures)])
        processes.forget_peak(paddock)

    processes.settle(paddock)
    at_start = processes.resident(paddock)
    note("started", 0, 0)
    few = jobs.upload(client, prompts.lines(prompts.CHATS, prompts.short(FEW), TOKENS, model))
    large = jobs.upload(client, prompts.lines(prompts.CHATS, prompts.short(many), TOKENS, model))
    note("input uploaded", 0, 0)
    each = [_seconds_each(client, few) for _ in range(batches)]
    note(f"{batches} batches before", FEW, statistics.median(each))
    beside = _seconds_each(client, large)
    note("the large batch", many, beside)
    at_end = processes.resident(paddock)
    after = [_seconds_each(client, few) for _ in range(batches)]
    note(f"{batches} batches after", FEW, statistics.median(after))
    report.table([engine, "prompts", "ms for each", "memory, most, MB", "memory after it, MB"], rows)
    ratio = beside / statistics.median(each + after)
    return [
        report.Target(
            f"{engine}: memory after {many:,} - at the start", at_end - at_start, MEGABYTES, True, " MB"
        ),
        report.Target(f"{engine}: a prompt's time of {many:,} / of {FEW:,}", ratio, RATIO, True),
    ]


def _seconds_each(client: Api, file_id: str) -> float:
    job = jobs.until_over(client, jobs.start(client, file_id, prompts.CHATS), 3600)
    _check(job)
    return jobs.seconds(job) / int(job["total"])


def _check(job: JSON) -> None:
    if job["done"] != job["total"] or job["failed"]:
        raise RuntimeError(f"{job['done']} of {job['total']} answered, {job['failed']} of them with an error")


if __name__ == "__main__":
    main()
