"""Which rows make up which step: a pure function of the seed and the epoch, so that a resumed run agrees."""

from __future__ import annotations

import math

import numpy as np

_BATCHES_AT_ONCE = 16


def steps_of_epoch(rows: int, batch_size: int) -> int:
    return math.ceil(rows / batch_size)


def total_steps(rows: int, batch_size: int, epochs: float) -> int:
    # Rounding keeps 0.1 epochs of 30 steps from becoming 4.
    return max(1, math.ceil(round(steps_of_epoch(rows, batch_size) * epochs, 6)))


def epoch_batches(
    lengths: list[int], batch_size: int, seed: int, epoch: int, group_by_length: bool
) -> list[list[int]]:
    """Every row once, by its index, in batches of `batch_size`, of which the last drawn may be smaller.

    With `group_by_length` rows of like length go together: a few batches' worth of shuffled rows are sorted,
    cut and the batches shuffled. The longest of all comes first, so that too little memory shows at once.
    """
    random = np.random.Generator(np.random.PCG64([seed, epoch]))
    order = random.permutation(len(lengths)).tolist()
    if not group_by_length:
        return _cut(order, batch_size)
    batches: list[list[int]] = []
    for pool in _cut(order, batch_size * _BATCHES_AT_ONCE):
        batches += _cut(sorted(pool, key=lambda index: -lengths[index]), batch_size)
    shuffled = [batches[index] for index in random.permutation(len(batches))]
    if epoch == 0:
        largest = max(range(len(shuffled)), key=lambda index: _places(shuffled[index], lengths))
        shuffled[0], shuffled[largest] = shuffled[largest], shuffled[0]
    return shuffled


def parts(batch: list[int], batch_size: int, accumulation: int) -> list[list[int]]:
    """`batch` in the parts that go through the model one after the other."""
    return _cut(batch, math.ceil(batch_size / accumulation))


def _cut(indices: list[int], size: int) -> list[list[int]]:
    return [indices[first : first + size] for first in range(0, len(indices), size)]


def _places(batch: list[int], lengths: list[int]) -> int:
    return len(batch) * max(lengths[index] for index in batch)
