"""From the last step of a fine-tune to the first answer by its name, while others ask the base all the time.

`python -m bench.handover [--quick] [--rounds 5]`.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import api, foal, jobs, report, servers, shop, steady, tuning
from bench.api import Api
from bench.servers import Server
from bench.steady import Sent
from bench.tuning import Timeline

PAIRS, EPOCHS = 40, 20
CLIENTS = 4
SHARE = 0.5
"""Of the steps, after which the load begins."""
AFTER = 3.0
"""Seconds of load behind the first answer: engines that were taken over from drain and end then."""
ALONE = 5.0
BEYOND = 3.0


@dataclass(frozen=True)
class Round:
    """A fine-tune; `answered` in seconds since 1970; `sent` to the base from its last step on."""

    line: Timeline
    answered: float
    refused: int
    sent: list[Sent]

    @property
    def saving(self) -> float:
        return self.line.saved - self.line.stepped

    @property
    def whole(self) -> float:
        """Seconds from the last step to the first answer."""
        return self.answered - self.line.stepped


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one fine-tune of 5 epochs")
    parser.add_argument("--rounds", type=int, default=5, help="fine-tunes, one after the other")
    arguments = parser.parse_args()
    rounds, epochs = (1, 5) if arguments.quick else (arguments.rounds, EPOCHS)
    servers.end_on_sigterm()
    how = (
        f"{CLIENTS} clients ask the base for {steady.TOKENS} tokens, again and again, from the middle of a"
        f" fine-tune of {PAIRS} rows until {AFTER:g} s after the first answer by its name; each request is"
        " sent once. Times are those of the job's events: a step is told up to 0.1 s after it was taken."
        " `Saved`: the process that learns has validated once more and written the adapter; `stored`: it"
        " has ended, and the adapter is converted for the engine and stored; `answered`: the name is asked"
        " every 20 ms from the moment the job is over. Nothing is left out of the whole."
    )
    report.header("From the last step to the first answer", how)
    with tempfile.TemporaryDirectory(prefix="paddock-bench-") as name:
        with foal.served(Path(name)) as (_, _, paddock), api.connected(paddock.port) as client:
            with steady.load(paddock, foal.MODEL, CLIENTS) as alone:
                time.sleep(ALONE)
            _show(alone, [_round(client, paddock, number, epochs) for number in range(rounds)])


def _round(client: Api, paddock: Server, number: int, epochs: int) -> Round:
    pairs = shop.pairs(number)[:PAIRS]
    job_id = tuning.start(client, foal.MODEL, pairs, f"round-{number}", n_epochs=epochs)
    while not (job := jobs.get(client, job_id))["total"] or job["done"] < SHARE * job["total"]:
        if jobs.is_over(job):
            raise RuntimeError(f"{job_id} was over before the load began: {job['state']} {job['reason']}")
        time.sleep(0.05)
    with steady.load(paddock, foal.MODEL, CLIENTS) as sent:
        job = tuning.until_over(client, job_id)
        answered, refused = tuning.first_answer(paddock.port, tuning.name_of(job), pairs[0].question)
        time.sleep(AFTER)
    line = tuning.timeline(client, job)
    meanwhile = steady.within(sent, line.stepped, answered + AFTER)
    steady.tell(paddock, meanwhile)
    return Round(line, answered, refused, meanwhile)


def _show(alone: Sequence[Sent], rounds: Sequence[Round]) -> None:
    rows = []
    for number, one in enumerate(rounds):
        line = one.line
        ends = [line.stepped, line.saved, line.stored, line.completed, one.answered]
        spans = [f"{end - begin:.2f}" for begin, end in itertools.pairwise(ends)]
        rows.append([f"round {number + 1}", *spans, f"{one.whole:.2f}", f"{one.refused}"])
    columns = [
        "s after the one before",
        "saved",
        "stored",
        "completed",
        "answered",
        "whole",
        "refused before",
    ]
    report.table(columns, rows)
    rows = [["nothing", *_row(alone)]]
    rows += [[f"round {number + 1}", *_row(one.sent)] for number, one in enumerate(rounds)]
    report.table(["meanwhile", "requests to the base", "failed", "median, s", "slowest, s"], rows)
    report.targets(
        [
            report.Target(
                "last step to first answer, beyond saving, slowest",
                max(one.whole - one.saving for one in rounds),
                BEYOND,
                True,
                " s",
            ),
            report.Target(
                f"failed of {sum(len(one.sent) for one in rounds):,} requests to the base",
                sum(steady.failed(one.sent) for one in rounds),
                0,
                True,
            ),
        ]
    )


def _row(sent: Sequence[Sent]) -> list[str]:
    seconds = [one.asked.seconds for one in sent] or [0.0]
    times = [f"{statistics.median(seconds):.3f}", f"{max(seconds):.3f}"]
    return [f"{len(sent):,}", f"{steady.failed(sent)}", *times]


if __name__ == "__main__":
    main()
