"""Losses drawn with characters: those of training as an area, those of validation as marks over it."""

from __future__ import annotations

import math

from paddock.cli.finetune_losses import Losses, newest

MARK = "◆"
"""A validation loss, which a terminal may show in another colour."""
_EIGHTHS = " ▁▂▃▄▅▆▇█"
_LEAST_COLUMNS = 10
_LINEAR = 10.0
"""How many times the lowest loss the highest may be; beyond that the scale is logarithmic."""


def draw(losses: Losses, last: int, width: int = 72, height: int = 7) -> list[str]:
    """Lines of at most `width` characters: the curve, its axis of steps and what the marks mean.

    Args:
        last: the step at the right end.
        height: lines of the curve itself.
    """
    if not losses:
        return []
    scale = _Scale([*losses.training.values(), *losses.validation.values()], height)
    labels = [f"{scale.high:.3g}", *[""] * (height - 2), f"{scale.low:.3g}"]
    margin = max(len(label) for label in labels)
    columns = max(_LEAST_COLUMNS, width - margin - 2)
    last = max(last, losses.furthest)
    cells = _area(_by_column(losses.training, last, columns), scale)
    for step, loss in losses.validation.items():
        row = height - 1 - (scale.level(loss) - 1) // 8
        cells[row][_column(step, last, columns)] = MARK
    lines = [
        f"{label.rjust(margin)} ┤{''.join(row)}".rstrip() for label, row in zip(labels, cells, strict=True)
    ]
    end = f"step {last:,}"
    lines.append(f"{' ' * margin} └{'─' * columns}")
    lines.append(f"{' ' * margin}  1{end.rjust(columns - 1)}")
    remark = "   log scale" if scale.is_logarithmic else ""
    return [*lines, f"{' ' * margin}  {legend(losses)}{remark}"]


def legend(losses: Losses) -> str:
    """`█ training 0.31   ◆ validation 0.42`."""
    parts = [
        f"{sign} {name} {loss:.4g}"
        for sign, name, loss in (
            ("█", "training", newest(losses.training)),
            (MARK, "validation", newest(losses.validation)),
        )
        if loss is not None
    ]
    return "   ".join(parts)


class _Scale:
    """From losses to heights in eighths of a row."""

    def __init__(self, losses: list[float], rows: int) -> None:
        self.low, self.high, self.rows = min(losses), max(losses), rows
        self.is_logarithmic = self.low > 0 and self.high > self.low * _LINEAR

    def level(self, loss: float) -> int:
        """From 1."""
        if self.high == self.low:
            share = 0.5
        elif self.is_logarithmic:
            share = math.log(loss / self.low) / math.log(self.high / self.low)
        else:
            share = (loss - self.low) / (self.high - self.low)
        return 1 + round(share * (8 * self.rows - 1))


def _area(heights: list[float | None], scale: _Scale) -> list[list[str]]:
    """Rows of cells, the highest first, filled from below."""
    levels = [0 if one is None else scale.level(one) for one in heights]
    return [
        [_EIGHTHS[min(8, max(0, level - 8 * below))] for level in levels]
        for below in reversed(range(scale.rows))
    ]


def _column(step: int, last: int, columns: int) -> int:
    return min(columns - 1, round(max(0, step - 1) * (columns - 1) / max(1, last - 1)))


def _by_column(losses: dict[int, float], last: int, columns: int) -> list[float | None]:
    """The mean of each column's losses; between two columns that have some, what lies between."""
    found: dict[int, list[float]] = {}
    for step, loss in losses.items():
        found.setdefault(_column(step, last, columns), []).append(loss)
    means = {column: sum(some) / len(some) for column, some in sorted(found.items())}
    drawn: list[float | None] = [None] * columns
    before: tuple[int, float] | None = None
    for column, mean in means.items():
        if before is not None:
            slope = (mean - before[1]) / (column - before[0])
            for between in range(before[0] + 1, column):
                drawn[between] = before[1] + slope * (between - before[0])
        drawn[column] = mean
        before = (column, mean)
    return drawn
