"""How many of the engine's tokens per second arrive through Paddock: the same engine, asked both ways.

`python -m bench.tokens [--quick]`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from pathlib import Path

from bench import crowd, foal, load, overhead, probe, report, servers
from bench.servers import Server

TOKENS = 128
AT_ONCE = (1, 8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    parser.add_argument("--rounds", type=int, default=30)
    arguments = parser.parse_args()
    # Many short ones: the speed of a shared machine changes within seconds, which short neighbours share.
    rounds, seconds = (2, 3) if arguments.quick else (arguments.rounds, 1.5)
    servers.end_on_sigterm()
    how = f"Answers of {TOKENS} tokens, directly and through Paddock in turns; medians of {rounds} rounds."
    report.header("Tokens", how)
    with tempfile.TemporaryDirectory(prefix="paddock-bench-") as name:
        folder = Path(name)
        with foal.served(folder) as (engine, key, paddock):
            _measure([engine, paddock], key, rounds, seconds)


def _measure(asked: list[Server], key: str, rounds: int, seconds: float) -> None:
    rows, targets = [], []
    for stream in (False, True):
        for at_once in AT_ONCE:
            what = f"{'streamed' if stream else 'plain'}, {at_once} at once"
            direct, through = _rates(asked, key, rounds, seconds, stream=stream, at_once=at_once)
            ratio = statistics.median(t / d for t, d in zip(through, direct, strict=True))
            medians = [report.number(statistics.median(rates)) for rates in (direct, through)]
            rows.append([what, *medians, f"{ratio:.3f}"])
            targets.append(report.Target(f"{what}: Paddock / direct", ratio, 0.97))
    report.table(["tokens/s", *(server.name for server in asked), "ratio"], rows)
    report.targets(targets)


def _rates(
    asked: list[Server], key: str, rounds: int, seconds: float, *, stream: bool, at_once: int
) -> tuple[list[float], list[float]]:
    """Tokens per second of each server by round; the two of a round are neighbours in time."""
    requests = {server.name: _request(key, stream) for server in asked}
    for server in asked:
        _check(server, requests[server.name], stream)
        warm = crowd.seconds_to_answer(server.port, requests[server.name], at_once, 1)
    each = max(2, round(seconds / warm))
    rates: dict[str, list[float]] = {server.name: [] for server in asked}
    for turn in range(rounds):
        for server in overhead.rotated(asked, turn):
            took = crowd.seconds_to_answer(server.port, requests[server.name], at_once, each)
            rates[server.name].append(TOKENS * each * at_once / took)
    direct, through = (rates[server.name] for server in asked)
    return direct, through


def _request(key: str, stream: bool) -> bytes:
    body = foal.request_body(foal.MODEL, TOKENS, stream)
    return probe.post(load.PATH, body, {"Authorization": f"Bearer {key}"})


def _check(server: Server, request: bytes, stream: bool) -> None:
    """Raises RuntimeError unless the answer has all its tokens."""
    with probe.connected(server.port) as connection:
        answer = connection.ask(request)
    if answer.status == 200 and stream:
        # The bytes of one character may be spread over several tokens, which then come together.
        whole = answer.events[-1:] == [b"[DONE]"] and len(answer.events) > TOKENS / 2
    else:
        whole = answer.status == 200 and json.loads(answer.body)["usage"]["completion_tokens"] == TOKENS
    if not whole:
        raise RuntimeError(f"{server.name} gives no {TOKENS} tokens: {answer.status} {answer.body[-600:]!r}")


if __name__ == "__main__":
    main()
