"""How much of the machine this process may use."""

from __future__ import annotations

import os
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")


def memory_size(cgroup: Path = CGROUP) -> int:
    """Bytes of memory that this process may use: the machine's, or less in a container."""
    size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for limit in (cgroup / "memory.max", cgroup / "memory/memory.limit_in_bytes"):
        try:
            size = min(size, int(limit.read_text()))
        except (OSError, ValueError):
            continue
    return size


def available_cores(cgroup: Path = CGROUP) -> int:
    """Cores that this process may use: those it is bound to, or fewer where a container has a quota.

    A quota of two and a half cores counts as two: a thread more would stop all the others when it is spent.
    """
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS
        cores = os.cpu_count() or 1
    return max(1, min(cores, int(_quota(cgroup))))


def _quota(cgroup: Path) -> float:
    for read in (_quota_of_version_2, _quota_of_version_1):
        try:
            quota, period = read(cgroup)
        except (OSError, ValueError):
            continue
        # Version 1 says -1 for no limit, version 2 `max`, which is no number.
        if quota > 0 and period > 0:
            return quota / period
    return os.cpu_count() or 1


def _quota_of_version_2(cgroup: Path) -> tuple[int, int]:
    quota, period = (cgroup / "cpu.max").read_text().split()
    return int(quota), int(period)


def _quota_of_version_1(cgroup: Path) -> tuple[int, int]:
    quota, period = (cgroup / "cpu/cpu.cfs_quota_us", cgroup / "cpu/cpu.cfs_period_us")
    return int(quota.read_text()), int(period.read_text())
