"""Paddock's engine processes, watched from outside: by environment, by parent and by listening port."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bench import processes
from bench.servers import Server

REPLICA = "PADDOCK_REPLICA"
"""In the environment of every engine: the replica that it is."""
RUN = "PADDOCK_BENCH_RUN"
"""In the environment of everything that a benchmark's server has started, and nothing else."""
LISTEN = "0A"


@dataclass(frozen=True)
class Engine:
    """A process with a replica's name; `port` is 0 where its command line names none."""

    pid: int
    parent: int
    replica: str
    port: int


def new_run() -> dict[str, str]:
    """An environment by which a server and all that it starts are found again."""
    return {RUN: secrets.token_hex(8)}


def of_server(server: Server, deployment: str = "") -> list[Engine]:
    """The engines that the server started itself; only those of one deployment if its name is given."""
    found = [_engine(pid, server.process.pid) for pid in processes.children(server)]
    return [one for one in found if one and one.replica.rpartition("-")[0] in (deployment, one.replica)] if (
        deployment
    ) else [one for one in found if one]


def of_run(run: Mapping[str, str]) -> list[Engine]:
    """All engines that any server of the run has started, whoever their parent is now."""
    return [one for pid in of_run_all(run) if (one := _engine(pid, _parent(pid)))]


def of_run_all(run: Mapping[str, str]) -> list[int]:
    """Ids of all processes of the run: servers, gateway processes, engines."""
    return [pid for pid in processes.all_ids() if _environment(pid).get(RUN) == run[RUN]]


def listening(pids: list[int]) -> dict[int, int]:
    """The TCP ports on which these processes listen, with the process."""
    sockets = _listening_sockets()
    found: dict[int, int] = {}
    for pid in pids:
        with contextlib.suppress(OSError):
            for descriptor in Path(f"/proc/{pid}/fd").iterdir():
                with contextlib.suppress(OSError):
                    port = sockets.get(os.readlink(descriptor))
                    if port is not None:
                        found[port] = pid
    return found
