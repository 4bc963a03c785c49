"""The log file of a process: kept small, and quoted in errors."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import BinaryIO

QUOTED_LINES = 12
TAIL_BYTES = 16 * 1024


def open_log(path: Path) -> BinaryIO:
    """Opens the file empty; what an earlier process wrote is kept as `<name>.1`.

    Raises:
        OSError: the folder cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        path.replace(path.with_name(path.name + ".1"))
    return path.open("ab")


def quote_log(path: Path, lines: int = QUOTED_LINES) -> str:
    """The last lines as the end of an error message; says where the file is."""
    try:
        with path.open("rb") as stream:
            stream.seek(max(0, os.fstat(stream.fileno()).st_size - TAIL_BYTES))
            text = stream.read().decode("utf-8", "replace")
    except OSError:
        return f". Its log {path} cannot be read"
    last = [line.rstrip() for line in text.splitlines() if line.strip()][-lines:]
    if not last:
        return f". Its log {path} is empty"
    return f". The last lines of {path}:\n" + "\n".join(f"    {line}" for line in last)
