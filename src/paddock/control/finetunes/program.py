"""The process that learns, as a runner runs it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from paddock.control.finetunes.tracking import Tracked
from paddock.engines.engine import Launch, Progress, Report, Site
from paddock.errors import StartupError
from paddock.schemas.training import TASK, WANDB_KEY, Recipe, Task
from paddock.weights.resolve import resolve


@dataclass(frozen=True)
class Prepared:
    """A trainer whose work folder is whole; `base` is the folder of the model's checkpoint."""

    folder: Path
    base: Path
    title: str
    env: dict[str, str] = field(default_factory=dict, repr=False)
    health: None = None
    facts: dict[str, Any] = field(default_factory=dict)

    def launch(self, host: str, port: int) -> Launch:
        # -P: a file in the folder where the server was started must not shadow a module.
        return Launch([sys.executable, "-P", "-m", "paddock.training", str(self.folder)], self.env)

    def explain(self, lines: Sequence[str]) -> str:
        return lines[-1] if lines else ""


@dataclass(frozen=True)
class Trainer:
    """A fine-tune in a folder where its rows lie already.

    Attributes:
        source: what `weights.resolve` takes; `model` is its name.
        training, validation: files in the folder; without validation rows the second is empty.
        tracked: where it is reported; None: nowhere.
    """

    folder: Path
    model: str
    source: str
    training: str
    validation: str
    device: str
    recipe: Recipe
    tracked: Tracked | None = None
    name: str = "the trainer"

    def prepare(self, site: Site, report: Report) -> Prepared:
        """See `Program.prepare`.

        Raises:
            StartupError: the weights are not to be had, or are none that can be trained.
        """
        weights = resolve(
            self.source,
            lambda done, total: report(Progress("fetching", done, total)),
            site.data_dir / "models",
        )
        if weights.kind != "checkpoint":
            raise StartupError(
                f"{self.model} is a GGUF file, which cannot be trained; take the checkpoint it was made of"
            )
        task = Task(
            base=str(weights.path),
            base_name=self.model,
            training=str(self.folder / self.training),
            validation=str(self.folder / self.validation) if self.validation else "",
            device=self.device,
            recipe=self.recipe,
            wandb=None if self.tracked is None else self.tracked.run,
        )
        try:
            (self.folder / TASK).write_text(task.model_dump_json(), "utf-8")
        except OSError as error:
            raise StartupError(f"cannot write {self.folder / TASK}: {error.strerror or error}") from error
        env = {} if self.tracked is None else {WANDB_KEY: self.tracked.key}
        return Prepared(self.folder, weights.path, f"a fine-tune of {self.model}", env)
