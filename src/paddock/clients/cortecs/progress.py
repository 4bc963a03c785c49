"""A line on standard error that follows an instance while it starts. It needs no package for that."""

from __future__ import annotations

import os
import sys
from types import TracebackType
from typing import Self, TextIO

from paddock.clients.cortecs.waiting import progress_of
from paddock.schemas.cortecs import Instance

_WIDTH = 80


class ProgressLine:
    """Drawn over and over on a terminal; elsewhere a line for each new description.

    Args:
        shown: whether to show it at all; None means if the stream is a terminal.
        stream: where to; standard error by default.
    """

    def __init__(self, shown: bool | None, stream: TextIO | None = None) -> None:
        # `sys.stderr` is None under pythonw, and may be replaced until this moment.
        self._stream = stream or sys.stderr
        self._terminal = self._stream is not None and self._stream.isatty()
        self._shown = self._stream is not None and (self._terminal if shown is None else shown)
        self._last = ""
        self._drawn = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        if self._drawn:
            self._stream.write(f"\r{' ' * self._drawn}\r")
            self._stream.flush()

    def update(self, instance: Instance, waited: float) -> None:
        """Show how far `instance` is after `waited` seconds."""
        if not self._shown:
            return
        text = described(instance)
        if self._terminal:
            self._draw(f"{text} · {waited:.0f} s")
        elif text != self._last:
            self._stream.write(text + "\n")
            self._stream.flush()
        self._last = text

    def _draw(self, text: str) -> None:
        # A full last column would break the line on many terminals.
        text = text[: self._columns() - 1]
        self._stream.write("\r" + text.ljust(self._drawn))
        self._stream.flush()
        self._drawn = len(text)

    def _columns(self) -> int:
        try:
            return os.get_terminal_size(self._stream.fileno()).columns or _WIDTH
        except (OSError, ValueError):
            return _WIDTH


def described(instance: Instance) -> str:
    """`paddock/foal [###--] 3/5 fetching weights`, without control characters that a server might send."""
    name = instance.instance_args.hf_name
    progress = progress_of(instance)
    if instance.instance_status.status == "running":
        text = f"{name} is running"
    elif progress is None:
        text = f"{name} is starting"
    else:
        step, steps = progress["current_step"], progress["num_steps"]
        bar = "#" * step + "-" * (steps - step)
        text = f"{name} [{bar}] {step}/{steps} {progress['description']}"
    return "".join(each if each.isprintable() else " " for each in text)
