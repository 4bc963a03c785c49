"""What a fine-tune does where its caller left that open. All of the rule is here.

Two things decide: how large the model is, since a small one bears and needs larger steps, and how many rows
there are, since few are passed over more often. `docs` hold the same as a table.
"""

from __future__ import annotations

import difflib
import math
from dataclasses import dataclass
from typing import TypeVar

from paddock.errors import InvalidRequest
from paddock.schemas.training import Recipe
from paddock.services.finetunes.base import Base
from paddock.services.finetunes.hyperparameters import ALL_LINEAR, Hyperparameters

T = TypeVar("T")
SMALL = 50_000_000
"""Parameters below which a model is small."""
SMALL_ROWS_SEEN = 300 * 30
"""A small model sees so many rows in all, a row again with each epoch."""
SMALL_EPOCHS = 3, 60
"""The fewest and the most that come of it."""
WARMUP = 0.03
EVALUATIONS, SAVES = 20, 10
"""In a run, as far as it has so many steps."""
LENGTH_UNKNOWN = 2048
"""Tokens that a row may have where nobody has counted them."""
LENGTH_TO_SPARE = 16
"""Tokens above the longest row: the trainer cuts a token apart that lies on the border of an answer."""
PACKED_LENGTH = 1024
"""Tokens of a sequence that short rows share, at least."""


@dataclass(frozen=True)
class _Size:
    """What depends on the model's size. `full_rate` is the learning rate where all weights are learned."""

    rank: int
    alpha: float
    rate: float
    full_rate: float


_SMALL = _Size(rank=32, alpha=64, rate=2e-3, full_rate=1e-3)
_LARGE = _Size(rank=16, alpha=32, rate=2e-4, full_rate=2e-5)


def choose(
    asked: Hyperparameters,
    rows: int,
    longest: int | None,
    base: Base,
    param: str = "hyperparameters",
) -> Recipe:
    """What was asked for, and for the rest what suits the data and the model.

    Args:
        rows: that are learned, at least one.
        longest: tokens of the longest row, validation's included, if they were counted.
        param: the field of the request that holds what was asked.

    Raises:
        InvalidRequest: something that was asked does not fit the model or the rest.
    """
    size = _SMALL if base.parameters < SMALL else _LARGE
    full = asked.method == "full"
    batch, accumulation = _batch(asked, rows, base, param)
    epochs = _or(asked.epochs, _epochs(rows, base))
    length = _length(asked, longest, base, param)
    # Rounding keeps 0.1 epochs of 30 steps from becoming 4.
    steps = max(1, math.ceil(round(epochs * math.ceil(rows / batch), 6)))
    rate = (size.full_rate if full else size.rate) * _or(asked.learning_rate_multiplier, 1.0)
    rank = _or(asked.lora_rank, size.rank)
    return Recipe(
        method=asked.method or "lora",
        epochs=epochs,
        batch_size=batch,
        accumulation=accumulation,
        learning_rate=_or(asked.learning_rate, rate),
        scheduler=asked.scheduler or "cosine",
        warmup_steps=round(_or(asked.warmup_ratio, WARMUP) * steps),
        weight_decay=_or(asked.weight_decay, 0.0),
        lora_rank=rank,
        # Scaled with the rank, a learning rate that was right stays so.
        lora_alpha=_or(asked.lora_alpha, rank * size.alpha / size.rank),
        lora_dropout=_or(asked.lora_dropout, 0.0),
        lora_targets=[] if full else _targets(asked, base, param),
        max_length=length,
        truncate=bool(asked.truncate),
        packing=bool(asked.packing),
        group_by_length=_or(asked.group_by_length, not asked.packing),
        patience=_or(asked.early_stopping, 0),
        seed=_or(asked.seed, 0),
        evaluate_every=max(1, steps // EVALUATIONS),
        save_every=max(1, steps // SAVES),
    )


def _or(asked: T | None, default: T) -> T:
    return default if asked is None else asked


def _epochs(rows: int, base: Base) -> float:
    if base.parameters < SMALL:
        fewest, most = SMALL_EPOCHS
        return float(min(most, max(fewest, round(SMALL_ROWS_SEEN / rows))))
    return 8.0 if rows < 200 else 5.0 if rows < 1000 else 3.0


def _batch(asked: Hyperparameters, rows: int, base: Base, param: str) -> tuple[int, int]:
    """(rows of a step, equal parts that they are computed in)."""
    parts = asked.gradient_accumulation or 1
    if asked.batch_size is None:
        batch = 8 if base.parameters < SMALL or rows < 500 else 16
        return math.ceil(batch / parts) * parts, parts
    if asked.batch_size % parts:
        name = f"{param}.gradient_accumulation"
        said = f"{name} {parts} does not divide batch_size {asked.batch_size} into equal parts"
        raise InvalidRequest(said, param=name)
    return asked.batch_size, parts


def _length(asked: Hyperparameters, longest: int | None, base: Base, param: str) -> int:
    most = base.context_length
    if asked.max_length is not None:
        if asked.max_length > most:
            name = f"{param}.max_length"
            said = f"{name} must be at most {most}, the model's context, not {asked.max_length}"
            raise InvalidRequest(said, param=name)
        return asked.max_length
    wanted = LENGTH_UNKNOWN if longest is None else longest + LENGTH_TO_SPARE
    if asked.packing:
        wanted = max(wanted, PACKED_LENGTH)
    return max(2, min(most, wanted))


def _targets(asked: Hyperparameters, base: Base, param: str) -> list[str]:
    if asked.lora_targets is None or asked.lora_targets == ALL_LINEAR:
        return list(base.linear_layers)
    for name in asked.lora_targets:
        if name not in base.linear_layers:
            near = difflib.get_close_matches(name, base.linear_layers, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(base.linear_layers)}"
            where = f"{param}.lora_targets"
            raise InvalidRequest(f"{where}: the model has no linear layers {name!r}; {hint}", param=where)
    return list(dict.fromkeys(asked.lora_targets))
