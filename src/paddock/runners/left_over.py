"""What is left of a process's group, its owner dead or itself: found by number and name, and ended. Touches
nothing else.

Where there is no /proc, nothing is done: there the guard has ended them with their owner.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

from paddock.runners.runner import MARKER

PROC = Path("/proc")
POLL_SECONDS = 0.005
PATIENCE = 5.0


def end_left_over(group: int, name: str) -> None:
    """Kills the members of the process group that carry the name. Blocks until they are dead, 5 s at most."""
    deadline = time.monotonic() + PATIENCE
    while (members := _members(group, name)) and time.monotonic() < deadline:
        for pid in members:
            _kill(pid, group, name)
        time.sleep(POLL_SECONDS)


def _members(group: int, name: str) -> list[int]:
    try:
        pids = [int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit()]
    except OSError:
        return []
    return [pid for pid in pids if _is_member(pid, group, name)]


def _is_member(pid: int, group: int, name: str) -> bool:
    """A dead one that nobody has looked at yet has no environment, and is none."""
    try:
        if os.getpgid(pid) != group:
            return False
        return f"{MARKER}={name}".encode() in (PROC / str(pid) / "environ").read_bytes().split(b"\0")
    except OSError:
        return False


def _kill(pid: int, group: int, name: str) -> None:
    with contextlib.suppress(OSError):
        # Opened first and looked at again, so that the number cannot have passed to another process.
        process = os.pidfd_open(pid)
        try:
            if _is_member(pid, group, name):
                signal.pidfd_send_signal(process, signal.SIGKILL)
        finally:
            os.close(process)
