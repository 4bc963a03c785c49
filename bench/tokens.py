"""How many of the engine's tokens per second arrive through Paddock: the same engine, asked both ways.

`python -m bench.tokens [--quick]`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from pathlib import Path

from bench import contestants, foal, load, overhead, probe, processes, report, servers
from bench.servers import Server

NAME = "foal"
TOKENS = 128
AT_ONCE = (1, 8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    rounds, seconds = (2, 3) if arguments.quick else (arguments.rounds, 8)
    servers.end_on_sigterm()
    how = f"Answers of {TOKENS} tokens, directly and through Paddock in turns; medians of {rounds} rounds."
    report.header("Tokens", how)
    with tempfile.TemporaryDirectory(prefix="paddock-bench-") as name:
        folder = Path(name)
        settings = {"PADDOCK_ATTACH_KEY_FOAL": foal.KEY}
        with (
            foal.engine(folder) as engine,
            contestants.paddock(engine.url, folder, model=NAME, env=settings) as paddock,
        ):
            _measure([engine, paddock], folder, rounds, seconds)


def _measure(asked: list[Server], folder: Path, rounds: int, seconds: float) -> None:
    rows, targets = [], []
    for stream in (False, True):
        for at_once in AT_ONCE:
            what = f"{'streamed' if stream else 'plain'}, {at_once} at once"
            rates = _rates(asked, folder, rounds, seconds, stream=stream, at_once=at_once)
            medians = [statistics.median(rates[server.name]) for server in asked]
            pairs = zip(rates[asked[1].name], rates[asked[0].name], strict=True)
            ratio = statistics.median(through / direct for through, direct in pairs)
            rows.append([what, *(report.number(median) for median in medians), f"{ratio:.3f}"])
            targets.append(report.Target(f"{what}: Paddock / direct", ratio, 0.97))
    report.table(["tokens/s", *(server.name for server in asked), "ratio"], rows)
    report.targets(targets)


def _rates(
    asked: list[Server], folder: Path, rounds: int, seconds: float, *, stream: bool, at_once: int
) -> dict[str, list[float]]:
    """Tokens per second of each server, by round; the two of a round are neighbours in time."""
    rates: dict[str, list[float]] = {server.name: [] for server in asked}
    bodies = {server.name: _body(server, stream) for server in asked}
    lengths = {server.name: _length(server, bodies[server.name], stream) for server in asked}
    for turn in range(rounds + 1):  # the first one warms up
        for server in overhead.rotated(asked, turn):
            measured = load.Measured(server.port, bodies[server.name], at_once, foal.KEY)
            seen = load.run(measured, folder, seconds if turn else 1)
            processes.settle(asked[0])
            if seen.errors:
                raise RuntimeError(f"{server.name}: {seen.errors} errors")
            if turn:
                rates[server.name].append(seen.rate(lengths[server.name]) * TOKENS)
    return rates


def _body(server: Server, stream: bool) -> bytes:
    return foal.request_body(foal.MODEL if server.name == "direct" else NAME, TOKENS, stream)


def _length(server: Server, body: bytes, stream: bool) -> int:
    """Bytes of one answer, which is checked to have all its tokens."""
    with probe.connected(server.port) as connection:
        answer = connection.ask(probe.post(load.PATH, body, {"Authorization": f"Bearer {foal.KEY}"}))
    whole = answer.status == 200 and (answer.events[-1:] == [b"[DONE]"] if stream else True)
    if whole and not stream:
        whole = json.loads(answer.body)["usage"]["completion_tokens"] == TOKENS
    if whole and stream:
        whole = len(answer.events) >= TOKENS * 0.5  # bytes of a character split over tokens come together
    if not whole:
        raise RuntimeError(
            f"{server.name} does not give {TOKENS} tokens: {answer.status} {answer.body[-600:]!r}"
        )
    return answer.wire


if __name__ == "__main__":
    main()
