"""Paddock's engine processes, watched from outside: by environment, by parent and by listening port."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bench import processes
from bench.servers import Server

REPLICA = "PADDOCK_REPLICA"
"""In the environment of every engine: the replica that it is."""
RUN = "PADDOCK_BENCH_RUN"
"""In the environment of everything that a benchmark's servers start, and of nothing else."""
_LISTENING = "0A"


@dataclass(frozen=True)
class Engine:
    """A process that carries a replica's name."""

    pid: int
    replica: str
    command: tuple[str, ...]
    environment: Mapping[str, str]

    @property
    def deployment(self) -> str:
        return self.replica.rpartition("-")[0]

    @property
    def port(self) -> int:
        return int(self.command[self.command.index("--port") + 1]) if "--port" in self.command else 0

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    def moved_to(self, port: int) -> list[str]:
        """The command that starts the same on another port."""
        command = list(self.command)
        command[command.index("--port") + 1] = str(port)
        return command


def new_run() -> dict[str, str]:
    """An environment by which servers and all that they start are found again."""
    return {RUN: secrets.token_hex(8)}


def of_server(server: Server) -> list[Engine]:
    """The engines whose parent the server is, the oldest first."""
    return _engines(processes.children(server))


def of_run(run: Mapping[str, str]) -> list[Engine]:
    """The engines of all servers of the run, whoever their parent is now."""
    return _engines(members(run))


def members(run: Mapping[str, str]) -> list[int]:
    """Ids of all processes of the run: servers, gateway processes, engines."""
    return [pid for pid in processes.all_ids() if _environment(pid).get(RUN) == run[RUN]]


def listeners(pids: Iterable[int]) -> dict[int, int]:
    """The TCP ports that these processes listen on, each with the process."""
    ports = _listening_sockets()
    found: dict[int, int] = {}
    for pid in pids:
        with contextlib.suppress(OSError):
            for descriptor in Path(f"/proc/{pid}/fd").iterdir():
                with contextlib.suppress(OSError):
                    port = ports.get(os.readlink(descriptor))
                    if port is not None:
                        found[port] = pid
    return found


def _engines(pids: Iterable[int]) -> list[Engine]:
    found = []
    for pid in sorted(pids):
        environment = _environment(pid)
        if REPLICA in environment:
            with contextlib.suppress(OSError):
                command = tuple(processes.command_line(pid)[:-1])
                found.append(Engine(pid, environment[REPLICA], command, environment))
    return found


def _environment(pid: int) -> dict[str, str]:
    """Empty for a process that is another user's, or dead."""
    try:
        return processes.environment(pid)
    except (OSError, UnicodeDecodeError):
        return {}


def _listening_sockets() -> dict[str, int]:
    """Ports of this machine on which something listens, by the socket's name in /proc/PID/fd."""
    found = {}
    for table in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == _LISTENING:
                    found[f"socket:[{fields[9]}]"] = int(fields[1].rpartition(":")[2], 16)
    return found
