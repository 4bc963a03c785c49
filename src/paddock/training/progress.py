"""How far a fine-tune has come, and what follows from its losses. Pure."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any

from paddock.errors import JobFailed
from paddock.schemas.training import Recipe

_KEPT = 100
_WATCHED = 20
_EQUAL = 1e-3


@dataclass
class Progress:
    """
    Attributes:
        tokens: that went through the model, padding left out.
        seconds: spent, in this process and those before it.
        losses: of the last steps.
        first_loss: of the first step.
        validation_loss: the last one; `best_loss` the lowest.
        worse: evaluations since the lowest.
    """

    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    losses: list[float] = field(default_factory=list)
    first_loss: float = 0.0
    validation_loss: float | None = None
    best_loss: float | None = None
    worse: int = 0

    def stepped(self, loss: float, tokens: int) -> None:
        self.first_loss = self.first_loss if self.step else loss
        self.step += 1
        self.tokens += tokens
        self.losses = [*self.losses[1 - _KEPT :], loss]

    def evaluated(self, loss: float) -> bool:
        """Whether it is the lowest loss so far."""
        self.validation_loss = loss
        better = self.best_loss is None or loss < self.best_loss
        self.best_loss = loss if better else self.best_loss
        self.worse = 0 if better else self.worse + 1
        return better

    def training_loss(self, steps: int) -> float:
        """The mean of the last `steps` steps, as far as they are kept."""
        last = self.losses[-max(1, steps) :]
        return sum(last) / len(last)

    def exhausted(self, patience: int) -> bool:
        return 0 < patience <= self.worse

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def learning_rate(recipe: Recipe, step: int, steps: int) -> float:
    """Of step number `step`, from 1: up to the peak within the warm-up, then down to 0 behind the last."""
    if step <= recipe.warmup_steps:
        return recipe.learning_rate * step / recipe.warmup_steps
    done = (step - recipe.warmup_steps - 1) / max(1, steps - recipe.warmup_steps)
    falls = {"constant": 1.0, "linear": 1 - done, "cosine": 0.5 + 0.5 * math.cos(math.pi * done)}
    return recipe.learning_rate * falls[recipe.scheduler]


def check_converging(progress: Progress, vocabulary: int, rate: float) -> None:
    """
    Raises:
        JobFailed: diverged: the loss is no number, or for many steps worse than a guess and than at first.
    """
    hint = f"take a lower learning_rate than {rate:g}, or more warmup_steps"
    if not math.isfinite(progress.losses[-1]):
        raise JobFailed(f"the loss is not a number at step {progress.step}: {hint}", code="diverged")
    recent = progress.losses[-_WATCHED:]
    if len(recent) < _WATCHED:
        return
    mean, guess = sum(recent) / _WATCHED, math.log(vocabulary)
    # A model whose states have overflowed says every token with the same likelihood, whatever it reads.
    numb = max(abs(loss - guess) for loss in recent) < _EQUAL < abs(progress.first_loss - guess)
    if numb or mean > 1.1 * max(progress.first_loss, guess):
        raise JobFailed(
            f"the loss went from {progress.first_loss:.2f} to {mean:.2f}, no better than a guess, by step"
            f" {progress.step}: {hint}",
            code="diverged",
        )
