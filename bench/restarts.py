"""`kill -9` of the server at random moments: what was wished is there again soon, and no engine is left over.

`python -m bench.restarts [--quick] [--turns 20] [--seed N]`.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import statistics
import tempfile
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import api, contestants, engines, processes, report, servers
from bench.servers import Server, free_port

NAMES = ("paddock/foal", "second", "third")
"""The first is the one that `paddock serve` names itself, the others are made by its API."""
LATE = "late"
LIMIT = 10.0
LONGEST_WAIT = 0.6
"""A start takes less: the server is killed before, within and after that of the fourth deployment."""
PATIENCE = 60.0
GONE_PATIENCE, GONE_LIMIT = 5.0, 1.0
LOOK_SECONDS = 0.02


@dataclass(frozen=True)
class Turn:
    """One kill. Times are in seconds.

    Attributes:
        waited: from the fourth deployment's acceptance to the kill.
        was: what the fourth one was then, as far as the server had said.
        gone: from the kill until no engine ran.
        healthy, recovered: from the next start until /healthz answered 200, and until all four were ready.
        left: engines that the new server did not own then.
    """

    waited: float
    was: str
    gone: float
    healthy: float
    recovered: float
    left: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="three turns")
    parser.add_argument("--turns", type=int, default=20)
    parser.add_argument("--seed", type=int, default=None, help="of the random moments; printed")
    arguments = parser.parse_args()
    turns = 3 if arguments.quick else arguments.turns
    seed = random.randrange(10**6) if arguments.seed is None else arguments.seed
    servers.end_on_sigterm()
    how = (
        f"{turns} times: {len(NAMES)} deployments of foal are ready, a fourth is begun, the server gets"
        f" SIGKILL up to {LONGEST_WAIT:g} s later and is started again on the same data. Seed {seed}."
    )
    report.header("Restarts", how)
    with tempfile.TemporaryDirectory(prefix="paddock-bench-") as name:
        run = engines.new_run()
        done = _turns(Path(name), run, turns, random.Random(seed))
        remaining = len(engines.members(run))
    _show(done, remaining)


def _show(done: list[Turn], remaining: int) -> None:
    rows = []
    for number, one in enumerate(done, 1):
        times = [f"{seconds:.2f}" for seconds in (one.gone, one.healthy, one.recovered)]
        rows.append([f"{number}", f"{one.waited:.3f}", one.was, *times, f"{one.left}"])
    columns = [
        "turn",
        "killed after, s",
        "the fourth was",
        "engines gone, s",
        "healthy, s",
        "as wished, s",
        "left",
    ]
    report.table(columns, rows)
    recovered, gone = [one.recovered for one in done], [one.gone for one in done]
    print(f"As wished again after {statistics.median(recovered):.2f} s in the median.\n")
    left = sum(one.left for one in done)
    report.targets(
        [
            report.Target("as wished again, slowest", max(recovered), LIMIT, True, " s"),
            report.Target("no engine left after the kill, slowest", max(gone), GONE_LIMIT, True, " s"),
            report.Target("engines that nobody owned after the restarts", left, 0, True),
            report.Target("processes after the last server's end", remaining, 0, True),
        ]
    )


def _turns(folder: Path, run: Mapping[str, str], turns: int, chance: random.Random) -> list[Turn]:
    port = free_port()
    argv = [contestants.PADDOCK, "serve", "--data-dir", str(folder / "data"), "--port", str(port)]
    env = {"PADDOCK_ACCESS_LOG": "false", **run}
    done = []
    with contextlib.ExitStack() as life:
        server = life.enter_context(servers.running("Paddock 0", argv, folder, port, "/healthz", env=env))
        with api.connected(port) as client:
            for name in NAMES[1:]:
                client.create(name)
        _until_ready(server, NAMES)
        for turn in range(1, turns + 1):
            waited = chance.uniform(0, LONGEST_WAIT)
            was = _begin_fourth(server, waited)
            ports = {one.port for one in engines.of_server(server)}
            server.process.kill()
            gone = _seconds_until_gone(run)
            life.close()
            began = time.perf_counter()
            server = life.enter_context(servers.started(f"Paddock {turn}", argv, folder, port, env=env))
            healthy = _until_healthy(server) - began
            recovered = _until_ready(server, (*NAMES, LATE)) - began
            left = _left_over(server, run, folder, ports)
            done.append(Turn(waited, was, gone, healthy, recovered, len(left)))
            for one in left:
                print(f"(turn {turn}: {one} is left over)")
            _remove_fourth(server)
    return done


def _begin_fourth(server: Server, seconds: float) -> str:
    """Returns so long after the fourth deployment was accepted, with what was last seen of it."""
    with api.connected(server.port) as client:
        found = client.create(LATE)
        deadline = time.perf_counter() + seconds
        while time.perf_counter() < deadline - LOOK_SECONDS:
            found = client.get(LATE)
            time.sleep(max(0.0, min(LOOK_SECONDS, deadline - time.perf_counter())))
        time.sleep(max(0.0, deadline - time.perf_counter()))
    states = [one["state"] for one in found["replicas"]]
    return str(states[0] if states else found["status"])


def _remove_fourth(server: Server) -> None:
    with api.connected(server.port) as client:
        client.ask("DELETE", f"{api.DEPLOYMENTS}/{LATE}")
        client.until_gone(LATE)


def _seconds_until_gone(run: Mapping[str, str]) -> float:
    """From now until no engine of the run is left; `GONE_PATIENCE` if some stay."""
    began = time.perf_counter()
    while engines.of_run(run) and time.perf_counter() < began + GONE_PATIENCE:
        time.sleep(0.005)
    return time.perf_counter() - began


def _until_healthy(server: Server) -> float:
    """The `time.perf_counter()` at which it could take requests.

    Raises:
        RuntimeError: the server ended, or cannot within `PATIENCE` seconds.
    """
    servers.wait_ready(server, "/healthz", PATIENCE)
    return time.perf_counter()


def _until_ready(server: Server, names: Sequence[str]) -> float:
    """The `time.perf_counter()` at which each of these deployments had its replica.

    Raises:
        RuntimeError: one of them failed, or has none within `PATIENCE` seconds.
    """
    with api.connected(server.port) as client:
        for name in names:
            client.until(name, api.is_whole, PATIENCE)
    return time.perf_counter()


def _left_over(server: Server, run: Mapping[str, str], folder: Path, ports: Collection[int]) -> list[str]:
    """What runs and is not the server's: seen by the environment, and by the ports of earlier engines.

    The server knows of an engine if it is its child and it lists as many replicas.
    """
    owned = engines.of_server(server)
    mine = {one.pid for one in owned}
    with api.connected(server.port) as client:
        known = sum(len(one["replicas"]) for one in client.all())
    found = [f"{one.replica} (process {one.pid})" for one in engines.of_run(run) if one.pid not in mine]
    if len(owned) != known:
        found.append(f"{len(owned)} engines for {known} replicas")
    for port, pid in engines.listeners(processes.all_ids()).items():
        # Another program may have been given the port since.
        if port in ports and pid not in mine and str(folder) in " ".join(processes.command_line(pid)):
            found.append(f"process {pid} on port {port}")
    return found


if __name__ == "__main__":
    main()
