"""Where a measurement was taken: the facts that its numbers depend on."""

from __future__ import annotations

import contextlib
import datetime
import os
import platform
import resource
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]


def facts() -> str:
    """One line: date, CPU model, cores this process may use, Python, commit."""
    now = datetime.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M")
    cores = len(os.sched_getaffinity(0))
    return f"{now} · {_cpu()} · {cores} cores · Python {platform.python_version()} · commit {_commit()}"


def use_cores(count: int) -> int:
    """Keeps this process and the servers it starts to `count` cores at most; returns how many there are."""
    usable = sorted(os.sched_getaffinity(0))[:count]
    os.sched_setaffinity(0, usable)
    return len(usable)


def raise_file_limit() -> None:
    """As many open files as the machine allows, for this process and the servers it starts."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _cpu() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _commit() -> str:
    argv = ["git", "rev-parse", "--short", "HEAD"]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"
