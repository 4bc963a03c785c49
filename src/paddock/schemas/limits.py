"""What a key or a project may use, as plain data for the sides that never import each other."""

from __future__ import annotations

from dataclasses import dataclass

NANO = 10**9
"""Money is counted in whole billionths of the currency, so that sums are exact."""


@dataclass(frozen=True, slots=True)
class Limits:
    """None is no limit.

    Attributes:
        requests_per_minute: in any 60 seconds.
        tokens_per_minute: of prompts and answers together, in any 60 seconds.
        concurrent_requests: being answered at once.
        budget: in billionths of the currency (`NANO`), for each `budget_period`.
        budget_period: `day`, `month` (both of UTC) or `total`.
    """

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrent_requests: int | None = None
    budget: int | None = None
    budget_period: str = "month"

    def __bool__(self) -> bool:
        """Whether there is any."""
        return not (
            self.requests_per_minute is None
            and self.tokens_per_minute is None
            and self.concurrent_requests is None
            and self.budget is None
        )
