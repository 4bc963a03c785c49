"""`python -m paddock.training WORKFOLDER`: one fine-tune, told by the folder's `task.json`.

Ends with 0 after `done` and with 1 after `failed`, both of them lines on stdout.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from pydantic import ValidationError

from paddock.errors import JobFailed
from paddock.schemas.training import TASK, Noted, Said, Task, WandbRun
from paddock.training.failures import failed
from paddock.training.reporting import Reporter

SMALL = 100_000_000
"""Bytes of weights."""


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        print("usage: python -m paddock.training WORKFOLDER", file=sys.stderr)
        return 2
    reporter = Reporter()
    say: Callable[[Said], None] = reporter.say
    folder = Path(arguments[0])
    try:
        task = _task(folder)
        if task.wandb is not None:
            say = _tracked(reporter, task.wandb, folder)
        task = task.model_copy(update={"threads": threads(task)})
        _prepare(task)
        # Reads the environment that has just been prepared, and takes seconds.
        from paddock.training.run import run

        run(task, folder, say)
    except BrokenPipeError:
        return 1
    except Exception as error:
        traceback.print_exc()
        say(failed(error))
        return 1
    return 0


def _task(folder: Path) -> Task:
    try:
        return Task.model_validate_json((folder / TASK).read_bytes())
    except (OSError, ValidationError) as error:
        raise JobFailed(f"{folder / TASK} is no task: {error}", code="internal") from error


def threads(task: Task) -> int:
    """Of the CPU: one for a small model, where another costs more than it brings as soon as anything else
    runs; else as many as there are cores.
    """
    cores = len(os.sched_getaffinity(0))
    size = sum(file.stat().st_size for file in Path(task.base).glob("*.safetensors"))
    return task.threads or (1 if size < SMALL else cores)


def _tracked(reporter: Reporter, run: WandbRun, folder: Path) -> Callable[[Said], None]:
    """Says everything twice. The end is said to who waits for it once the other one has it."""
    # Most learn without it.
    from paddock.training.tracking import Tracking

    try:
        tracking = Tracking(run, folder, reporter.say)
    except OSError as error:
        reporter.say(Noted(message=f"nothing goes to Weights & Biases: {error.strerror}", trouble=True))
        return reporter.say

    def say(said: Said) -> None:
        tracking.take(said)
        reporter.say(said)

    return say


def _prepare(task: Task) -> None:
    """The environment that the libraries read when they are imported."""
    os.environ["OMP_NUM_THREADS"] = os.environ["RAYON_NUM_THREADS"] = str(task.threads)
    # Engines answer on the same cores: a thread that spins while it waits takes theirs, and where one of two
    # is not running the other spins in vain at every operation, which was ten times slower.
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    os.environ["TOKENIZERS_PARALLELISM"] = "true"
    # The base is a folder on this machine: nothing may be looked up elsewhere.
    os.environ["HF_HUB_OFFLINE"] = "1"
    # Without it CUDA's matrix products do not come out the same twice.
    os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
