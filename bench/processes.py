"""What the processes of a server cost: CPU seconds and memory, read from /proc."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

from bench.servers import Server

TICKS = os.sysconf("SC_CLK_TCK")
PROC = Path("/proc")


def members(server: Server) -> list[int]:
    """Ids of all processes in the server's session, its workers included."""
    return [pid for pid, fields in _all() if int(fields[3]) == server.process.pid]


def children(server: Server) -> list[int]:
    """Ids of the processes that the server started itself: its engines."""
    return [pid for pid, fields in _all() if int(fields[1]) == server.process.pid]


def all_ids() -> list[int]:
    """Ids of all processes of this machine."""
    return [int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit()]


def command_line(pid: int) -> list[str]:
    return (PROC / str(pid) / "cmdline").read_text().split("\0")


def environment(pid: int) -> dict[str, str]:
    """Only what it was started with; readable by its own user alone."""
    pairs = (PROC / str(pid) / "environ").read_text().split("\0")
    return dict(pair.split("=", 1) for pair in pairs if "=" in pair)


def cpu_seconds(server: Server) -> float:
    """CPU time that the server's processes have used."""
    ticks = [int(f[11]) + int(f[12]) for _, f in _all() if int(f[3]) == server.process.pid]
    return sum(ticks) / TICKS


def memory(server: Server) -> tuple[float, float]:
    """(resident, proportional) MB of the server's processes: VmRSS counts shared pages in each, Pss once."""
    resident = proportional = 0
    for pid in members(server):
        with contextlib.suppress(OSError):
            resident += _kilobytes(PROC / str(pid) / "status", "VmRSS:")
            proportional += _kilobytes(PROC / str(pid) / "smaps_rollup", "Pss:")
    return resident / 1024, proportional / 1024


def resident(server: Server) -> float:
    """MB of memory that the server's processes have now."""
    return _total(server, "VmRSS:")


def forget_peak(server: Server) -> None:
    """From here on `peak` counts."""
    for pid in members(server):
        with contextlib.suppress(OSError):
            (PROC / str(pid) / "clear_refs").write_text("5")


def peak(server: Server) -> float:
    """The most MB that the server's processes had since `forget_peak`, as the kernel saw it."""
    return _total(server, "VmHWM:")


def settle(server: Server, patience: float = 15.0) -> None:
    """Waits until the server is idle, so that what a load left behind does not burden the next contestant."""
    deadline = time.monotonic() + patience
    used = cpu_seconds(server)
    while time.monotonic() < deadline:
        time.sleep(0.3)
        before, used = used, cpu_seconds(server)
        if used - before <= 0.03:
            return


def _total(server: Server, field: str) -> float:
    found = 0
    for pid in members(server):
        with contextlib.suppress(OSError):
            found += _kilobytes(PROC / str(pid) / "status", field)
    return found / 1024


def _all() -> Iterator[tuple[int, list[str]]]:
    """Each process's id and its fields of /proc/PID/stat from the state on (the name may hold spaces)."""
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                yield int(entry.name), (entry / "stat").read_text().rpartition(")")[2].split()


def _kilobytes(path: Path, field: str) -> int:
    for line in path.read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1])
    return 0
