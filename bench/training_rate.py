"""How many rows a second are learned, beside a plain script with PEFT and transformers' Trainer.

`python -m bench.training_rate [--quick] [--rounds 3] [--threads N] [--base FOLDER]`.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import foal, machine, prompts, report, servers
from bench.overhead import rotated
from paddock.schemas.training import TASK, Recipe, Task
from paddock.services.finetunes.base import describe_base
from paddock.training.__main__ import threads
from paddock.weights.resolve import resolve

JSON = dict[str, Any]
BATCH, RANK, RATE = 8, 32, 2e-3
"""Those of a fine-tune of foal with default settings."""
FIRST = 20
"""Steps that are not measured: buffers are made in them, and Paddock tells of each one."""
LONGEST = 512
LEAST = 0.97
SENTENCES = (
    "The barn is red.",
    "We keep four horses and an old grey donkey there.",
    "On Mondays the smith comes by with his hammer and his bellows.",
    "Nobody knows why.",
    "It has rained for three days, so the foals stay inside and look out of the window.",
)
PLAIN, GROUPED_PLAIN = "PEFT script", "PEFT script, by length"
NEITHER, GROUPED, PACKED = "Paddock, neither", "Paddock, by length", "Paddock, packed"


@dataclass(frozen=True)
class Told:
    """Rows per second of steady state, by the process's own stopwatch; the tokens that it learned from."""

    rate: float
    tokens: int


@dataclass(frozen=True)
class Contestant:
    """Who learns; `run` is told the numbers that it calculates in."""

    name: str
    run: Callable[[Path, Task, str], Told]
    grouped: bool = False
    packed: bool = False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one round of 60 steps")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=800, help="of a run, each learned once")
    parser.add_argument("--threads", type=int, default=0, help="of all; by default as many as Paddock takes")
    parser.add_argument("--base", default=foal.MODEL, help="a model's name, or a folder that holds one")
    arguments = parser.parse_args()
    rounds, steps = (1, 60) if arguments.quick else (arguments.rounds, arguments.rows // BATCH)
    servers.end_on_sigterm()
    with tempfile.TemporaryDirectory(prefix="paddock-bench-") as name:
        folder = Path(name)
        task = _task(folder, arguments.base, steps * BATCH, arguments.threads)
        numbers = _numbers(folder, task)
        how = (
            f"{steps * BATCH} rows of {arguments.base}, of different lengths, one epoch in batches of"
            f" {BATCH}; the same rank, layers, rates, numbers ({numbers}) and {task.threads} thread(s) for"
            " all, each in a process of its own that tells its seconds itself, from the end of step"
            f" {FIRST} on. {rounds} round(s), all in turns, another seed each; ratios are medians of theirs."
        )
        report.header("Training rate", how)
        _show([_round(folder, task, numbers, number) for number in range(rounds)])


def _show(rounds: Sequence[dict[str, Told]]) -> None:
    rows = [[name, f"{statistics.median(one[name].rate for one in rounds):.1f}"] for name in rounds[0]]
    report.table(["", "rows/s"], rows)

    def ratio(name: str, other: str) -> float:
        return statistics.median(one[name].rate / one[other].rate for one in rounds)

    pairs = [(GROUPED, NEITHER), (PACKED, NEITHER), (GROUPED, PLAIN), (PACKED, PLAIN)]
    report.table(["what it brings", "ratio"], [[f"{a} / {b}", f"{ratio(a, b):.3f}"] for a, b in pairs])
    alike = [(NEITHER, PLAIN), (GROUPED, GROUPED_PLAIN)]
    report.targets([report.Target(f"{one} / {other}", ratio(one, other), LEAST) for one, other in alike])


def _round(folder: Path, task: Task, numbers: str, number: int) -> dict[str, Told]:
    contestants = [
        Contestant(PLAIN, _plain),
        Contestant(NEITHER, _paddock),
        Contestant(GROUPED_PLAIN, _plain, grouped=True),
        Contestant(GROUPED, _paddock, grouped=True),
        Contestant(PACKED, _paddock, packed=True),
    ]
    found: dict[str, Told] = {}
    for one in rotated(contestants, number):
        own = folder / f"{number}-{one.name.replace(' ', '-')}"
        found[one.name] = one.run(own, _written(own, task, one, number), numbers)
    if len({one.tokens for one in found.values()}) > 1:
        raise RuntimeError(f"they have not learned from the same tokens: {found}")
    return {one.name: found[one.name] for one in contestants}


def _written(folder: Path, task: Task, contestant: Contestant, seed: int) -> Task:
    """The contestant's task, in its work folder."""
    folder.mkdir()
    changes = {"group_by_length": contestant.grouped, "packing": contestant.packed, "seed": seed}
    own = task.model_copy(update={"recipe": task.recipe.model_copy(update=changes)})
    (folder / TASK).write_text(own.model_dump_json())
    return own


def _paddock(folder: Path, task: Task, numbers: str) -> Told:
    said = _said(folder)
    began, done = said[0], said[-1]
    if (began["kind"], done["kind"], began.get("dtype")) != ("began", "done", numbers):
        raise RuntimeError(f"Paddock's process said {began} first and {done} last")
    return Told(steady_rate(said, task.recipe.batch_size), done["trained_tokens"])


def steady_rate(said: Sequence[JSON], batch: int) -> float:
    """Rows per second from the end of step number `FIRST` on.

    Args:
        said: by Paddock's process. Each `step` tells the rate since the one before.
        batch: rows of each step.
    """
    steps = [one for one in said if one["kind"] == "step"]
    rows, seconds = 0, 0.0
    for before, one in itertools.pairwise(steps):
        if before["step"] >= FIRST:
            learned = (one["step"] - before["step"]) * batch
            rows += learned
            seconds += learned / one["rate"]
    return rows / seconds


def _plain(folder: Path, task: Task, numbers: str) -> Told:
    argv = [sys.executable, "-m", "bench.plain_peft", str(folder), "--dtype", numbers, "--first", str(FIRST)]
    told = json.loads(servers.output(argv, machine.ROOT, _environment(task)).splitlines()[-1])
    return Told(told["steps"] * task.recipe.batch_size / told["seconds"], told["tokens"])


def _said(folder: Path) -> list[JSON]:
    argv = [sys.executable, "-P", "-m", "paddock.training", str(folder)]
    return [json.loads(line) for line in servers.output(argv, folder).splitlines()]


def _environment(task: Task) -> dict[str, str]:
    return {"OMP_NUM_THREADS": str(task.threads), "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "true"}


def _numbers(folder: Path, task: Task) -> str:
    """What Paddock calculates in on this machine, by a first run of a few steps that also warms up."""
    short = task.model_copy(update={"recipe": task.recipe.model_copy(update={"epochs": 0.01})})
    own = folder / "first"
    _written(own, short, Contestant(NEITHER, _paddock), 0)
    return str(_said(own)[0]["dtype"])


def _task(folder: Path, model: str, count: int, wanted: int) -> Task:
    """What all learn; its rows lie in the folder."""
    weights = resolve(model)
    rows = folder / "rows.jsonl"
    rows.write_text("".join(json.dumps(row) + "\n" for row in _rows(count)))
    steps = count // BATCH
    recipe = Recipe(
        epochs=1,
        batch_size=BATCH,
        learning_rate=RATE,
        warmup_steps=round(0.03 * steps),
        lora_rank=RANK,
        lora_alpha=2 * RANK,
        lora_targets=list(describe_base(weights).linear_layers),
        max_length=LONGEST,
        evaluate_every=steps + 1,
        save_every=steps + 1,
    )
    task = Task(base=str(weights.path), base_name=model, training=str(rows), threads=wanted, recipe=recipe)
    return task.model_copy(update={"threads": threads(task)})


def _rows(count: int) -> list[JSON]:
    """Prompts and responses of one to some ten sentences."""
    chance = random.Random(0)
    return [
        {"prompt": prompt, "response": " ".join(chance.choices(SENTENCES, k=chance.randrange(1, 11)))}
        for prompt in prompts.made(count)
    ]


if __name__ == "__main__":
    main()
