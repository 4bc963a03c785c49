"""Reading a person's messages from the terminal, with a history that the arrow keys go through."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_KEPT_LINES = 1000


def ask() -> str | None:
    """The next message, of several lines where each but the last ends in a backslash; None at the end."""
    lines: list[str] = []
    try:
        while True:
            line = input("... " if lines else ">>> ")
            if not line.endswith("\\"):
                return "\n".join([*lines, line])
            lines.append(line[:-1])
    except EOFError:
        # Ctrl-D leaves the cursor behind the prompt.
        print()
        return None


@contextmanager
def keep_history(path: Path) -> Iterator[None]:
    """The arrow keys go through the messages of this and earlier conversations, which `path` keeps."""
    try:
        # It takes over the terminal's input when imported, and Windows does not have it.
        import readline
    except ImportError:
        yield
        return
    with suppress(OSError):
        readline.read_history_file(path)
    readline.set_history_length(_KEPT_LINES)
    try:
        yield
    finally:
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            # Created first: what a person said is for nobody else on the machine to read.
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
            readline.write_history_file(path)
