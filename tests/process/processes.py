"""What Linux says about processes, for tests that start and end them."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

from paddock.runners.runner import MARKER


def assert_gone(pid: int, within: float) -> None:
    """A Z is dead, and whoever adopted it has not looked yet."""
    wait_for_state(pid, "Z", within)


def wait_for_state(pid: int, wanted: str, within: float) -> None:
    """Returns once the process is gone or its state is one of the letters in `wanted`."""
    deadline = time.monotonic() + within
    while (now := state(pid)) is not None and now not in wanted:
        assert time.monotonic() < deadline, f"process {pid} is still in state {now}"
        time.sleep(0.02)


def state(pid: int) -> str | None:
    """The letter that Linux has for what a process does; None when there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return None


def command_line(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text()


def marked(name: str) -> list[int]:
    """The living processes that a runner started under this name, children included."""
    return with_variable(MARKER, name)


def with_variable(name: str, value: str) -> list[int]:
    """The living processes that were started with this variable in their environment."""
    wanted = f"{name}={value}".encode()
    found = []
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if folder.name.isdigit() and wanted in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
    return found


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
