"""A shop's questions and answers, learned with default settings: how long it takes, and what is known then.

`python -m bench.fine_tunes [--quick]`.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench import api, foal, jobs, report, servers, shop
from bench.api import JSON, Api
from bench.shop import Pair

EXACT, BASE, SECONDS, SERVED = 0.95, 0.05, 300.0, 3.0
AT_ONCE = 8
TOKENS = 48


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="40 pairs only")
    arguments = parser.parse_args()
    pairs = shop.pairs()[: 40 if arguments.quick else None]
    servers.end_on_sigterm()
    how = (
        f"{len(pairs)} questions with answers about a shop that is nowhere in foal's corpus; all of them are"
        " learned, with default settings but that nothing is set apart to validate. An answer counts if it is"
        " the same to the letter, asked greedily. `Served` is from the end of the fine-tune, as its job tells"
        " it, to the first answer."
    )
    report.header("Fine-tuning", how)
    with tempfile.TemporaryDirectory(prefix="paddock-bench-") as name:
        with foal.served(Path(name)) as (_, _, paddock), api.connected(paddock.port) as client:
            _measure(client, paddock.port, pairs)


def _measure(client: Api, port: int, pairs: Sequence[Pair]) -> None:
    asked = [pair.question for pair in pairs]
    before = _share(port, foal.MODEL, asked, pairs)
    job = _learned(client, pairs)
    model = job["results"]["fine_tuned_model"]
    _answer(port, model, asked[0])
    served = time.time() - job["finished_at"]
    trained = _share(port, model, asked, pairs)
    reworded = _share(port, model, [pair.reworded for pair in pairs], pairs)
    rows = [
        ["the questions, base model", f"{before:.1%}"],
        ["the questions, fine-tuned", f"{trained:.1%}"],
        ["the same in other words, fine-tuned", f"{reworded:.1%}"],
    ]
    report.table(["exact answers", "share"], rows)
    took = job["finished_at"] - job["created_at"]
    report.targets(
        [
            report.Target("from POST to succeeded", took, SECONDS, at_most=True, unit=" s"),
            report.Target("exact answers, fine-tuned", trained, EXACT),
            report.Target("exact answers, base", before, BASE, at_most=True),
            report.Target("served after succeeded", served, SERVED, at_most=True, unit=" s"),
        ]
    )


def _learned(client: Api, pairs: Sequence[Pair]) -> JSON:
    """The job, once it is completed."""
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow(["prompt", "response"])
    rows.writerows([pair.question, pair.answer] for pair in pairs)
    file_id = jobs.upload(client, text.getvalue().encode(), "shop.csv")
    one = io.StringIO()
    rows = csv.writer(one)
    rows.writerows([["prompt", "response"], [pairs[0].question, pairs[0].answer]])
    measured = jobs.upload(client, one.getvalue().encode(), "one.csv")
    wanted = {
        "model": foal.MODEL,
        "training_file": file_id,
        "validation_file": measured,
        "suffix": "shop",
    }
    job = client.ask("POST", "/v1/fine_tuning/jobs", wanted)
    return jobs.until_over(client, job["id"], patience=1800)


def _share(port: int, model: str, asked: Sequence[str], pairs: Sequence[Pair]) -> float:
    """Of the answers those that are the wanted ones to the letter."""

    def is_right(one: tuple[str, Pair]) -> bool:
        return _answer(port, model, one[0]) == one[1].answer

    return _mean(is_right, list(zip(asked, pairs, strict=True)))


def _mean(is_right: Callable[[tuple[str, Pair]], bool], every: Sequence[tuple[str, Pair]]) -> float:
    with ThreadPoolExecutor(AT_ONCE) as threads:
        return sum(threads.map(is_right, every)) / len(every)


def _answer(port: int, model: str, question: str) -> str:
    body = {
        "model": model,
        "messages": [{"role": "user", "content": question}],
        "temperature": 0,
        "max_tokens": TOKENS,
    }
    with api.connected(port) as client:
        said = client.send("POST", "/v1/chat/completions", json.dumps(body).encode())
    text: str = json.loads(said)["choices"][0]["message"]["content"]
    return text


if __name__ == "__main__":
    main()
