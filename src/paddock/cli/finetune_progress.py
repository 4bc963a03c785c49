"""How far a fine-tune is: a bar and a curve on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from paddock.cli.finetune_curve import MARK, draw
from paddock.cli.finetune_losses import Losses, newest
from paddock.cli.output import printable
from paddock.cli.progress_lines import Display, Lines
from paddock.cli.tables import duration

JSON = dict[str, Any]
PHASES = {"validating": "fetching the rows", "working": "learning", "finishing": "storing"}
WIDEST, HIGHEST, BAR = 76, 8, 40
_MARKS = {"completed": "✓", "failed": "✗", "cancelled": "✗", "expired": "✗"}
"""Of the phases after which nothing comes."""
_AROUND = 9
"""Lines of a terminal that are not the curve's."""


@dataclass(frozen=True)
class Standing:
    """
    Attributes:
        phase: what the server does: `learning`.
        note: what the server says of it beside the numbers.
        done, total: steps; the total is 0 while it is not known.
        rate: rows/s. seconds_left: of learning. Both None while they are not known.
    """

    phase: str
    note: str
    done: int
    total: int
    losses: Losses
    rate: float | None = None
    seconds_left: float | None = None

    def __str__(self) -> str:
        """`step 120 of 600 · loss 0.31 · validation 0.42 · 45 rows/s · 12 s left`."""
        parts = [f"step {self.done:,} of {self.total:,}"] if self.total else []
        for name, losses in (("loss", self.losses.training), ("validation", self.losses.validation)):
            if (loss := newest(losses)) is not None:
                parts.append(f"{name} {loss:.4g}")
        if self.rate:
            parts.append(f"{self.rate:.1f} rows/s" if self.rate < 10 else f"{self.rate:,.0f} rows/s")
        if self.seconds_left:
            parts.append(f"{duration(self.seconds_left)} left")
        return " · ".join(part for part in (*parts, self.note) if part)


def standing(job: JSON, losses: Losses) -> Standing:
    done, total = int(job["done"]), int(job["total"])
    phase = PHASES.get(job["phase"], "learning") if job["state"] == "running" else str(job["state"])
    if job["finished_at"] is None and job.get("cancel_requested_at") is not None:
        phase = "cancelling"
    is_learning = job["state"] == "running" and job["phase"] == "working" and done > 0
    message = " ".join(str(job["message"]).split())
    # What it says of a step stands in numbers beside it.
    note = "" if message.startswith("step ") or message == phase or job["finished_at"] else message
    return Standing(
        phase=phase,
        note=printable(note),
        done=done,
        total=total,
        losses=losses,
        rate=losses.rate if is_learning else None,
        seconds_left=losses.seconds_left(done, total) if is_learning else None,
    )


def display() -> AbstractContextManager[Display[Standing]]:
    return _Screen() if sys.stderr.isatty() else nullcontext(Lines())


class _Screen(AbstractContextManager["_Screen"]):
    """The bar and the curve, drawn over each other as they go on; the last ones stay."""

    def __enter__(self) -> _Screen:
        # rich takes a tenth of a second to import, which no other command should pay.
        from rich.console import Console
        from rich.live import Live
        from rich.spinner import Spinner

        self._console = Console(stderr=True, highlight=False)
        self._spinner = Spinner("dots")
        self._live = Live(console=self._console, refresh_per_second=8)
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def show(self, standing: Standing) -> None:
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        grid = Table.grid(padding=(0, 1))
        mark = _MARKS.get(standing.phase)
        row: list[Any] = [Text(mark) if mark else self._spinner, Text(standing.phase)]
        if standing.total:
            row.append(ProgressBar(standing.total, standing.done, width=BAR))
        grid.add_row(*row)
        text = Text(f"  {standing}", style="dim", overflow="ellipsis", no_wrap=True)
        width = min(WIDEST, self._console.width - 1)
        height = max(2, min(HIGHEST, self._console.height - _AROUND))
        lines = draw(standing.losses, standing.total, width, height)
        curve = Text("\n".join(lines), style="cyan", overflow="crop", no_wrap=True)
        curve.highlight_regex(MARK, "bold yellow")
        self._live.update(Group(grid, text, curve) if lines else Group(grid, text))

    def say(self, text: str) -> None:
        self._console.print(printable(text), style="dim", markup=False)
