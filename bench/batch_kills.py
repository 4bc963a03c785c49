"""Batches whose server gets SIGKILL at random moments: what their output has, and what was asked twice.

`python -m bench.batch_kills [--kills 50] [--prompts 2000] [--seed 0]`. One half of the kills takes the engine
along, as it is with an engine of the server's own; in the other half the engine is somebody else's, lives on,
and counts what it is asked.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bench import api, contestants, counting, foal, jobs, prompts, report, servers
from bench.counting import Counter
from bench.servers import free_port

TOKENS = 24
SHORTEST_LIFE, LONGEST_LIFE = 0.3, 3.0
"""Seconds for which a server lives."""
EACH = 6
"""Kills at most for one batch."""
MOST_REPEATED = 0.02
COUNTED = "counted"


@dataclass
class Done:
    """What became of the batches of one kind.

    Attributes:
        wrong: rows that are missing, there twice, out of order, or no answer.
        repeated: prompts asked more than once; None if nobody counted.
    """

    batches: int = 0
    kills: int = 0
    wrong: int = 0
    repeated: int | None = None
    took: list[float] = field(default_factory=list)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--prompts", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    servers.end_on_sigterm()
    how = (
        f"Batches of {arguments.prompts} prompts; the server gets SIGKILL {SHORTEST_LIFE:g} to"
        f" {LONGEST_LIFE:g} s after it could take requests, {arguments.kills} times in all, and is started"
        f" again on the same data. Seed {arguments.seed}."
    )
    report.header("Batches and kills", how)
    chance = random.Random(arguments.seed)
    half = arguments.kills // 2
    with tempfile.TemporaryDirectory(prefix="paddock-bench-") as name:
        own = _run(Path(name) / "own", arguments.prompts, arguments.kills - half, chance, None)
        with _counted_engine(Path(name)) as (port, counter):
            other = _run(Path(name) / "other", arguments.prompts, half, chance, (port, counter))
    _show(own, other, arguments.prompts)


@contextlib.contextmanager
def _counted_engine(folder: Path) -> Iterator[tuple[int, Counter]]:
    port = free_port()
    launch = foal.engine_command(folder, port)
    with servers.running("engine", launch.argv, folder, port, "/health", env=launch.env):
        with counting.relay(port, foal.KEY) as found:
            yield found


def _run(
    folder: Path, count: int, kills: int, chance: random.Random, counted: tuple[int, Counter] | None
) -> Done:
    done, port = Done(), free_port()
    argv = [contestants.PADDOCK, "serve", "--data-dir", str(folder), "--port", str(port)]
    model = foal.MODEL
    if counted is not None:
        model, done.repeated = COUNTED, 0
        argv += ["--attach", f"{COUNTED}=http://{servers.HOST}:{counted[0]}/v1"]
    folder.mkdir()
    env = {"PADDOCK_ACCESS_LOG": "false"}
    lines = prompts.lines(prompts.CHATS, prompts.made(count), TOKENS, model)
    while done.kills < kills:
        before = counted[1].asked if counted else 0
        began = time.perf_counter()
        with contextlib.ExitStack() as life:
            server = life.enter_context(servers.running("Paddock", argv, folder, port, "/healthz", env=env))
            with api.connected(port) as client:
                batch = jobs.start(client, jobs.upload(client, lines), prompts.CHATS)
            for _ in range(min(EACH, kills - done.kills)):
                time.sleep(chance.uniform(SHORTEST_LIFE, LONGEST_LIFE))
                with api.connected(port) as client:
                    if jobs.is_over(jobs.get(client, batch)):
                        break
                server.process.kill()
                done.kills += 1
                life.close()
                server = life.enter_context(
                    servers.running("Paddock", argv, folder, port, "/healthz", env=env)
                )
            with api.connected(port) as client:
                job = jobs.until_over(client, batch)
                done.wrong += _wrong(jobs.output(client, job), count)
        done.took.append(time.perf_counter() - began)
        done.batches += 1
        if counted is not None and done.repeated is not None:
            done.repeated += counted[1].asked - before - count
    return done


def _wrong(output: bytes, count: int) -> int:
    """Rows of an output that are not what they should be."""
    rows = [json.loads(line) for line in output.splitlines()]
    ids = [row["custom_id"] for row in rows]
    misplaced = sum(one != prompts.custom_id(number) for number, one in enumerate(ids))
    bad = sum((row["response"] or {}).get("status_code") != 200 for row in rows)
    return int(misplaced + bad + abs(count - len(rows)))


def _show(own: Done, other: Done, count: int) -> None:
    rows = []
    for name, done in (("the server's own", own), ("somebody else's", other)):
        repeated = "-" if done.repeated is None else f"{done.repeated / max(1, done.kills):.1f}"
        rows.append([name, f"{done.batches}", f"{done.kills}", f"{done.wrong}", repeated])
    report.table(["engine", "batches", "kills", "wrong rows", "prompts repeated a kill"], rows)
    share = (other.repeated or 0) / max(1, other.kills) / count
    report.targets(
        [
            report.Target("rows missing, doubled, out of order or failed", own.wrong + other.wrong, 0, True),
            report.Target("prompts asked again for each kill, of all", share, MOST_REPEATED, True),
        ]
    )


if __name__ == "__main__":
    main()
