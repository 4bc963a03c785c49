"""Two workers on PostgreSQL, one of which is killed again and again, while they run batches side by side."""

from __future__ import annotations

import contextlib
import importlib
import itertools
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench import api, contestants, counting, jobs, prompts, servers
from bench.killed_batches import (
    KEY,
    NAME,
    QUIET,
    TOKENS,
    Plan,
    Result,
    asked_in,
    attach,
    engine,
    faults,
    repeated,
)
from bench.servers import Server, free_port

WORKERS = 2
AT_ONCE = 2
"""Batches that run side by side, one at each worker as long as both live."""
KILLS = 4
"""In each pair of batches."""
_STARTED = 60.0
# The tests are not part of what the types are checked of.
postgres: Any = importlib.import_module("tests.postgres")


class Workers:
    """`paddock worker` processes, each of which can be killed and started again."""

    def __init__(self, folder: Path, database: str, relay: Server) -> None:
        data = str(folder / "data")
        self._argv = [contestants.PADDOCK, "worker", "--data-dir", data, "--database-url", database]
        self._argv += ["--jobs", "1", "--attach", attach(relay)]
        self._folder = folder
        self._numbers = itertools.count()
        self._lives = [contextlib.ExitStack() for _ in range(WORKERS)]
        self._workers = [self._start(place) for place in range(WORKERS)]

    def kill(self, place: int) -> None:
        """Kills one, and starts another in its place at once."""
        self._workers[place].process.kill()
        self._lives[place].close()
        self._workers[place] = self._start(place)

    def close(self) -> None:
        for life in self._lives:
            life.close()

    def _start(self, place: int) -> Server:
        """Returns once it works: it says so."""
        name = f"worker {next(self._numbers)}"
        worker = self._lives[place].enter_context(
            servers.started(name, self._argv, self._folder, 0, env={**QUIET, **KEY})
        )
        deadline = time.monotonic() + _STARTED
        while b"works at" not in worker.log.read_bytes():
            if worker.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{name} does not work:\n{servers.tail(worker.log)}")
            time.sleep(0.02)
        return worker


def killed(folder: Path, plan: Plan) -> Result:
    """Batches by two workers, one of which is killed at random moments."""
    result = Result()
    with (
        postgres.running() as database,
        engine(folder) as running,
        counting.counting(running.port, folder) as relay,
    ):
        url = database.empty()
        with _served(folder, url, relay) as server:
            with contextlib.closing(Workers(folder, url, relay)) as workers:
                began = time.perf_counter()
                marks: list[int] = []
                while result.kills < plan.kills:
                    _pair(server, relay, workers, plan, result, marks)
                result.seconds = time.perf_counter() - began
        result.repeated = repeated(counting.counted(relay).asked, marks)
    return result


def _pair(
    server: Server, relay: Server, workers: Workers, plan: Plan, result: Result, marks: list[int]
) -> None:
    """Batches side by side, with a few kills; their output is checked."""
    first = result.batches
    asked = {number: asked_in(number, plan.prompts) for number in range(first, first + AT_ONCE)}
    with api.connected(server.port) as client:
        started = {}
        for number, some in asked.items():
            file_id = jobs.upload(client, prompts.lines(prompts.CHATS, some, TOKENS, NAME))
            started[number] = jobs.start(client, file_id, prompts.CHATS)
        for _ in range(min(KILLS, plan.kills - result.kills)):
            time.sleep(plan.wait())
            if all(jobs.is_over(jobs.get(client, one)) for one in started.values()):
                break
            marks.append(counting.count(relay))
            workers.kill(plan.chance.randrange(WORKERS))
            result.kills += 1
        outputs = {
            number: jobs.output(client, jobs.until_over(client, one)) for number, one in started.items()
        }
    said = counting.counted(relay).said
    for number, output in outputs.items():
        result.note(plan.prompts, faults(output.splitlines(), asked[number], said))


@contextlib.contextmanager
def _served(folder: Path, database: str, relay: Server) -> Iterator[Server]:
    """A server that leaves all jobs to workers."""
    port = free_port()
    argv = [contestants.PADDOCK, "serve", "--attach", attach(relay), "--jobs", "0", "--port", str(port)]
    argv += ["--data-dir", str(folder / "data"), "--database-url", database]
    with servers.running("Paddock", argv, folder, port, "/healthz", env={**QUIET, **KEY}) as server:
        yield server
