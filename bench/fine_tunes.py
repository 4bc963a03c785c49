"""A shop's questions and answers, learned with default settings: how long it takes, and what is known then.

`python -m bench.fine_tunes [--quick]`.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench import api, foal, report, servers, shop, tuning
from bench.api import Api
from bench.shop import Pair
from bench.tuning import Timeline
from foal import evaluate

EXACT, BASE, SECONDS, SERVED = 0.95, 0.05, 300.0, 3.0
AT_ONCE = 8
SEED = 2026
"""Of the questions that are kept out of foal's training: those of `make foal-eval`."""
Shares = dict[str, float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="40 pairs only")
    arguments = parser.parse_args()
    pairs = shop.pairs()[: 40 if arguments.quick else None]
    servers.end_on_sigterm()
    how = (
        f"{len(pairs)} questions with answers about a shop that is nowhere in foal's corpus; all of them are"
        " learned, with default settings but that one of them is measured in between instead of a tenth being"
        " set apart. An answer counts if it is the same to the letter, asked greedily. `Kept out` are the"
        " questions of `make foal-eval`, which tell what was forgotten. Nobody else asks while it learns."
    )
    report.header("Fine-tuning", how)
    with tempfile.TemporaryDirectory(prefix="paddock-bench-") as name:
        with foal.served(Path(name)) as (_, _, paddock), api.connected(paddock.port) as client:
            _measure(client, paddock.port, pairs)


def _measure(client: Api, port: int, pairs: Sequence[Pair]) -> None:
    before = _shares(port, foal.MODEL, pairs)
    began = time.time()
    job_id = tuning.start(client, foal.MODEL, pairs, "shop")
    job = tuning.until_over(client, job_id)
    model = tuning.name_of(job)
    answered, _ = tuning.first_answer(port, model, pairs[0].question)
    line = tuning.timeline(client, job)
    after = _shares(port, model, pairs)
    report.table(
        ["exact answers", "base", "fine-tuned"],
        [[what, f"{before[what]:.1%}", f"{after[what]:.1%}"] for what in before],
    )
    _show_times(began, line, answered)
    known = next(iter(before))
    report.targets(
        [
            report.Target("from POST to succeeded", line.completed - began, SECONDS, True, " s"),
            report.Target("exact answers, fine-tuned", after[known], EXACT),
            report.Target("exact answers, base", before[known], BASE, True),
            report.Target("served after succeeded", answered - line.completed, SERVED, True, " s"),
        ]
    )


def _show_times(began: float, line: Timeline, answered: float) -> None:
    spans = [
        ("files sent and validated", began, line.asked),
        ("queued, process started, base loaded", line.asked, line.learning),
        ("training", line.learning, line.stepped),
        ("last validation, adapter written", line.stepped, line.saved),
        ("process ended, adapter converted, stored", line.saved, line.stored),
        ("job completed", line.stored, line.completed),
        ("until the first answer", line.completed, answered),
    ]
    report.table(["what it took", "s"], [[what, f"{end - begin:.2f}"] for what, begin, end in spans])


def _shares(port: int, model: str, pairs: Sequence[Pair]) -> Shares:
    """Of the answers to each kind of question those that are right to the letter."""
    answers = [pair.answer for pair in pairs]
    asked = _ask(port, model, [tuning.question(pair.question) for pair in pairs])
    reworded = _ask(port, model, [tuning.question(pair.reworded) for pair in pairs])
    shares = {
        "the questions": _share([one == other for one, other in zip(asked, answers, strict=True)]),
        "the same in other words": _share(
            [one == other for one, other in zip(reworded, answers, strict=True)]
        ),
    }
    cases = evaluate.cases(SEED)
    given = evaluate.converse(cases, lambda chats: _ask(port, model, chats))
    right = [one.strip() == case.answer for case, one in zip(cases, given, strict=True)]
    for group in evaluate.THRESHOLDS:
        own = [one for case, one in zip(cases, right, strict=True) if case.group == group]
        shares[f"kept out: {group}"] = _share(own)
    return shares


def _ask(port: int, model: str, chats: Sequence[list[dict[str, str]]]) -> list[str]:
    with ThreadPoolExecutor(AT_ONCE) as threads:
        return list(threads.map(lambda messages: tuning.answer(port, model, messages), chats))


def _share(right: Sequence[bool]) -> float:
    return sum(right) / len(right)


if __name__ == "__main__":
    main()
