"""What the ledger has of a request."""

from __future__ import annotations

from typing import NamedTuple

Values = tuple[
    str, float, str, str, str, str, str, str, str, int, bool, int, int, int, float, float, int
]  # fmt: skip
"""An `Entry` without names."""


class Entry(NamedTuple):
    """One request that was let through to a model. Empty texts where there is none of it.

    Attributes:
        id: the `request_id`.
        at: when it was over, in seconds since 1970.
        key: the id of the key that it came with; empty for one without a key.
        model: the name of the weights; of an adapter those of its base.
        deployment: its name; `adapter` is the adapter's name.
        job: the batch that asked.
        outcome: `ok`, `aborted` (the caller left) or an error's code.
        latency: in seconds, from the whole request to the whole answer.
        first_token: in seconds; 0.0 if nothing was streamed.
        cost: in billionths of the currency: see `schemas.limits.NANO`.
    """

    id: str
    at: float
    project: str
    key: str
    model: str
    adapter: str
    deployment: str
    job: str
    outcome: str
    status: int
    streamed: bool
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    latency: float
    first_token: float
    cost: int
