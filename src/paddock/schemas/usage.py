"""What the ledger has of a request."""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """What many requests have in common. Empty texts where there is none of it.

    One object stands for as many of them as can be: to write what they share takes no time then. Two of them
    with the same values are written well, but one by one.

    Attributes:
        key: the id of the key that they came with; empty for those without a key.
        model: the name of the weights; of an adapter those of its base.
        deployment: its name; `adapter` is the adapter's name.
        job: the batch that asked.
        outcome: `ok`, `aborted` (the caller left) or an error's code.
    """

    project: str
    key: str
    model: str
    adapter: str
    deployment: str
    job: str
    outcome: str
    status: int
    streamed: bool


class Entry(NamedTuple):
    """One request that was let through to a model.

    Attributes:
        id: the `request_id`.
        at: when it was over, in seconds since 1970.
        latency: in seconds, from the whole request to the whole answer.
        first_token: in seconds; 0.0 if nothing was streamed.
        cost: in billionths of the currency: see `schemas.limits.NANO`.
    """

    series: Series
    id: str
    at: float
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    latency: float
    first_token: float
    cost: int


EACH = Entry._fields[1:]
"""What each entry of a series has for itself."""
AT = EACH.index("at")
_WIDTH = len(EACH)


class Entries:
    """Entries that are to be written: of each series the values of the one after the other in one list, so
    that none is an object more that is made, lies in memory and is taken apart again.
    """

    __slots__ = ("_values",)

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self._values: defaultdict[Series, list[Any]] = defaultdict(list)
        for entry in entries:
            self.add(entry.series, entry[1:])

    def __len__(self) -> int:
        return sum(map(len, self._values.values())) // _WIDTH

    def __iter__(self) -> Iterator[Entry]:
        for series, values in self._values.items():
            for row in rows_of(values):
                yield Entry(series, *row)

    def add(self, series: Series, values: tuple[str, float, int, int, int, float, float, int]) -> None:
        """
        Args:
            values: as `EACH` has them. Entries come in the order of their times.
        """
        self._values[series] += values

    def by_series(self) -> Iterable[tuple[Series, Sequence[Any]]]:
        """The values of all entries of each series that has some, `EACH` after `EACH`."""
        return self._values.items()

    def take(self, count: int) -> Entries:
        """Takes so many out, or all if there are not more, series after series."""
        taken = Entries()
        for series in list(self._values):
            if count <= 0:
                break
            values = self._values[series]
            if len(values) <= count * _WIDTH:
                found = self._values.pop(series)
            else:
                found = values[: count * _WIDTH]
                del values[: count * _WIDTH]
            taken._values[series] = found
            count -= len(found) // _WIDTH
        return taken

    def drop_oldest(self, count: int) -> int:
        """Forgets so many of those that are there, and what came in the same moment as the last of them.
        Returns how many.
        """
        before = len(self)
        times = sorted(itertools.chain.from_iterable(one[AT::_WIDTH] for one in self._values.values()))
        for series, values in list(self._values.items()):
            del values[: bisect_right(values[AT::_WIDTH], times[count - 1]) * _WIDTH]
            if not values:
                del self._values[series]
        return before - len(self)


def rows_of(values: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """`EACH` of every entry of a series, of which the values stand one after the other."""
    return (values[first : first + _WIDTH] for first in range(0, len(values), _WIDTH))
