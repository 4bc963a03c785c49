"""How a batch's input is read before any of it is asked: in pieces, with all that is wrong in it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from paddock.errors import JobFailed
from paddock.schemas.jobs import problem
from paddock.services import lines
from paddock.services.lines import LineTooLong

JSON = dict[str, Any]
MOST_ERRORS = 50
"""Faults that are told of one input; with so many it is not read further."""


@dataclass(frozen=True)
class Read:
    """
    Attributes:
        total: rows.
        model: the one that all of them ask for.
        errors: what is wrong, as `schemas.jobs.JobError` has it; where there is something, no row is asked.
        fields: what else the dialect found out about all rows.
    """

    total: int
    model: str
    errors: list[JSON]
    fields: JSON = field(default_factory=dict)


async def numbered(pieces: AsyncIterator[bytes]) -> AsyncGenerator[tuple[int, bytes], None]:
    """As `services.lines.numbered`.

    Raises:
        JobFailed: a line is too long; `errors` says which.
    """
    try:
        async for found in lines.numbered(pieces):
            yield found
    except LineTooLong as error:
        fault = problem(error.code, error.message, line=error.number)
        raise JobFailed(f"line {error.number}: {error.message}", [fault]) from None
