"""Prints what a benchmark measured, as Markdown that can be pasted into RESULTS.md."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench import machine


@dataclass(frozen=True)
class Target:
    """A figure and what it should be: at least `bound`, or at most it when `at_most`."""

    what: str
    figure: float
    bound: float
    at_most: bool = False
    unit: str = ""

    @property
    def ok(self) -> bool:
        return self.figure <= self.bound if self.at_most else self.figure >= self.bound


def header(title: str, how: str) -> None:
    print(f"## {title}\n\n{machine.facts()}\n\n{how}\n", flush=True)


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A Markdown table: the first column to the left, the others to the right."""
    widths = [max(len(line[i]) for line in [columns, *rows]) for i in range(len(columns))]
    print(_line(columns, widths))
    print(_line(["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])], widths))
    for row in rows:
        print(_line(row, widths))
    print(flush=True)


def targets(wanted: Sequence[Target]) -> None:
    if not wanted:
        return
    rows = []
    for target in wanted:
        bound = f"{'≤' if target.at_most else '≥'} {number(target.bound)}{target.unit}"
        rows.append([target.what, number(target.figure) + target.unit, bound, "ok" if target.ok else "short"])
    table(["ratio", "measured", "target", "verdict"], rows)


def number(value: float) -> str:
    """Three significant digits, thousands whole."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}" if abs(value) >= 1 else f"{value:.3f}"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = [cells[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(cells[1:], widths[1:], strict=True))]
    return "| " + " | ".join(padded) + " |"
