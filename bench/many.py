"""Ten thousand deployments in the store beside ten: what listing, getting and relaying take.

`python -m bench.many [--quick] [--rounds 30]`.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import insert

from bench import contestants, load, probe, report, servers
from bench.api import DEPLOYMENTS
from bench.servers import HOST, Server
from paddock.services.deployments import LOCAL
from paddock.store.sessions import ChangeSession, Store
from paddock.store.tables import DeploymentRow

FEW, MANY = 10, 10_000
PAGE, HALF_A_PAGE = FEW, FEW // 2
"""Both servers list as many."""
LIMIT = 1.2
EACH = 20
"""Requests of a kind to one server before it is the other one's turn."""


@dataclass(frozen=True)
class Side:
    """A server with `count` deployments in its store, besides the attached one that it relays to."""

    server: Server
    count: int
    seconds_to_start: float


Ask = Callable[[int], bytes]
"""The bytes of a request to a server with so many deployments."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="three rounds")
    parser.add_argument("--rounds", type=int, default=30)
    arguments = parser.parse_args()
    rounds = 3 if arguments.quick else arguments.rounds
    servers.end_on_sigterm()
    how = (
        f"One request at a time, {rounds} rounds of {EACH} to each server in turns, medians in ms. Half of"
        " the deployments are asleep, half stopped; a completion is relayed to an attached stub engine."
    )
    report.header("Many deployments", how)
    with tempfile.TemporaryDirectory(prefix="paddock-bench-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        engine = stack.enter_context(contestants.stub(folder))
        few, many = (stack.enter_context(_serving(folder, count, engine)) for count in (FEW, MANY))
        _measure(few, many, rounds)


def _measure(few: Side, many: Side, rounds: int) -> None:
    chance = random.Random(0)

    def some(count: int) -> str:
        return _name(chance.randrange(count))

    kinds: dict[str, Ask] = {
        f"the first {PAGE}": lambda count: _get(f"{DEPLOYMENTS}?limit={PAGE}"),
        f"the {HALF_A_PAGE} after the middle": lambda count: _get(
            f"{DEPLOYMENTS}?limit={HALF_A_PAGE}&after={_name(count // 2 - 1)}"
        ),
        "one, Paddock's own": lambda count: _get(f"{DEPLOYMENTS}/{some(count)}"),
        "one, LLM Engine's": lambda count: _get(f"/llm-engine/v1/llm/model-endpoints/{some(count)}"),
        "a completion": lambda count: probe.post(load.PATH, load.request_body(stream=False)),
    }
    seconds: dict[str, dict[int, list[float]]] = {what: {FEW: [], MANY: []} for what in kinds}
    for number in range(rounds + 1):
        for what, request in kinds.items():
            for side in (few, many) if number % 2 else (many, few):
                taken = _ask(side, request)
                # The first round warms up.
                seconds[what][side.count] += taken if number else []
    _show(seconds, few, many)


def _show(seconds: Mapping[str, Mapping[int, list[float]]], few: Side, many: Side) -> None:
    rows, targets = [], []
    for what, taken in seconds.items():
        medians = {count: 1000 * statistics.median(values) for count, values in taken.items()}
        ratio = medians[MANY] / medians[FEW]
        rows.append([what, *(f"{medians[count]:.3f}" for count in (FEW, MANY)), f"{ratio:.3f}"])
        targets.append(report.Target(f"{what}: with {MANY:,} / with {FEW}", ratio, LIMIT, True))
    starts = [f"{1000 * one.seconds_to_start:.0f}" for one in (few, many)]
    rows.append(["paddock serve until healthy", *starts, ""])
    report.table(["ms", f"{FEW} deployments", f"{MANY:,} deployments", "ratio"], rows)
    report.targets(targets)


def _ask(side: Side, request: Ask) -> list[float]:
    """Seconds of each request, one after the other on one connection.

    Raises:
        RuntimeError: an answer's status is not 200.
    """
    taken = []
    with probe.connected(side.server.port) as connection:
        for _ in range(EACH):
            answer = connection.ask(request(side.count))
            if answer.status != 200:
                raise RuntimeError(f"with {side.count} deployments: {answer.status} {answer.body[:500]!r}")
            taken.append(answer.total)
    return taken


def _get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()


@contextlib.contextmanager
def _serving(folder: Path, count: int, engine: Server) -> Iterator[Side]:
    folder = folder / f"{count}"
    data = folder / "data"
    store = Store(f"sqlite:///{data / 'paddock.db'}")
    store.change_now(lambda session: _fill(session, count))
    store.close()
    began = time.perf_counter()
    with contestants.paddock(engine.url, folder, env={"PADDOCK_DATA_DIR": str(data)}) as server:
        yield Side(server, count, time.perf_counter() - began)


def _fill(session: ChangeSession, count: int) -> None:
    """As many deployments as their project's list shows: asleep and stopped ones in turns."""
    now = time.time()
    rows: list[dict[str, Any]] = [
        {
            "id": f"dep-{number:016x}",
            "project": LOCAL,
            "name": _name(number),
            "model": "paddock/foal",
            "source": "paddock/foal",
            "engine": "llama.cpp",
            "hardware_type": "CPU_1",
            "context_length": 2048,
            "min_workers": 0,
            "max_workers": 1,
            "per_worker": 16,
            "idle_timeout": 300.0,
            "options": {"slots": 16, "threads": 0, "weights_type": "auto", "embeddings": False},
            "details": {"labels": {}},
            "origin": "api",
            "wanted": "stop" if number % 2 else "serve",
            "generation": 1,
            "proved": 1,
            "status": "stopped" if number % 2 else "asleep",
            "reason": "",
            "log": [],
            "failures": 0,
            "retry_at": 0.0,
            "attention": False,
            "facts": {"generates": True, "embeds": False, "slots": 16},
            "used_at": now,
            "created_at": now + number / 1000 - count,
            "updated_at": now,
            "started_at": now,
            "stopped_at": now if number % 2 else None,
            "revision": session.revision,
        }
        for number in range(count)
    ]
    session.execute(insert(DeploymentRow), rows)


def _name(number: int) -> str:
    return f"team-{number % 7}/number-{number}"


if __name__ == "__main__":
    main()
