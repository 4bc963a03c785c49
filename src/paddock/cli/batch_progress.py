"""How far a batch is: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
from collections import deque
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from paddock.cli.output import printable
from paddock.cli.progress_lines import Display, Lines
from paddock.cli.tables import duration

_RATE_SECONDS = 30.0


@dataclass(frozen=True)
class Standing:
    """
    Attributes:
        phase: what the server does: `answering`.
        done: prompts answered, the `failed` ones among them included.
        rate: prompts/s of late; None while that is not known.
        note: is none: the numbers are all that is told.
    """

    phase: str
    done: int
    failed: int
    total: int
    rate: float | None = None
    note: str = ""

    def __str__(self) -> str:
        """`1,200 of 2,000 prompts · 3 failed · 14 prompts/s · 57 s left`."""
        parts = [f"{self.done:,} of {self.total:,} prompts"]
        if self.failed:
            parts.append(f"{self.failed:,} failed")
        if self.rate:
            parts.append(f"{self.rate:.1f} prompts/s" if self.rate < 10 else f"{self.rate:,.0f} prompts/s")
            if self.done < self.total:
                parts.append(f"{duration((self.total - self.done) / self.rate)} left")
        return " · ".join(parts)


class Pace:
    """The rate of late, from what was seen: what was done before anybody looked does not count."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def see(self, done: int, now: float) -> float | None:
        """Prompts/s over the last half minute; None before two different moments were seen."""
        self._seen.append((now, done))
        # The last one from before that time stays: what came since it is the rate.
        while len(self._seen) > 2 and self._seen[1][0] <= now - _RATE_SECONDS:
            self._seen.popleft()
        since, before = self._seen[0]
        return (done - before) / (now - since) if now > since else None


def display() -> AbstractContextManager[Display[Standing]]:
    return _Screen() if sys.stderr.isatty() else nullcontext(Lines())


class _Screen(AbstractContextManager["_Screen"]):
    def __enter__(self) -> _Screen:
        # rich takes a tenth of a second to import, which no other command should pay.
        from rich.console import Console
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[standing]}", markup=False),
            console=Console(stderr=True, highlight=False),
            transient=True,
        )
        self._task: Any = None
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def show(self, standing: Standing) -> None:
        if self._task is None:
            self._task = self._bar.add_task(standing.phase, total=standing.total, standing="")
        self._bar.update(
            self._task,
            description=standing.phase,
            completed=standing.done,
            total=standing.total,
            standing=str(standing),
        )

    def say(self, text: str) -> None:
        self._bar.console.print(printable(text), style="dim", markup=False)
