"""Twenty adapters on one deployment: tokens per second of all, and what one waits beside another's load.

`python -m bench.adapters [--quick] [--adapters 20] [--rounds 5]`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from bench import api, direct, foal, load, probe, processes, prompts, report, servers, shop, steady, tuning
from bench.api import Api
from bench.overhead import rotated
from bench.servers import Server

AT_ONCE = (8, 32)
TOKENS = 48
ROWS, EPOCHS = 20, 1
"""What each adapter learns: what it says does not count here, only whose turn it is."""
CLIENTS = 8
EVERY = 0.5
LONGEST = 1.0
PLAIN, BASE, ONE, MIXED = "base, no adapters", "base", "one adapter", "all adapters"
NOBODY, ITSELF, OTHER = "nothing", "of the same adapter", "of another adapter"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="4 adapters, one round of 64 requests")
    parser.add_argument("--adapters", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=256, help="of each kind in each round")
    parser.add_argument("--waits", type=int, default=40, help="requests whose first token is waited for")
    arguments = parser.parse_args()
    count, rounds, requests, waits = (
        (4, 1, 64, 8)
        if arguments.quick
        else (arguments.adapters, arguments.rounds, arguments.requests, arguments.waits)
    )
    servers.end_on_sigterm()
    how = (
        f"{count} adapters, each fine-tuned here, on the one deployment of a server, with one engine; beside"
        f" it a server without adapters, idle while it is not asked. {requests} chats of {TOKENS} tokens each"
        f" on kept connections, {rounds} round(s) in turns; `all adapters` are asked one after the other."
        " Ratios are medians of the rounds'. Then one adapter is asked every"
        f" {EVERY:g} s, {waits} times, while {CLIENTS} clients ask without a pause."
    )
    report.header("Adapters", how)
    with contextlib.ExitStack() as life:
        folders = [life.enter_context(tempfile.TemporaryDirectory(prefix="paddock-bench-")) for _ in range(2)]
        plain, adapted = (life.enter_context(foal.served(Path(name)))[2] for name in folders)
        with api.connected(adapted.port) as client:
            names = _made(client, adapted.port, count)
        for server in (plain, adapted):
            processes.settle(server)
        _throughput(plain, adapted, names, rounds, requests)
        longest = _fairness(adapted, names, waits)
    report.targets(
        [report.Target("first token beside another adapter's load, longest", longest, LONGEST, True, " s")]
    )


def _made(client: Api, port: int, count: int) -> list[str]:
    """The names of so many adapters, all of which answer."""
    began = time.perf_counter()
    jobs = [
        tuning.start(client, foal.MODEL, shop.pairs(number)[:ROWS], f"n{number}", n_epochs=EPOCHS)
        for number in range(count)
    ]
    names = [tuning.name_of(tuning.until_over(client, one)) for one in jobs]
    for name in names:
        tuning.first_answer(port, name, "Hello!")
    seconds = time.perf_counter() - began
    print(f"{count} adapters were learned and served after {seconds:.0f} s.\n", flush=True)
    return names


# ---- tokens per second


def _throughput(plain: Server, adapted: Server, names: Sequence[str], rounds: int, requests: int) -> None:
    """Prints the rates."""
    kinds: dict[str, tuple[Server, Sequence[str]]] = {
        PLAIN: (plain, [foal.MODEL]),
        BASE: (adapted, [foal.MODEL]),
        ONE: (adapted, names[:1]),
        MIXED: (adapted, names),
    }
    rows = []
    for at_once in AT_ONCE:
        for server in (plain, adapted):
            _rate(server, [foal.MODEL], at_once, at_once)  # warms up
        found: dict[str, list[float]] = {kind: [] for kind in kinds}
        for number in range(rounds):
            for kind in rotated(list(kinds), number):
                server, models = kinds[kind]
                found[kind].append(_rate(server, models, requests, at_once))
        for kind, rates in found.items():
            ratios = [
                f"{statistics.median(one / other for one, other in zip(rates, found[base], strict=True)):.3f}"
                for base in (BASE, PLAIN)
            ]
            rows.append([f"{kind}, {at_once} at once", f"{statistics.median(rates):,.0f}", *ratios])
    report.table(["asked", "tokens/s", f"/ {BASE}", f"/ {PLAIN}"], rows)


def _rate(server: Server, models: Sequence[str], count: int, at_once: int) -> float:
    """Tokens per second of so many answers, by the models in turns.

    Raises:
        RuntimeError: an answer is not whole.
    """
    asked = [_request(models[i % len(models)], prompt) for i, prompt in enumerate(prompts.made(count))]
    seconds, bodies = direct.answer_all(server.port, asked, at_once)
    tokens: int = sum(json.loads(body)["usage"]["completion_tokens"] for body in bodies)
    if tokens != count * TOKENS:
        raise RuntimeError(f"{count} answers have {tokens} tokens, not {TOKENS} each")
    return tokens / seconds


def _request(model: str, prompt: str) -> bytes:
    body = {**prompts.body(prompts.CHATS, prompt, TOKENS, model), "ignore_eos": True}
    return probe.post(prompts.CHATS, json.dumps(body).encode())


# ---- whose turn it is


def _fairness(server: Server, names: Sequence[str], waits: int) -> float:
    """Prints what is waited for a first token; the longest beside another adapter's load, in seconds."""
    one, other = names[0], names[1]
    found = {NOBODY: _waits(server, other, waits)}
    rates: dict[str, str] = {NOBODY: ""}
    for beside, loaded in ((ITSELF, other), (OTHER, one)):
        began = time.time()
        with steady.load(server, loaded, CLIENTS) as sent:
            time.sleep(EVERY)
            found[beside] = _waits(server, other, waits)
        steady.tell(server, sent)
        if steady.failed(sent):
            raise RuntimeError(f"{steady.failed(sent)} of {len(sent)} requests of the load failed")
        rates[beside] = f"{len(sent) / (time.time() - began):.1f}"
    rows = [
        [beside, rates[beside], f"{1e3 * statistics.median(seconds):.0f}", f"{1e3 * max(seconds):.0f}"]
        for beside, seconds in found.items()
    ]
    report.table(["load beside", "its answers/s", "first token after, median ms", "longest, ms"], rows)
    return max(found[OTHER])


def _waits(server: Server, model: str, count: int) -> list[float]:
    """Seconds to the first token of so many requests, the next one `EVERY` seconds after the one before."""
    request = probe.post(load.PATH, foal.request_body(model, TOKENS, stream=True))
    seconds = []
    for _ in range(count):
        began = time.perf_counter()
        with probe.connected(server.port) as connection:
            answer = connection.ask(request)
        if answer.status != 200 or answer.events[-1:] != [b"[DONE]"]:
            raise RuntimeError(f"{model} answered {answer.status} {answer.body[-500:]!r}")
        seconds.append(answer.first)
        time.sleep(max(0.0, began + EVERY - time.perf_counter()))
    return seconds


if __name__ == "__main__":
    main()
