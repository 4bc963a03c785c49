"""The log file of a process: read while it grows, kept small, and quoted in errors."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Collection
from pathlib import Path
from typing import BinaryIO

QUOTED_LINES = 12
TAIL_BYTES = 16 * 1024
LARGEST = 8 * 1024 * 1024
KEPT_BYTES = 1024 * 1024
KEPT_FILES = 200
NOTE = " paddock: "
"""Stands in the lines that the runner writes itself."""


class ProcessLog:
    """One file, which a process appends to. All methods block, briefly.

    Offsets count from the first byte that was ever written, also when the oldest are gone.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._dropped = 0
        self._lock = threading.Lock()

    def open(self) -> BinaryIO:
        """The file, empty, for a process to append to; what an earlier one wrote is kept as `<name>.1`.

        Raises:
            OSError: the folder cannot be written.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            self.path.replace(self.path.with_name(self.path.name + ".1"))
        return self.path.open("ab")

    def note(self, text: str) -> None:
        """Appends a line of the runner's own."""
        now = time.strftime("%Y-%m-%d %H:%M:%S")
        with contextlib.suppress(OSError), self.path.open("ab") as stream:
            stream.write(f"{now}{NOTE}{text}\n".encode())

    def read(self, offset: int) -> tuple[list[str], int]:
        """The whole lines from `offset` on, a megabyte at most, and where they end."""
        try:
            with self._lock, self.path.open("rb") as stream:
                start = max(0, offset - self._dropped)
                stream.seek(start)
                data = stream.read(KEPT_BYTES)
                begin = self._dropped + start
        except OSError:
            return [], offset
        end = data.rfind(b"\n") + 1
        if end == 0 and len(data) == KEPT_BYTES:
            end = len(data)  # a line without an end must not stop the reader for ever
        return _text(data[:end]).splitlines(), begin + end

    def tail(self, lines: int) -> list[str]:
        """The last lines that are not empty."""
        try:
            with self.path.open("rb") as stream:
                stream.seek(max(0, os.fstat(stream.fileno()).st_size - TAIL_BYTES))
                text = _text(stream.read())
        except OSError:
            return []
        return [line.rstrip() for line in text.splitlines() if line.strip()][-lines:]

    def shrink(self) -> None:
        """Drops the oldest lines of a log that has grown large."""
        with contextlib.suppress(OSError), self._lock, self.path.open("ab+") as stream:
            size = os.fstat(stream.fileno()).st_size
            if size <= LARGEST:
                return
            stream.seek(size - KEPT_BYTES)
            stream.readline()
            kept = stream.read()
            # Both this and the process append, so neither writes over the other.
            stream.truncate(0)
            stream.write(kept)
            self._dropped += size - len(kept)


def forget_old_logs(folder: Path, in_use: Collection[Path], keep: int = KEPT_FILES) -> None:
    """Removes the logs that were written longest ago, beyond `keep` files and those in use."""
    with contextlib.suppress(OSError):
        files = [(file.stat().st_mtime, file) for file in folder.glob("*.log*") if file not in in_use]
        for _, file in sorted(files, reverse=True)[keep:]:
            file.unlink(missing_ok=True)


def _text(data: bytes) -> str:
    # A store for text has no place for a NUL.
    return data.decode("utf-8", "replace").replace("\0", "\ufffd")
