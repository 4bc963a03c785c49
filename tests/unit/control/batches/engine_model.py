"""An engine that divides its rate among the rows that it has, in a time of its own."""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from paddock.control.batches.window import QUIET_SECONDS, Window

Curve = Callable[[int], float]
TICK = 0.1


@dataclass
class Told:
    """What happened.

    Attributes:
        answers: (when, tokens) of each.
        limits: (when, requests of people, rows that were allowed) at every look.
    """

    answers: list[tuple[float, float]] = field(default_factory=list)
    limits: list[tuple[float, int, int]] = field(default_factory=list)

    def rate(self, begin: float, end: float) -> float:
        return sum(tokens for at, tokens in self.answers if begin <= at < end) / (end - begin)


def run(
    window: Window,
    curve: Curve,
    seconds: float,
    *,
    seed: int = 1,
    spread: float = 0.0,
    tokens: float = 100.0,
    people: Callable[[float], int] = lambda now: 0,
) -> Told:
    """Keeps the engine as full as the window allows.

    Args:
        curve: tokens a second with so many requests.
        spread: answers are so much longer or shorter than `tokens`, as a share of it.
        people: their requests at a time.
    """
    chance, told = random.Random(seed), Told()
    ends: list[tuple[float, float]] = []
    now = progress = 0.0
    asked_at = -math.inf
    while now < seconds:
        here = people(now)
        asked_at = now if here else asked_at
        limit = window.limit(now, here, asked_at)
        told.limits.append((now, here, limit))
        while len(ends) < limit:
            length = tokens * chance.uniform(1 - spread, 1 + spread)
            heapq.heappush(ends, (progress + length, length))
        each = curve(len(ends) + here) / (len(ends) + here)
        end, length = ends[0]
        if end - progress > TICK * each:
            progress, now = progress + TICK * each, now + TICK
            continue
        heapq.heappop(ends)
        now, progress = now + (end - progress) / each, end
        told.answers.append((now, length))
        window.answered(now, length, now - asked_at > QUIET_SECONDS)
    return told
