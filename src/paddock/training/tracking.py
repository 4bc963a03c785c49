"""Passes on what is said to the process that brings it to Weights & Biases, and never waits for it."""

from __future__ import annotations

import contextlib
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from pydantic import ValidationError

from paddock.schemas.training import (
    WANDB_KEY,
    Done,
    Evaluated,
    Failed,
    Noted,
    Said,
    Stepped,
    WandbRun,
)

FINISH_SECONDS = 15.0
"""For what is on its way when the learning is over; then it is left behind."""
MOST_WAITING = 10_000
"""Lines that wait for the other process; what comes behind them is left out."""
_PASSED = (Stepped, Evaluated, Done, Failed)


class Tracking:
    """
    Args:
        folder: the work folder, for what the wandb package writes down.
        note: takes what there is to be told, in another thread.
    """

    def __init__(self, run: WandbRun, folder: Path, note: Callable[[Noted], None]) -> None:
        self._note = note
        self._troubled = False
        self._waiting: queue.Queue[str | None] = queue.Queue(MOST_WAITING)
        key = os.environ.pop(WANDB_KEY, "")
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "paddock.training.wandb_run", str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, WANDB_KEY: key},
            text=True,
        )
        self._waiting.put(run.model_dump_json())
        self._threads = [threading.Thread(target=each, daemon=True) for each in (self._write, self._read)]
        for thread in self._threads:
            thread.start()

    def take(self, said: Said) -> None:
        """Whatever becomes of it. With `done` or `failed` it waits a little until all of it has arrived."""
        if not isinstance(said, _PASSED):
            return
        try:
            self._waiting.put_nowait(said.model_dump_json())
        except queue.Full:
            self._trouble("too many of the metrics wait for it")
        if isinstance(said, Done | Failed):
            self._finish()

    def _finish(self) -> None:
        try:
            self._waiting.put_nowait(None)
            self._process.wait(FINISH_SECONDS)
        except (queue.Full, subprocess.TimeoutExpired):
            self._trouble(f"it did not take the last metrics within {FINISH_SECONDS:g} s")
        self._process.kill()
        self._process.wait()
        # What it still had to tell comes before the end.
        for thread in self._threads:
            thread.join(1.0)

    def _write(self) -> None:
        stream = self._process.stdin
        assert stream is not None
        # If it has ended it has said why, or is seen by `_read`.
        with contextlib.suppress(OSError), stream:
            while (line := self._waiting.get()) is not None:
                stream.write(line + "\n")
                stream.flush()

    def _read(self) -> None:
        stream = self._process.stdout
        assert stream is not None
        with stream:
            for line in stream:
                try:
                    noted = Noted.model_validate_json(line)
                except ValidationError:
                    continue  # Half a line of a process that was killed.
                self._troubled |= noted.trouble
                self._note(noted)
        if self._process.wait() != 0:
            self._trouble("its process ended by itself")

    def _trouble(self, why: str) -> None:
        """Tells of it once."""
        if not self._troubled:
            self._troubled = True
            self._note(Noted(message=f"Weights & Biases has not all of the metrics: {why}", trouble=True))
