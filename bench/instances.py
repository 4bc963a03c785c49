"""From asking for an instance to running, and from a request that wakes one to its first token.

Both beside the engine's own start: the very command that Paddock ran for the replica, run again by itself.
`python -m bench.instances [--quick] [--turns 15]`.
"""

from __future__ import annotations

import argparse
import http.client
import json
import statistics
import tempfile
import time
from pathlib import Path

from bench import api, contestants, engines, foal, load, probe, report, servers
from bench.api import CORTECS, JSON, Api
from bench.engines import Engine
from bench.foal import KEY
from bench.servers import HOST, Server, free_port
from paddock.engines.llama_cpp.launch import KEY_VARIABLE

POLLED, TOLD, WOKEN = "POST to running, polled", "POST to running, by events", "asleep to first token"
ENGINE = "the engine alone"
RUNNING_LIMIT, WAKING_LIMIT = 0.3, 0.5
POLL_SECONDS = 0.01
SETTINGS = {"PADDOCK_ACCESS_LOG": "false", "PADDOCK_SCALE_DOWN_AFTER": "0.2"}
"""By default it takes half a minute to fall asleep, however short the idle time is."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two turns")
    parser.add_argument("--turns", type=int, default=15)
    arguments = parser.parse_args()
    turns = 2 if arguments.quick else arguments.turns
    servers.end_on_sigterm()
    how = (
        f"Instances of foal, {turns} turns of each, medians. Running is what the status says, asked each"
        f" {POLL_SECONDS * 1000:.0f} ms, or what the stream of events says. The engine alone is started with"
        " the replica's own command line; its time ends with its first token."
    )
    report.header("Instances", how)
    with tempfile.TemporaryDirectory(prefix="paddock-bench-") as name:
        folder = Path(name)
        port = free_port()
        argv = [contestants.PADDOCK, "serve", "--data-dir", str(folder / "data"), "--port", str(port)]
        with servers.running("Paddock", argv, folder, port, "/healthz", env=SETTINGS) as server:
            _measure(server, folder, turns)


def _measure(server: Server, folder: Path, turns: int) -> None:
    seconds: dict[str, list[float]] = {POLLED: [], TOLD: [], WOKEN: [], ENGINE: []}
    with api.connected(server.port) as client:
        sleeper = client.create("sleeper", min_workers=0, max_workers=1, idle_timeout=0.2)["name"]
        for _ in range(turns):
            polled, engine = _polled(client, server)
            seconds[POLLED].append(polled)
            seconds[ENGINE].append(_alone(engine, folder))
            seconds[TOLD].append(_told(client, server.port))
            client.until(sleeper, _sleeps)
            seconds[WOKEN].append(_woken(server, sleeper))
            # Falling asleep would disturb the next one's start.
            client.until(sleeper, _sleeps)
    medians = {what: statistics.median(values) for what, values in seconds.items()}
    beyond = {what: median - medians[ENGINE] for what, median in medians.items()}
    rows = [
        [what, f"{medians[what]:.3f}", f"{min(v):.3f}", f"{max(v):.3f}", f"{beyond[what]:+.3f}"]
        for what, v in seconds.items()
    ]
    report.table(["seconds", "median", "least", "most", "beyond the engine"], rows)
    limits = {POLLED: RUNNING_LIMIT, TOLD: RUNNING_LIMIT, WOKEN: WAKING_LIMIT}
    report.targets(
        [
            report.Target(f"{what}, beyond the engine's own start", beyond[what], limit, True, " s")
            for what, limit in limits.items()
        ]
    )


def _sleeps(deployment: JSON) -> bool:
    return deployment["status"] == "asleep" and not deployment["replicas"]


def _polled(client: Api, server: Server) -> tuple[float, Engine]:
    """Seconds until the status is running, and the engine that then ran; it has ended since."""
    before = {one.pid for one in engines.of_server(server)}
    began = time.perf_counter()
    path = f"{CORTECS}/instances/{_start(client)}"
    while client.ask("GET", path)["instance"]["instance_status"]["status"] != "running":
        time.sleep(POLL_SECONDS)
    seconds = time.perf_counter() - began
    (engine,) = [one for one in engines.of_server(server) if one.pid not in before]
    _end(client, path.rpartition("/")[2])
    return seconds, engine


def _told(client: Api, port: int) -> float:
    """Seconds until the stream of events says that the instance is ready."""
    following = http.client.HTTPConnection(HOST, port, timeout=60)
    try:
        following.request("GET", "/api/v1/events?follow=true")
        lines = following.getresponse()
        lines.readline()
        began = time.perf_counter()
        identity = _start(client)
        while line := lines.readline():
            if line.startswith(b"data:"):
                event = json.loads(line[5:])
                if event["deployment_id"] == identity and event["kind"] == "ready":
                    break
        else:
            raise RuntimeError("the stream of events ended")
        seconds = time.perf_counter() - began
    finally:
        following.close()
    _end(client, identity)
    return seconds


def _woken(server: Server, name: str) -> float:
    """Seconds from a request for a deployment that sleeps to its first token."""
    request = probe.post(load.PATH, foal.request_body(name, 1, stream=True))
    with probe.connected(server.port) as connection:
        answer = connection.ask(request)
    if answer.status != 200 or b"[DONE]" not in answer.events:
        raise RuntimeError(f"the request that was to wake {name} got {answer.status} {answer.body[:500]!r}")
    return answer.first


def _alone(engine: Engine, folder: Path) -> float:
    """Seconds from the start of the engine's command to its first token."""
    port = free_port()
    command = engine.moved_to(port)
    began = time.perf_counter()
    with servers.started("engine", command, folder, port, env={KEY_VARIABLE: KEY}) as server:
        return foal.seconds_to_first_token(server, began)


def _start(client: Api) -> str:
    """The id of a new instance, just accepted."""
    answer = client.ask("POST", f"{CORTECS}/instances/start", {"model_id": "paddock--foal"})
    return str(answer["instance"]["instance_id"])


def _end(client: Api, identity: str) -> None:
    client.ask("POST", f"{CORTECS}/instances/stop", {"instance_id": identity})
    client.ask("DELETE", f"{CORTECS}/instances/{identity}")
    client.until_gone(identity)


if __name__ == "__main__":
    main()
