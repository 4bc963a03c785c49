"""How a batch's input is read before any of it is asked: in pieces, with all that is wrong in it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from paddock.control.batches.lines import lines
from paddock.errors import InvalidRequest, JobFailed
from paddock.schemas.jobs import JobError

JSON = dict[str, Any]
MOST_ERRORS = 50
"""Faults that are told of one input; with so many it is not read further."""
TURN = 0.005
"""Seconds of reading after which others have their turn."""


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
    """(number from 1, line without its end) of each line, blank ones too. Others have their turns meanwhile.

    Raises:
        JobFailed: a line is too long; `errors` says which.
    """
    number = 0
    end = time.perf_counter() + TURN
    try:
        async for _, line in lines(pieces):
            number += 1
            yield number, line
            if time.perf_counter() > end:
                await asyncio.sleep(0)
                end = time.perf_counter() + TURN
    except InvalidRequest as error:
        fault = problem(error.code, error.message, line=number + 1)
        raise JobFailed(f"line {number + 1}: {error.message}", [fault]) from None


def problem(code: str, message: str, *, param: str | None = None, line: int | None = None) -> JSON:
    return JobError(code=code, message=message, param=param, line=line).model_dump()
