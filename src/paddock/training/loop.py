"""The training loop: steps, evaluations, checkpoints, and the way back to where a killed run stood."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from paddock.errors import JobFailed
from paddock.schemas.training import CHECKPOINTS, Began, Done, Evaluated, Said, Saved, Stepped, Task
from paddock.training import batching, checkpoints
from paddock.training.losses import summed_loss
from paddock.training.model import Learner
from paddock.training.packing import batch
from paddock.training.progress import Progress, check_converging, learning_rate
from paddock.training.reporting import Pace
from paddock.training.result import save_result, set_weights
from paddock.training.rows import Row


@dataclass
class Run:
    """One fine-tune, from its newest checkpoint on."""

    task: Task
    folder: Path
    say: Callable[[Said], None]
    learner: Learner
    padding: int
    rows: list[Row]
    validation: list[Row]
    progress: Progress = field(default_factory=Progress)
    best: dict[str, Tensor] | None = None

    def __post_init__(self) -> None:
        recipe = self.task.recipe
        self._trainable = self.learner.trainable
        self._optimizer = _optimizer(self._trainable, recipe.weight_decay)
        self._per_epoch = batching.steps_of_epoch(len(self.rows), recipe.batch_size)
        self._steps = batching.total_steps(len(self.rows), recipe.batch_size, recipe.epochs)
        self._lengths = [len(row.tokens) for row in self.rows]
        self._unsaid: list[float] = []
        self._rows_done = 0

    def run(self) -> None:
        """Says everything from `began` to `done`."""
        self._resume()
        self.say(self._began())
        self._began_at, self._first = time.monotonic(), self.progress.step
        self._said_at = self._began_at
        before = self.progress.seconds
        pace = Pace()
        for indices in self._batches():
            self._step(indices)
            self.progress.seconds = before + time.monotonic() - self._began_at
            last = self.progress.step == self._steps
            if pace.due() or last:
                self._say_step()
            if self.validation and (last or self.progress.step % self.task.recipe.evaluate_every == 0):
                self._evaluate()
            if self.progress.step % self.task.recipe.save_every == 0:
                self._save()
        save_result(self.learner, self.task, self.best, self.folder)
        self.say(self._done(before + time.monotonic() - self._began_at))

    def _batches(self) -> Iterator[list[int]]:
        recipe = self.task.recipe
        epoch, batches = -1, []
        while self.progress.step < self._steps and not self.progress.exhausted(recipe.patience):
            step = self.progress.step
            if epoch != step // self._per_epoch:
                epoch = step // self._per_epoch
                batches = batching.epoch_batches(
                    self._lengths, recipe.batch_size, recipe.seed, epoch, recipe.group_by_length
                )
            yield batches[step % self._per_epoch]

    def _step(self, indices: list[int]) -> None:
        recipe = self.task.recipe
        rate = learning_rate(recipe, self.progress.step + 1, self._steps)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        learned = sum(int(self.rows[index].learned.sum()) for index in indices)
        total = 0.0
        for part in batching.parts(indices, recipe.batch_size, recipe.accumulation):
            loss = self._summed(self.rows, part) / learned
            loss.backward()
            total += loss.item()
        norm = torch.nn.utils.clip_grad_norm_(list(self._trainable.values()), recipe.max_gradient_norm)
        # A gradient that is no number would spoil the weights while the loss still looks well.
        self.progress.stepped(
            total if math.isfinite(norm) else math.nan, sum(self._lengths[index] for index in indices)
        )
        check_converging(self.progress, self.learner.vocabulary, recipe.learning_rate)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        self._unsaid.append(total)
        self._rows_done += len(indices)

    def _summed(self, rows: list[Row], indices: list[int]) -> Tensor:
        rectangle = batch([rows[index] for index in indices], self.padding, self.task.recipe.packing)
        return summed_loss(self.learner, rectangle.to(self.learner.device))

    def _evaluate(self) -> None:
        recipe = self.task.recipe
        order = sorted(range(len(self.validation)), key=lambda index: -len(self.validation[index].tokens))
        size = math.ceil(recipe.batch_size / recipe.accumulation)
        self.learner.model.eval()
        total = 0.0
        with torch.no_grad():
            for part in batching.parts(order, size, 1):
                total += self._summed(self.validation, part).item()
        self.learner.model.train()
        loss = total / sum(int(row.learned.sum()) for row in self.validation)
        if not math.isfinite(loss):
            raise JobFailed(
                f"the validation loss is no number at step {self.progress.step}: take a lower learning_rate",
                code="diverged",
            )
        if self.progress.evaluated(loss) and recipe.patience:
            self.best = self._weights()
        self.say(Evaluated(step=self.progress.step, epoch=self._epoch(), loss=loss))

    def _weights(self) -> dict[str, Tensor]:
        # A whole model is saved in bfloat16 in the end; its best weights need no more.
        dtype = torch.float32 if self.task.recipe.method == "lora" else torch.bfloat16
        return {name: weight.detach().to("cpu", dtype, copy=True) for name, weight in self._trainable.items()}

    def _save(self) -> None:
        random: dict[str, Any] = {"cpu": torch.get_rng_state()}
        if self.learner.device.type == "cuda":
            random["cuda"] = torch.cuda.get_rng_state(self.learner.device)
        name = checkpoints.save(
            self.folder / CHECKPOINTS,
            self.progress.step,
            {
                "recipe": self.task.recipe.model_dump(),
                "progress": self.progress.as_dict(),
                "weights": {name: weight.detach() for name, weight in self._trainable.items()},
                "optimizer": self._optimizer.state_dict(),
                "random": random,
                "best": self.best,
            },
        )
        self.say(
            Saved(
                step=self.progress.step,
                name=name,
                training_loss=self.progress.training_loss(self._per_epoch),
                validation_loss=self.progress.validation_loss,
            )
        )

    def _resume(self) -> None:
        state = checkpoints.newest(self.folder / CHECKPOINTS, self.task.recipe.model_dump())
        if state is None:
            return
        set_weights(self.learner, state["weights"])
        self._optimizer.load_state_dict(state["optimizer"])
        torch.set_rng_state(state["random"]["cpu"])
        if self.learner.device.type == "cuda" and "cuda" in state["random"]:
            torch.cuda.set_rng_state(state["random"]["cuda"], self.learner.device)
        self.progress = Progress(**state["progress"])
        self.best = state["best"]

    def _epoch(self) -> float:
        return self.progress.step / self._per_epoch

    def _began(self) -> Began:
        return Began(
            step=self.progress.step,
            steps=self._steps,
            rows=len(self.rows),
            validation_rows=len(self.validation),
            trainable=sum(weight.numel() for weight in self._trainable.values()),
            dtype=self.learner.numbers,
        )

    def _say_step(self) -> None:
        now, step = time.monotonic(), self.progress.step
        done = step - self._first
        self.say(
            Stepped(
                step=step,
                epoch=self._epoch(),
                loss=sum(self._unsaid) / len(self._unsaid),
                learning_rate=self._optimizer.param_groups[0]["lr"],
                rate=self._rows_done / max(1e-9, now - self._said_at),
                seconds_left=(now - self._began_at) / done * (self._steps - step),
            )
        )
        self._unsaid, self._rows_done, self._said_at = [], 0, now

    def _done(self, seconds: float) -> Done:
        patience = self.task.recipe.patience
        return Done(
            step=self.progress.step,
            epoch=self._epoch(),
            training_loss=self.progress.training_loss(self._per_epoch),
            validation_loss=self.progress.best_loss if patience else self.progress.validation_loss,
            stopped_early=self.progress.exhausted(patience) and self.progress.step < self._steps,
            trained_tokens=self.progress.tokens,
            seconds=seconds,
        )


def _optimizer(trainable: dict[str, Tensor], weight_decay: float) -> torch.optim.Optimizer:
    """Norms and biases are not made smaller."""
    matrices = [weight for weight in trainable.values() if weight.ndim > 1]
    others = [weight for weight in trainable.values() if weight.ndim <= 1]
    groups = [
        {"params": matrices, "weight_decay": weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([group for group in groups if group["params"]], fused=True)
