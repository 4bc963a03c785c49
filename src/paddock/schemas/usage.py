"""What the ledger has of a request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


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


Values = tuple[Series, str, float, int, int, int, float, float, int]
"""An `Entry` without names."""


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
