"""`kill -9` of the process that learns, and of the server: what comes of a fine-tune is what came without.

`python -m bench.fine_tune_kills [--quick] [--kills 5] [--seed N]`.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import api, contestants, foal, jobs, report, servers, shop, tuning
from bench.api import JSON, Api
from bench.killed_batches import Killed

if TYPE_CHECKING:
    from numpy.typing import NDArray

TOLERANCE = 1e-6
"""Of numbers whose largest is some tenths."""
PATIENCE = 120.0
_STEP = 0.05


@dataclass(frozen=True)
class Run:
    """A fine-tune that was killed at these steps, and what came of it."""

    what: str
    kills: list[int]
    seconds: float
    weights: Mapping[str, NDArray[Any]]

    def difference(self, other: Run) -> float:
        """The largest of any number in their tensors, from the other's.

        Raises:
            RuntimeError: they have not the same tensors.
        """
        shapes, others = (
            {name: weight.shape for name, weight in one.weights.items()} for one in (self, other)
        )
        if shapes != others:
            raise RuntimeError(f"{self.what} has other tensors than {other.what}: {shapes}, not {others}")
        return max(float(abs(weight - other.weights[name]).max()) for name, weight in self.weights.items())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="100 rows, 2 kills")
    parser.add_argument("--kills", type=int, default=5, help="of the process that learns, in one fine-tune")
    parser.add_argument("--rows", type=int, default=300)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--seed", type=int, default=None, help="of the random moments; printed")
    arguments = parser.parse_args()
    rows, kills = (100, 2) if arguments.quick else (arguments.rows, arguments.kills)
    seed = random.randrange(10**6) if arguments.seed is None else arguments.seed
    servers.end_on_sigterm()
    how = (
        f"Fine-tunes of the same {rows} rows with the same seed, {arguments.epochs} epochs: one that nobody"
        " disturbs, and another as a measure; one whose process is killed at random steps; one whose server"
        " is, which is started again at once. All of them are downloaded in PEFT's format. Moments are drawn"
        f" with seed {seed}."
    )
    report.header("Fine-tunes and kill -9", how)
    with tempfile.TemporaryDirectory(prefix="paddock-bench-") as name:
        folder, chance = Path(name), random.Random(seed)
        with contextlib.closing(Killed([contestants.PADDOCK, "serve"], folder, {})) as killed:
            runs = [
                Runs(killed, folder, rows, arguments.epochs).run(what, shares, kill)
                for what, shares, kill in (
                    ("nothing", [], _kill_trainer),
                    ("nothing again", [], _kill_trainer),
                    ("its process", _shares(chance, kills), _kill_trainer),
                    ("the server", _shares(chance, 1), _kill_server),
                )
            ]
    _show(runs, kills)


def _shares(chance: random.Random, count: int) -> list[float]:
    """Of the steps, after which it is killed; in order, and none so late that it would be over before."""
    return sorted(chance.uniform(0, 0.9) for _ in range(count))


def _show(runs: list[Run], kills: int) -> None:
    whole, *others = runs
    rows = [[whole.what, "", f"{whole.seconds:.1f}", f"{len(whole.weights)}", ""]]
    for one in others:
        steps = ", ".join(map(str, one.kills))
        difference = f"{one.difference(whole):.2g}"
        rows.append([one.what, steps, f"{one.seconds:.1f}", f"{len(one.weights)}", difference])
    columns = ["killed", "at step", "seconds", "tensors", "largest difference"]
    report.table(columns, rows)
    size = max(float(abs(weight).max()) for weight in whole.weights.values())
    print(f"The largest number of the unbroken run's tensors is {size:.3g}.\n")
    process, server = others[-2:]
    targets = [
        report.Target(
            f"{one.what} killed: largest difference",
            one.difference(whole) / TOLERANCE,
            1,
            True,
            f" x {TOLERANCE:g}",
        )
        for one in (process, server)
    ]
    report.targets([report.Target("kills of the process", len(process.kills), kills), *targets])


class Runs:
    """Fine-tunes of the same rows through one server."""

    def __init__(self, killed: Killed, folder: Path, rows: int, epochs: int) -> None:
        self._killed = killed
        self._folder = folder
        self._pairs = shop.pairs()[:rows]
        self._epochs = epochs

    def run(self, what: str, shares: list[float], kill: Callable[[Killed, str], None]) -> Run:
        with api.connected(self._killed.port) as client:
            suffix = what.replace(" ", "-")
            job_id = tuning.start(client, foal.MODEL, self._pairs, suffix, n_epochs=self._epochs, seed=7)
        at = []
        for share in shares:
            at.append(self._wait(job_id, share))
            kill(self._killed, job_id)
        with api.connected(self._killed.port) as client:
            job = tuning.until_over(client, job_id)
            weights = tuning.tensors(client, tuning.name_of(job), self._folder)
        return Run(what, at, jobs.seconds(job), weights)

    def _wait(self, job_id: str, share: float) -> int:
        """The step it is at, as soon as its process has taken that share of all of them.

        Raises:
            RuntimeError: it is over before.
        """
        deadline = time.monotonic() + PATIENCE
        with api.connected(self._killed.port) as client:
            while not self._reached(client, job := jobs.get(client, job_id), share):
                if jobs.is_over(job) or time.monotonic() > deadline:
                    raise RuntimeError(f"{job_id} did not come to a kill at {share:.0%}: {job}")
                time.sleep(_STEP)
        return int(job["done"])

    def _reached(self, client: Api, job: JSON, share: float) -> bool:
        there = tuning.trainer(self._killed.server, job["id"]) is not None
        return there and job["total"] > 0 and job["done"] >= share * job["total"]


def _kill_trainer(killed: Killed, job_id: str) -> None:
    """Returns once the next one has been started."""
    victim = tuning.trainer(killed.server, job_id)
    if victim is None:
        raise RuntimeError(f"nothing learns for {job_id}")
    victim.kill()
    deadline = time.monotonic() + PATIENCE
    while (one := tuning.trainer(killed.server, job_id)) is None or one.pid == victim.pid:
        if time.monotonic() > deadline:
            raise RuntimeError(f"no other process learns for {job_id} within {PATIENCE:g} s")
        time.sleep(_STEP)


def _kill_server(killed: Killed, job_id: str) -> None:
    killed.again()


if __name__ == "__main__":
    main()
