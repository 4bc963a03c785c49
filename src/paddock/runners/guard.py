"""Runs a command that ends when the process that started it is gone, however that went.

`python -m paddock.runners.guard PARENT -- COMMAND ...`, with standard input a pipe that PARENT keeps open.

On Linux the kernel does it: the death signal survives exec, so the guard turns into the command. Elsewhere
the guard stays, and the end of the pipe tells it that the parent is gone.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading

PR_SET_PDEATHSIG = 1


def main() -> None:
    parent, separator, *command = sys.argv[1:]
    if separator != "--" or not command:
        raise SystemExit("usage: python -m paddock.runners.guard PARENT -- COMMAND ...")
    if sys.platform == "linux":
        become(int(parent), command)
    raise SystemExit(supervise(command))


def become(parent: int, command: list[str]) -> None:
    """Turns this process into the command. The kernel ends it with the thread that started this process."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise SystemExit(f"cannot tie this process to its parent: {os.strerror(ctypes.get_errno())}")
    if os.getppid() != parent:
        raise SystemExit("the parent was gone before the command started")
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    try:
        os.execvp(command[0], command)
    except OSError as error:
        raise SystemExit(f"cannot run {command[0]}: {error.strerror}") from None


def supervise(command: list[str]) -> int:
    """Runs the command below this process until its end, or that of standard input. The exit status."""
    child: subprocess.Popen[bytes] | None = None
    asked = threading.Event()

    def end(*_: object) -> None:
        asked.set()
        if child:
            child.terminate()

    signal.signal(signal.SIGTERM, end)
    try:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    except OSError as error:
        raise SystemExit(f"cannot run {command[0]}: {error.strerror}") from None
    if asked.is_set():
        child.terminate()
    # Also ends this process. Without the group the command's own children would stay.
    threading.Thread(target=_end_group_with_parent, daemon=True).start()
    return child.wait()


def _end_group_with_parent() -> None:
    while os.read(0, 1024):
        pass
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()
