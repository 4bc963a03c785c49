"""What one process has counted, in a form that can be added to what others have."""

from __future__ import annotations

import contextlib
import os
import time
from bisect import bisect_left
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import orjson

Key = TypeVar("Key")
GONE_SECONDS = 10.0
"""After so long without a sign of life, a process has nothing in flight any more."""
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)


class Histogram:
    """Counts of values below each of `BUCKETS`, and their sum."""

    __slots__ = ("counts", "total")

    def __init__(self, counts: list[int] | None = None, total: float = 0.0) -> None:
        self.counts = counts or [0] * (len(BUCKETS) + 1)
        self.total = total

    def add(self, value: float) -> None:
        self.counts[bisect_left(BUCKETS, value)] += 1
        self.total += value

    def merge(self, other: Histogram) -> None:
        self.counts = [mine + theirs for mine, theirs in zip(self.counts, other.counts, strict=True)]
        self.total += other.total

    def buckets(self) -> list[tuple[str, float]]:
        """Cumulative counts with their upper bounds."""
        result: list[tuple[str, float]] = []
        running = 0
        for bound, count in zip((*map(str, BUCKETS), "+Inf"), self.counts, strict=True):
            running += count
            result.append((bound, running))
        return result


@dataclass(slots=True)
class Counts:
    """
    Attributes:
        requests: by route, model and status.
        durations: by route and model.
        first_tokens: by model.
        tokens: prompt, completion and cached prompt tokens, by model.
        costs: of answers, by model, in billionths of the currency.
        broken: streams that ended before they were whole, by model and reason.
        totals: what else only ever grows, by its name.
        in_flight: requests at engines now, by deployment.
        waiting: requests that wait for a replica now, by deployment.
    """

    requests: dict[tuple[str, str, int], int] = field(default_factory=dict)
    durations: dict[tuple[str, str], Histogram] = field(default_factory=dict)
    first_tokens: dict[str, Histogram] = field(default_factory=dict)
    tokens: dict[str, list[int]] = field(default_factory=dict)
    costs: dict[str, int] = field(default_factory=dict)
    broken: dict[tuple[str, str], int] = field(default_factory=dict)
    totals: dict[str, int] = field(default_factory=dict)
    in_flight: dict[str, int] = field(default_factory=dict)
    waiting: dict[str, int] = field(default_factory=dict)

    def add(self, other: Counts) -> None:
        for pair, histogram in other.durations.items():
            self.durations.setdefault(pair, Histogram()).merge(histogram)
        for model, histogram in other.first_tokens.items():
            self.first_tokens.setdefault(model, Histogram()).merge(histogram)
        for model, three in other.tokens.items():
            mine = self.tokens.setdefault(model, [0, 0, 0])
            self.tokens[model] = [one + two for one, two in zip(mine, three, strict=True)]
        _add(self.requests, other.requests)
        _add(self.costs, other.costs)
        _add(self.broken, other.broken)
        _add(self.totals, other.totals)
        _add(self.in_flight, other.in_flight)
        _add(self.waiting, other.waiting)

    def dump(self) -> bytes:
        return orjson.dumps(
            {
                "requests": [[*key, count] for key, count in self.requests.items()],
                "durations": [[*key, one.counts, one.total] for key, one in self.durations.items()],
                "first_tokens": [[key, one.counts, one.total] for key, one in self.first_tokens.items()],
                "tokens": self.tokens,
                "costs": self.costs,
                "broken": [[*key, count] for key, count in self.broken.items()],
                "totals": self.totals,
                "in_flight": self.in_flight,
                "waiting": self.waiting,
            }
        )

    @classmethod
    def load(cls, data: bytes) -> Counts:
        raw: dict[str, Any] = orjson.loads(data)
        return cls(
            {(route, model, status): count for route, model, status, count in raw["requests"]},
            {(route, model): Histogram(counts, total) for route, model, counts, total in raw["durations"]},
            {model: Histogram(counts, total) for model, counts, total in raw["first_tokens"]},
            raw["tokens"],
            raw["costs"],
            {(model, reason): count for model, reason, count in raw["broken"]},
            raw["totals"],
            raw["in_flight"],
            raw["waiting"],
        )


def _add(mine: dict[Key, int], theirs: dict[Key, int]) -> None:
    for key, count in theirs.items():
        mine[key] = mine.get(key, 0) + count


class Shelf:
    """A folder in which several processes of one server lay down what they have counted.

    Whoever is asked for the metrics adds up all that lies there. A process that ended leaves its counts, so
    that no sum ever goes down; what it had in flight counts no more.
    """

    def __init__(self, folder: Path, identity: str) -> None:
        self._file = folder / f"{identity}.counts"
        self._laid = b""

    def lay_down(self, counts: Counts) -> None:
        """To be called every second at least, as a sign of life too.

        Raises:
            OSError: the disk is full, or the folder is gone.
        """
        data = counts.dump()
        if data == self._laid:
            os.utime(self._file)
            return
        part = self._file.with_suffix(".part")
        part.write_bytes(data)
        part.replace(self._file)
        self._laid = data

    def all(self) -> Counts:
        """What all processes have counted, as of their last second."""
        total = Counts()
        for file in sorted(self._file.parent.glob("*.counts")):
            with contextlib.suppress(OSError):
                counts = Counts.load(file.read_bytes())
                if time.time() - file.stat().st_mtime > GONE_SECONDS:
                    counts.in_flight = counts.waiting = {}
                total.add(counts)
        return total
