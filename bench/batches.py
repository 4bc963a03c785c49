"""Tokens per second of a batch, of the best client of the same engine, and of a client in LLM Engine's style.

`python -m bench.batches [--quick] [--prompts 2000] [--rounds 5]`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from bench import api, direct, foal, jobs, overhead, processes, prompts, report, servers
from bench.api import Api
from bench.servers import Server

TOKENS = 48
LEVELS = (8, 12, 16, 18, 20, 24, 32)
TRIED = 500
"""Prompts by which the best level is found."""
POOL = 8
LEAST = 0.95
CHATS, TEXTS = "chats", "texts"
_SYNC = f"{jobs.LLM_ENGINE}/v1/llm/completions-sync?model_endpoint_name={foal.MODEL}"


@dataclass(frozen=True)
class Seen:
    """One answering of all prompts.

    Attributes:
        seconds: by the clock of who asked.
        told: by the job's own times; the same where there is no job.
    """

    tokens: int
    seconds: float
    told: float


@dataclass(frozen=True)
class Way:
    """A way to have all prompts answered; `kind` says which prompts they are."""

    name: str
    kind: str
    run: Callable[[], Seen]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="200 prompts, two rounds")
    parser.add_argument("--prompts", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    count, rounds = (200, 2) if arguments.quick else (arguments.prompts, arguments.rounds)
    servers.end_on_sigterm()
    how = (
        f"{count} prompts of different lengths, answers of up to {TOKENS} tokens, all greedy; {rounds}"
        " rounds in turns, medians. A batch's time is from POST to completed. Chats are asked as OpenAI has"
        " them, texts as LLM Engine has them."
    )
    report.header("Batches", how)
    with tempfile.TemporaryDirectory(prefix="paddock-bench-") as name:
        with foal.served(Path(name)) as (engine, key, paddock), api.connected(paddock.port) as client:
            _measure(client, engine, key, paddock, prompts.made(count), rounds)


def _measure(
    client: Api, engine: Server, key: str, paddock: Server, asked: Sequence[str], rounds: int
) -> None:
    ways = []
    for kind, path in ((CHATS, prompts.CHATS), (TEXTS, prompts.TEXTS)):
        requests = prompts.requests(path, asked, TOKENS, foal.MODEL, key)
        level = _best_level(engine.port, kind, requests[:TRIED])
        ways.append(Way(f"{kind}: direct, {level} at once", kind, _direct(engine.port, requests, level)))
    openai = Way(f"{CHATS}: OpenAI batch", CHATS, _openai(client, asked))
    llm_engine = Way(f"{TEXTS}: LLM Engine batch", TEXTS, _llm_engine(client, asked))
    pool = Way(f"{TEXTS}: LLM Engine, pool of {POOL}", TEXTS, _pool(paddock.port, asked))
    ways += [openai, llm_engine, pool]
    seen: dict[str, list[Seen]] = {way.name: [] for way in ways}
    for turn in range(rounds):
        for way in overhead.rotated(ways, turn):
            processes.settle(paddock)
            seen[way.name].append(way.run())
    first = {CHATS: seen[ways[0].name], TEXTS: seen[ways[1].name]}
    rows = []
    for way in ways:
        found = seen[way.name]
        ratios = [f"{_ratio(found, first[way.kind], told):.3f}" for told in (False, True)]
        rates = report.number(statistics.median(one.tokens / one.seconds for one in found))
        rows.append([way.name, rates, f"{statistics.median(one.seconds for one in found):.2f}", *ratios])
    report.table(["", "tokens/s", "seconds", "of direct", "by the job's times"], rows)
    beside = _ratio(seen[llm_engine.name], seen[pool.name], False)
    print(f"LLM Engine batch / one at a time from a pool of {POOL}: {beside:.2f}\n")
    report.targets(
        [
            report.Target(f"{way.name} / direct", _ratio(seen[way.name], first[way.kind], False), LEAST)
            for way in (openai, llm_engine)
        ]
    )


def _ratio(found: Sequence[Seen], reference: Sequence[Seen], told: bool) -> float:
    """The median of the rounds' ratios of tokens per second."""
    pairs = zip(found, reference, strict=True)
    return statistics.median(
        (one.tokens / (one.told if told else one.seconds)) / (other.tokens / other.seconds)
        for one, other in pairs
    )


def _best_level(port: int, kind: str, requests: Sequence[bytes]) -> int:
    """How many at once the engine answers fastest, tried twice in turns."""
    rates: dict[int, list[float]] = {level: [] for level in LEVELS}
    for turn in range(2):
        for level in overhead.rotated(LEVELS, turn):
            took, _ = direct.answer_all(port, requests, level)
            rates[level].append(len(requests) / took)
    best = max(LEVELS, key=lambda level: max(rates[level]))
    said = ", ".join(f"{level}: {max(found):.0f}" for level, found in rates.items())
    print(f"{kind} answered directly per second by how many are asked at once: {said}\n", flush=True)
    return best


def _direct(port: int, requests: Sequence[bytes], level: int) -> Callable[[], Seen]:
    def run() -> Seen:
        took, bodies = direct.answer_all(port, requests, level)
        tokens = sum(json.loads(body)["usage"]["completion_tokens"] for body in bodies)
        return Seen(tokens, took, took)

    return run


def _openai(client: Api, asked: Sequence[str]) -> Callable[[], Seen]:
    file_id = jobs.upload(client, prompts.lines(prompts.CHATS, asked, TOKENS, foal.MODEL))

    def run() -> Seen:
        began = time.perf_counter()
        job = jobs.until_over(client, jobs.start(client, file_id, prompts.CHATS))
        took = time.perf_counter() - began
        found = jobs.answers(jobs.output(client, job))
        _check_count(len(found), asked)
        return Seen(sum(one["usage"]["completion_tokens"] for one in found), took, jobs.seconds(job))

    return run


def _llm_engine(client: Api, asked: Sequence[str]) -> Callable[[], Seen]:
    def run() -> Seen:
        began = time.perf_counter()
        name = f"answers-{time.time_ns()}.json"
        job = jobs.until_over(client, jobs.start_llm_engine(client, asked, TOKENS, foal.MODEL, name))
        took = time.perf_counter() - began
        found = json.loads(jobs.output(client, job))
        _check_count(len(found), asked)
        return Seen(sum(one["num_completion_tokens"] for one in found), took, jobs.seconds(job))

    return run


def _pool(port: int, asked: Sequence[str]) -> Callable[[], Seen]:
    """Threads that each ask for one completion at a time, on a connection that they keep."""

    def ask(share: Sequence[str]) -> int:
        tokens = 0
        with api.connected(port) as client:
            for prompt in share:
                wanted = {"prompt": prompt, "max_new_tokens": TOKENS, "temperature": 0}
                tokens += client.ask("POST", _SYNC, wanted)["output"]["num_completion_tokens"]
        return tokens

    def run() -> Seen:
        began = time.perf_counter()
        with ThreadPoolExecutor(POOL) as pool:
            tokens = sum(pool.map(ask, [asked[start::POOL] for start in range(POOL)]))
        took = time.perf_counter() - began
        return Seen(tokens, took, took)

    return run


def _check_count(count: int, asked: Sequence[str]) -> None:
    if count != len(asked):
        raise RuntimeError(f"{count} answers to {len(asked)} prompts")


if __name__ == "__main__":
    main()
