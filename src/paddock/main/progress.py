"""Progress of a long step: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

LINE_SECONDS = 10.0


class Progress:
    """Call it with (bytes done, bytes in total); shows nothing if it is never called.

    Args:
        what: such as `Converting org/name`.
        announce: takes the lines where there is no terminal.
    """

    def __init__(self, what: str, announce: Callable[[str], None]) -> None:
        self._what = what
        self._announce = announce
        self._bar: Any = None
        self._task: Any = None
        self._last = time.monotonic()

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, done: int, total: int) -> None:
        if sys.stderr.isatty():
            self._draw(done, total)
        elif time.monotonic() - self._last > LINE_SECONDS:
            self._last = time.monotonic()
            self._announce(f"{self._what}: {done >> 20} of {total >> 20} MiB")

    def _draw(self, done: int, total: int) -> None:
        if self._bar is None:
            # rich takes a tenth of a second to import, and most starts have nothing to show.
            from rich.console import Console
            from rich.progress import BarColumn, DownloadColumn, TimeRemainingColumn
            from rich.progress import Progress as Bar

            self._bar = Bar(
                "{task.description}",
                BarColumn(),
                DownloadColumn(),
                TimeRemainingColumn(),
                console=Console(stderr=True),
                transient=True,
            )
            self._bar.start()
            self._task = self._bar.add_task(self._what, total=total)
        self._bar.update(self._task, completed=done)
