"""An answer of the ledger as JSON and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

from paddock.schemas.limits import NANO
from paddock.services.usage.query import Answer
from paddock.services.usage.record import MEASURES

_COST = MEASURES.index("cost")


def as_json(answer: Answer, group_by: Sequence[str], currency: str) -> dict[str, Any]:
    """`data`, with a dictionary for each group, and `total`. Where a group has no value for a field, it is
    None.
    """
    return {
        "data": [
            {
                **{name: value or None for name, value in zip(group_by, names, strict=True)},
                **_shown(found, currency),
            }
            for names, found in answer.groups
        ],
        "total": _shown(answer.total, currency),
    }


def as_csv(answer: Answer, group_by: Sequence[str], currency: str) -> str:
    """A line for each group below one with the columns' names, as RFC 4180 has it."""
    text = io.StringIO()
    writer = csv.writer(text)
    before, after = MEASURES[:_COST], MEASURES[_COST + 1 :]
    writer.writerow([*group_by, *before, "cost", "currency", *after])
    for names, found in answer.groups:
        writer.writerow([*names, *found[:_COST], amount(found[_COST]), currency, *found[_COST + 1 :]])
    return text.getvalue()


def amount(cost: int) -> str:
    """Billionths of a currency in decimal digits, exactly: `0.0012`."""
    whole, part = divmod(abs(cost), NANO)
    digits = f"{part:09d}".rstrip("0")
    return f"{'-' if cost < 0 else ''}{whole}{'.' if digits else ''}{digits}"


def _shown(found: Sequence[int], currency: str) -> dict[str, Any]:
    shown: dict[str, Any] = dict(zip(MEASURES, found, strict=True))
    shown["cost"] = {"amount": found[_COST] / NANO, "currency": currency}
    return shown
