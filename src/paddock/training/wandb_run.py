"""`python -m paddock.training.wandb_run WORKFOLDER`: brings metrics to Weights & Biases.

A process of its own beside the one that learns: what goes wrong in the wandb package, or takes for ever
there, is not the other's. On stdin it takes a `schemas.training.WandbRun` and then what the other says, a
JSON object a line; on stdout it writes what there is to be told, as `Noted`. The key comes in
`WANDB_API_KEY`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import IO, Any

from pydantic import TypeAdapter

from paddock.schemas.training import (
    WANDB_KEY,
    Done,
    Evaluated,
    Failed,
    Noted,
    Said,
    Stepped,
    WandbRun,
)
from paddock.training.reporting import take_stdout

INIT_SECONDS = 60
_SAID: TypeAdapter[Said] = TypeAdapter(Said)


def main(folder: Path) -> int:
    told = take_stdout()
    run = WandbRun.model_validate_json(sys.stdin.readline())
    _prepare(folder)
    try:
        live = _begin(run, folder)
        told.write(Noted(message=f"metrics go to {live.url}").model_dump_json() + "\n")
        told.flush()
        over = _report(live, sys.stdin)
        if over is None:
            # Who learned was killed. Whoever goes on with it goes on with this run, which must not look over.
            os._exit(1)
        live.finish(exit_code=0 if isinstance(over, Done) else 1)
    # Whatever this is, it is told and nothing else: the learning goes on.
    except Exception as error:
        _tell(told, error)
        # What the package does at the end of a process may wait for what has just failed.
        os._exit(1)
    return 0


def _prepare(folder: Path) -> None:
    """The environment that the package reads when it is imported."""
    # The machine is there to learn.
    os.nice(10)
    # To the package an empty one is a wrong value; here it counts as not set.
    for name, value in list(os.environ.items()):
        if name.startswith("WANDB_") and not value:
            del os.environ[name]
    # Nothing is left in a home folder; the work folder goes with the job.
    for name in ("WANDB_DIR", "WANDB_CONFIG_DIR", "WANDB_CACHE_DIR", "WANDB_DATA_DIR"):
        os.environ[name] = str(folder)
    # Reports of the package's own failures go to somebody whom nobody named.
    os.environ["WANDB_ERROR_REPORTING"] = "false"


class _Member(subprocess.Popen[Any]):
    """Stays in this process's group, which is ended with the process that learns, whatever the package wants
    for its own helper.
    """

    def __init__(self, *arguments: Any, start_new_session: bool = False, **more: Any) -> None:
        super().__init__(*arguments, **more)


def _begin(run: WandbRun, folder: Path) -> Any:
    subprocess.Popen = _Member  # type: ignore[misc]
    # It is an extra, and takes a second to import.
    import wandb

    given: dict[str, Any] = {"base_url": run.base_url} if run.base_url else {}
    settings = wandb.Settings(
        **given,
        console="off",
        disable_code=True,
        disable_git=True,
        disable_job_creation=True,
        init_timeout=INIT_SECONDS,
        silent=True,
        # Of this machine nothing is told but the metrics.
        x_disable_machine_info=True,
        x_disable_meta=True,
        x_disable_stats=True,
        x_save_requirements=False,
    )
    return wandb.init(
        id=run.id,
        resume="allow",
        name=run.name,
        project=run.project,
        entity=run.entity,
        group=run.group,
        job_type=run.job_type,
        notes=run.notes,
        tags=run.tags,
        config=run.config,
        dir=folder,
        settings=settings,
    )


def _report(live: Any, lines: IO[str]) -> Done | Failed | None:
    """What was said last; None if nobody said that it is over."""
    for line in lines:
        said = _SAID.validate_json(line)
        match said:
            case Stepped():
                numbers = {
                    "train/loss": said.loss,
                    "train/epoch": said.epoch,
                    "train/learning_rate": said.learning_rate,
                    "train/rows_per_second": said.rate,
                }
                # Steps that a run which goes on takes again are there already, and are left out by this.
                live.log(numbers, step=said.step)
            case Evaluated():
                live.log({"eval/loss": said.loss, "train/epoch": said.epoch}, step=said.step)
            case Done():
                live.summary.update(said.model_dump(exclude={"kind"}, exclude_none=True))
                return said
            case Failed():
                return said
    return None


def _tell(told: IO[str], error: Exception) -> None:
    why = " ".join(f"{type(error).__name__}: {error}".split())[:400]
    if isinstance(error, ImportError):
        why = "it is not installed on this machine: pip install 'paddock[wandb]'"
    if key := os.environ.get(WANDB_KEY):
        why = why.replace(key, "***")
    message = f"nothing more goes to Weights & Biases, and the learning goes on: {why}"
    told.write(Noted(message=message, trouble=True).model_dump_json() + "\n")
    told.flush()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
