"""How far a batch is: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections import deque
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol

from paddock.cli.output import printable, remark
from paddock.cli.tables import duration

LINE_SECONDS = 10.0
"""Time between two lines about the same step, where there is no terminal."""
_RATE_SECONDS = 30.0


@dataclass(frozen=True)
class Standing:
    """
    Attributes:
        step: what the server does: `answering`.
        done: prompts answered, the `failed` ones among them included.
        rate: prompts/s of late; None while that is not known.
    """

    step: str
    done: int
    failed: int
    total: int
    rate: float | None = None

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


class Display(Protocol):
    """Shows how a batch goes on."""

    def show(self, standing: Standing) -> None: ...

    def say(self, text: str) -> None:
        """A line that stays, for what happens on the way."""


def display() -> AbstractContextManager[Display]:
    return _Screen() if sys.stderr.isatty() else _Lines()


class _Lines(AbstractContextManager["_Lines"]):
    """A line for each step that begins, and now and then one about a step that takes long."""

    def __init__(self) -> None:
        self._step = ""
        self._at = 0.0

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def show(self, standing: Standing) -> None:
        now = time.monotonic()
        if standing.step != self._step or now - self._at >= LINE_SECONDS:
            self._step, self._at = standing.step, now
            remark(f"{standing.step}: {standing}")

    def say(self, text: str) -> None:
        remark(text)


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
            self._task = self._bar.add_task(standing.step, total=standing.total, standing="")
        self._bar.update(
            self._task,
            description=standing.step,
            completed=standing.done,
            total=standing.total,
            standing=str(standing),
        )

    def say(self, text: str) -> None:
        self._bar.console.print(printable(text), style="dim", markup=False)
