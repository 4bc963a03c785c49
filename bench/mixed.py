"""A load of all kinds: whole answers, streams, readers who leave, requests and engines that fail.

Each request knows afterwards what its answer said that it used. Its number is its `user`, by which the stub
engine says what it sent to whoever did not wait for the end.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from bench import answers, probe
from bench.keys import ApiKey
from bench.talking import Connection, connect, head
from paddock.gateway.limit_words import prompt_tokens

PLAIN, STREAM, USAGE = "plain", "stream", "stream with usage"
CUT, LEFT, SLOW = "reader leaves within the stream", "caller leaves at once", "slow reader"
UNKNOWN, BAD, STRANGER = "unknown model", "bad body", "unknown key"
REFUSED, DIES = "engine answers 500", "engine dies within the stream"
SHARES = {
    PLAIN: 32,
    STREAM: 14,
    USAGE: 14,
    CUT: 18,
    LEFT: 4,
    SLOW: 2,
    UNKNOWN: 3,
    BAD: 3,
    STRANGER: 2,
    REFUSED: 4,
    DIES: 4,
}
STATUS = {UNKNOWN: 404, BAD: 400, STRANGER: 401, REFUSED: 502}
"""Of an answer, where it is not 200."""
NO_ROW = frozenset({UNKNOWN, BAD, STRANGER})
"""They reach no model."""
UNSEEN = frozenset({CUT, LEFT})
"""Their callers do not see what they got; the engine knows."""
TEXT_SHARE = 0.2
"""Plain completions, of those that are not chats."""
LONGEST_PAUSE = 0.3
MODELS = {REFUSED: "refusing", DIES: "dying", UNKNOWN: "nobody"}
DIES_AFTER = 5


@dataclass(slots=True)
class Asked:
    """
    Attributes:
        key: the id of its key.
        id: of the answer, its `x-request-id`; empty if no head of one came.
        prompt, completion: tokens that it is known to have used.
        estimate: of its prompt, which counts where an engine did not come to say how long it is.
        ended_at: when its end had come, in seconds since 1970; 0.0 if it did not.
    """

    number: int
    kind: str
    key: str
    id: str = ""
    status: int = 0
    prompt: int = 0
    completion: int = 0
    ended_at: float = 0.0
    problem: str = ""
    estimate: int = 0


class Mix:
    """
    Args:
        lasting: the server may be killed and come again; otherwise a connection that breaks is a problem.

    Attributes:
        asked: all that were.
    """

    def __init__(
        self, port: int, keys: Sequence[ApiKey], chance: random.Random, *, lasting: bool = False
    ) -> None:
        self.asked: list[Asked] = []
        self._port = port
        self._keys = keys
        self._chance = chance
        self._lasting = lasting
        self._stopped = False

    async def run(self, count: int, connections: int) -> None:
        """Asks so many requests, or until it is stopped, by so many connections; to be called once."""
        numbers = iter(range(count))
        await asyncio.gather(*(self._work(numbers) for _ in range(connections)))

    def stop(self) -> None:
        """Who is being answered is answered still."""
        self._stopped = True

    async def _work(self, numbers: Iterator[int]) -> None:
        connection: Connection | None = None
        for number in numbers:
            if self._stopped:
                break
            if connection is None or connection.lost:
                connection = await connect(self._port)
            kind = self._chance.choices([*SHARES], [*SHARES.values()])[0]
            key = self._chance.choice(self._keys)
            asked = Asked(number, kind, key.id)
            self.asked.append(asked)
            await self._ask(connection, asked, key.secret)
        if connection is not None:
            connection.transport.close()

    async def _ask(self, connection: Connection, asked: Asked, secret: str) -> None:
        kind, chance = asked.kind, self._chance
        request = _request(kind, asked.number, secret, text=chance.random() < TEXT_SHARE)
        asked.estimate = prompt_tokens(len(request.partition(b"\r\n\r\n")[2]))
        if kind == LEFT:
            connection.transport.write(request)
            # Sometimes it is there already, sometimes not yet begun.
            await asyncio.sleep(chance.random() * 0.002)
            connection.leave(chance.random() < 0.5)
            return
        if kind == CUT:
            got = await connection.ask(request, pieces=chance.randrange(1, answers.CHUNKS - 16))
            asked.id, asked.status = head(got)
            connection.leave(chance.random() < 0.5)
            return
        got = await connection.ask(request, pause=chance.random() * LONGEST_PAUSE if kind == SLOW else 0.0)
        asked.id, asked.status = head(got)
        if probe.is_whole(got):
            asked.ended_at = time.time()
            read(asked, probe.parsed(bytes(got)))
        elif not self._lasting:
            asked.problem = f"its answer broke off after {len(got)} bytes"


def _request(kind: str, number: int, secret: str, *, text: bool) -> bytes:
    fields: dict[str, Any] = {
        "user": str(number),
        "model": MODELS.get(kind, answers.MODEL),
        "max_tokens": 64,
    }
    if text:
        fields["prompt"] = "What can a foal do on its first day?"
    else:
        fields["messages"] = [{"role": "user", "content": "What can a foal do on its first day?"}]
    if kind in (STREAM, USAGE, CUT, SLOW, DIES):
        fields["stream"] = True
    if kind == USAGE:
        fields["stream_options"] = {"include_usage": True}
    if kind == BAD:
        fields["max_tokens"] = "many"
    if kind == STRANGER:
        secret = "paddock_nobody"
    path = "/v1/completions" if text else "/v1/chat/completions"
    return probe.post(path, json.dumps(fields).encode(), {"Authorization": f"Bearer {secret}"})


def read(asked: Asked, answer: probe.Answer) -> None:
    """What a whole answer says that it used."""
    wanted = STATUS.get(asked.kind, 200)
    if answer.status != wanted or len(asked.id) != 32:
        asked.problem = f"status {answer.status}, not {wanted}: {answer.body[:300]!r}"
    if answer.status != 200:
        return
    if asked.kind == PLAIN:
        usage = json.loads(answer.body)["usage"]
        asked.prompt, asked.completion = usage["prompt_tokens"], usage["completion_tokens"]
        return
    events = answer.events
    whole = events[-1:] == [b"[DONE]"]
    if whole == (asked.kind == DIES):
        asked.problem = f"its stream ends with {events[-2:]!r}"
    asked.completion = sum(map(answers.holds_token, events))
    # A stream says how long its prompt was to none but who asks; the stub's are all the same.
    asked.prompt = answers.PROMPT_TOKENS if whole else asked.estimate
    if whole and asked.kind == USAGE:
        usage = json.loads(events[-2])["usage"]
        asked.prompt, asked.completion = usage["prompt_tokens"], usage["completion_tokens"]
