"""Batches while their server, or its engine, is killed again and again; what they gave, and what it cost."""

from __future__ import annotations

import contextlib
import itertools
import json
import random
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench import api, contestants, counting, direct, engines, foal, jobs, prompts, servers
from bench.engines import Engine
from bench.servers import Server, free_port
from paddock.engines.llama_cpp.launch import KEY_VARIABLE

TOKENS = 48
PER_BATCH = 5
SHORTEST, LONGEST = 0.3, 4.0
"""Seconds that what is killed has been able to work before."""
PATIENCE = 120.0
NAME = "counted"
KEY = {f"PADDOCK_ATTACH_KEY_{NAME.upper()}": foal.KEY}
QUIET = {"PADDOCK_ACCESS_LOG": "false"}
LEVELS = (4, 12, 16, 20)
MOST_STRANGE = 0.02
"""Of the answers, where those that are right are known from before: what else is decoded beside a prompt may
change a word of its answer.
"""

Said = Mapping[str, Collection[str]]
"""Answers that are right, by their prompt."""


@dataclass(frozen=True)
class Plan:
    """Batches of `prompts` prompts, until there were so many kills; `chance` tells their moments."""

    prompts: int
    kills: int
    chance: random.Random

    def wait(self) -> float:
        return self.chance.uniform(SHORTEST, LONGEST)


@dataclass
class Result:
    """
    Attributes:
        right, wrong: rows of the outputs; what lacks is wrong, too.
        problems: what was wrong, for a person.
        repeated: prompts that were asked again after each kill, where that was counted.
    """

    kills: int = 0
    batches: int = 0
    right: int = 0
    wrong: int = 0
    seconds: float = 0.0
    problems: list[str] = field(default_factory=list)
    repeated: list[int] = field(default_factory=list)

    def note(self, rows: int, faults: Sequence[str]) -> None:
        self.batches += 1
        self.wrong += len(faults)
        self.right += rows - len(faults)
        self.problems += faults


class Killed:
    """A server that is killed and started again on the same data."""

    def __init__(self, argv: Sequence[str], folder: Path, env: Mapping[str, str]) -> None:
        self.port = free_port()
        self._argv = [*argv, "--port", str(self.port), "--data-dir", str(folder / "data")]
        self._folder = folder
        self._env = {**QUIET, **env}
        self._numbers = itertools.count()
        self._life = contextlib.ExitStack()
        self.server = self._start()

    def again(self) -> None:
        """Kills it, starts it again, and returns once that can take requests."""
        self.server.process.kill()
        self.server.process.wait()
        self._life.close()
        self.server = self._start()

    def close(self) -> None:
        self._life.close()

    def _start(self) -> Server:
        name = f"Paddock {next(self._numbers)}"
        started = servers.started(name, self._argv, self._folder, self.port, env=self._env)
        server = self._life.enter_context(started)
        servers.wait_ready(server, "/healthz", PATIENCE)
        return server


def counted(folder: Path, plan: Plan) -> Result:
    """The server is killed; its engine runs on, behind a relay that counts."""
    with engine(folder) as running, counting.counting(running.port, folder) as relay:
        argv = [contestants.PADDOCK, "serve", "--attach", attach(relay)]
        with contextlib.closing(Killed(argv, folder, KEY)) as killed:
            marks: list[int] = []

            def kill() -> None:
                marks.append(counting.count(relay))
                killed.again()

            result = _batches(killed.port, NAME, plan, kill, lambda: counting.counted(relay).said)
        result.repeated = repeated(counting.counted(relay).asked, marks)
    return result


def together(folder: Path, plan: Plan) -> Result:
    """The server is killed, and its engine dies with it."""
    with contextlib.closing(Killed([contestants.PADDOCK, "serve"], folder, {})) as killed:
        said = _asked_before(killed.server, plan)
        return _batches(killed.port, foal.MODEL, plan, killed.again, said)


def engines_only(folder: Path, plan: Plan) -> Result:
    """The engine is killed, and the server starts another."""
    with contextlib.closing(Killed([contestants.PADDOCK, "serve"], folder, {})) as killed:
        said = _asked_before(killed.server, plan)

        def kill() -> None:
            victim = _engine_of(killed.server)
            victim.kill()
            deadline = time.monotonic() + PATIENCE
            while not (there := engines.of_server(killed.server)) or there[-1].pid == victim.pid:
                if time.monotonic() > deadline:
                    raise RuntimeError(f"no other engine within {PATIENCE:g} s")
                time.sleep(0.02)

        return _batches(killed.port, foal.MODEL, plan, kill, said)


def faults(lines: Sequence[bytes], asked: Sequence[str], said: Said, most_strange: float = 0.0) -> list[str]:
    """What is wrong with the output of a batch: a row each.

    Args:
        said: the answers that there are to each prompt.
        most_strange: the share of rows whose answers may be no prompt's.
    """
    found: list[str] = []
    strange: list[str] = []
    # A word that changes may make one general answer of another, but never brings another prompt's word.
    others = {one for prompt, answers in said.items() for one in answers if prompts.is_told(prompt, one)}
    rows = [json.loads(line) for line in lines]
    for number, prompt in enumerate(asked):
        wanted = prompts.custom_id(number)
        row = rows[number] if number < len(rows) else None
        if row is None or row["custom_id"] != wanted:
            found.append(f"where {wanted} should be, there is {row and row['custom_id']}")
        elif (row["response"] or {}).get("status_code") != 200:
            found.append(f"{wanted} is {json.dumps(row)[:300]}")
        elif (answer := row["response"]["body"]["choices"][0]["message"]["content"]) not in said[prompt]:
            (found if answer in others else strange).append(f"{wanted} is answered {answer!r}")
    if len(strange) > most_strange * len(asked):
        found += strange
    return found + [f"there is {row['custom_id']} too" for row in rows[len(asked) :]]


def repeated(asked: Sequence[str], marks: Sequence[int]) -> list[int]:
    """How many prompts were asked again after each kill.

    Args:
        asked: the prompts as they were asked, one after the other; each of another batch is another.
        marks: how many had been asked at each kill.
    """
    seen: set[str] = set()
    counts = [0] * (len(marks) + 1)
    for part, (start, end) in enumerate(itertools.pairwise([0, *marks, len(asked)])):
        for prompt in asked[start:end]:
            counts[part] += prompt in seen
            seen.add(prompt)
    # What is asked twice before any kill is no kill's fault, but must not go unnoticed.
    return [counts[1] + counts[0], *counts[2:]] if marks else counts


@contextlib.contextmanager
def engine(folder: Path) -> Iterator[Server]:
    """An engine that no server of Paddock's owns."""
    port = free_port()
    command = foal.engine_command(folder, port)
    with servers.running("engine", command.argv, folder, port, "/health", env=command.env) as server:
        yield server


def attach(relay: Server) -> str:
    return f"{NAME}={relay.url}/v1#{foal.MODEL}"


def asked_in(batch: int, count: int) -> list[str]:
    """The prompts of a batch, which are no other batch's."""
    return prompts.made((batch + 1) * count)[batch * count :]


def _batches(
    port: int, model: str, plan: Plan, kill: Callable[[], None], said: Said | Callable[[], Said]
) -> Result:
    """Batches, each killed a few times, until there were kills enough.

    Args:
        said: the answers that are right: told after each batch, or known before, of the same prompts in each.
    """
    result = Result()
    began = time.perf_counter()
    while result.kills < plan.kills:
        asked = asked_in(result.batches if callable(said) else 0, plan.prompts)
        with api.connected(port) as client:
            file_id = jobs.upload(client, prompts.lines(prompts.CHATS, asked, TOKENS, model))
            job_id = jobs.start(client, file_id, prompts.CHATS)
        for _ in range(min(PER_BATCH, plan.kills - result.kills)):
            time.sleep(plan.wait())
            with api.connected(port) as client:
                if jobs.is_over(jobs.get(client, job_id)):
                    break
            kill()
            result.kills += 1
        with api.connected(port) as client:
            job = jobs.until_over(client, job_id)
            lines = jobs.output(client, job).splitlines()
        right, most = (said(), 0.0) if callable(said) else (said, MOST_STRANGE)
        result.note(len(asked), faults(lines, asked, right, most))
    result.seconds = time.perf_counter() - began
    return result


def _asked_before(server: Server, plan: Plan) -> Said:
    """The answers of the server's engine to the prompts, asked at several levels."""
    owned = _engine_of(server)
    key = owned.environment[KEY_VARIABLE]
    asked = asked_in(0, plan.prompts)
    said: dict[str, set[str]] = {prompt: set() for prompt in asked}
    requests = prompts.requests(prompts.CHATS, asked, TOKENS, foal.MODEL, key)
    for level in LEVELS:
        _, bodies = direct.answer_all(owned.port, requests, level)
        for prompt, body in zip(asked, bodies, strict=True):
            said[prompt].add(json.loads(body)["choices"][0]["message"]["content"])
    return said


def _engine_of(server: Server) -> Engine:
    (owned,) = engines.of_server(server)
    return owned
