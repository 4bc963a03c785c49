"""Which replica has read the beginning of a prompt already, so that it need not be read again.

An engine keeps what it computed for a prompt and goes on from there when another one begins alike. Beginnings
are remembered at lengths of 64 bytes, 128, 256 and so on, as numbers, for the last few thousand prompts.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from random import randrange
from typing import Protocol, TypeVar
from zlib import crc32

SHORTEST = 64
LONGEST = 64 * 1024
REMEMBERED = 16_384
SLACK = 4
"""Requests that the replica may have more than the least busy one and still be the better choice."""
SHARE = 0.25
"""Of the prompt that must be known for its replica to be preferred. As not every length is remembered, twice
as much may be the same."""


class Loaded(Protocol):
    """A replica as far as it is chosen by."""

    in_flight: int


Chosen = TypeVar("Chosen", bound=Loaded)


class Affinity:
    """What one gateway has sent where, for one deployment."""

    __slots__ = ("_seen", "_turn")

    def __init__(self) -> None:
        self._seen: OrderedDict[tuple[int, int], object] = OrderedDict()
        # Of equals each gets its turn, and not every gateway begins with the same one.
        self._turn = randrange(1024)

    def choose(self, body: bytes, replicas: Sequence[Chosen]) -> Chosen:
        """Of at least one replica: the one that knows the most of the prompt, unless it is too busy."""
        self._turn += 1
        at = self._turn % len(replicas)
        least = min((*replicas[at:], *replicas[:at]), key=_load)
        prompt = prompt_of(body)
        beginnings = _beginnings(prompt)
        chosen = least
        for length, number in reversed(beginnings):
            if length < SHARE * len(prompt):
                break
            known = self._seen.get((length, number))
            # One that is gone is no longer among them.
            found = next((one for one in replicas if one is known), None)
            if found is not None:
                if found.in_flight <= least.in_flight + SLACK:
                    chosen = found
                break
        for beginning in beginnings:
            self._seen[beginning] = chosen
            self._seen.move_to_end(beginning)
        while len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)
        return chosen

    def forget(self, replica: object) -> None:
        """A replica is gone."""
        for beginning in [one for one, known in self._seen.items() if known is replica]:
            del self._seen[beginning]


def prompt_of(body: bytes) -> bytes:
    """From the prompt or the messages on, in a body that we wrote: no text can look like the field's name."""
    for name in (b'"messages":', b'"prompt":'):
        at = body.find(name)
        if at >= 0:
            return body[at : at + LONGEST]
    return b""


def _beginnings(prompt: bytes) -> list[tuple[int, int]]:
    """(length, number) of the beginnings that are remembered, the shortest first."""
    found = []
    length, number, done = SHORTEST, 0, 0
    while length <= len(prompt):
        number = crc32(prompt[done:length], number)
        found.append((length, number))
        done, length = length, 2 * length
    return found


def _load(replica: Loaded) -> int:
    return replica.in_flight
