"""Answers of the stub engine as each server relays them: what is loaded, and that all of it came."""

from __future__ import annotations

from bench import answers, load, probe
from bench.servers import Server

CORES = 2
CONNECTIONS = 64
PLAIN, STREAM, SINGLY = "plain", "stream", "stream, chunk by chunk"
KINDS = (PLAIN, STREAM, SINGLY)
COALESCED = 8
WHAT = (
    f"A stub engine, {CONNECTIONS} connections from wrk; plain answers of {len(answers.plain(answers.CHAT))}"
    f" bytes, streamed ones of {answers.CHUNKS} chunks, of which the engine puts {COALESCED} into one write,"
    f" or one. All servers run all the time on the same {CORES} cores and are loaded in turn"
)


def chunks_at_once(kind: str) -> int:
    """How many chunks the engine is to put into one write."""
    return COALESCED if kind == STREAM else 1


def measured(server: Server, kind: str, key: str = load.NO_KEY) -> load.Measured:
    return load.Measured(server.port, load.request_body(kind != PLAIN), CONNECTIONS, key)


def answer_lengths(server: Server, key: str = load.NO_KEY) -> dict[str, int]:
    """Bytes of an answer of each kind, once each has been checked in full: it takes two requests."""
    headers = {"Authorization": f"Bearer {key}"}
    with probe.connected(server.port) as connection:
        plain = connection.ask(probe.post(load.PATH, load.request_body(stream=False), headers))
        stream = connection.ask(probe.post(load.PATH, load.request_body(stream=True), headers))
    probe.check_plain(plain, answers.SENTENCE)
    probe.check_stream(stream, answers.STREAMED, answers.CHUNKS)
    return {PLAIN: plain.wire, STREAM: stream.wire, SINGLY: stream.wire}


def check(server: Server, kind: str, seen: load.Load, length: int) -> None:
    """Raises RuntimeError when wrk saw an error, or answers shorter than the one that was checked in full.

    A server may put several of the engine's chunks into one of its own: then some framing bytes are missing.
    """
    if seen.errors or not seen.answers or seen.bytes < seen.answers * length * 0.95:
        what = f"{seen.errors} errors, {seen.answers} answers of {length} bytes in {seen.bytes} bytes"
        raise RuntimeError(f"{server.name}, {kind}: {what}")
