"""The lines of a file of training rows, as text with numbers, and the faults that are told of one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, NamedTuple

from paddock.schemas.jobs import JobError

JSON = dict[str, Any]
LONGEST_ROW = 4 * 2**20
"""Bytes of one row, many times what any model's context holds."""
TURN = 0.005
"""Seconds of reading after which others have their turn."""
_MARK = b"\xef\xbb\xbf"


class Line(NamedTuple):
    """
    Attributes:
        number: from 1.
        text: without its line feed; bytes that are no UTF-8 are replaced.
        bad_byte: the number, from 1, of the first of those; 0 if there is none.
    """

    number: int
    text: str
    bad_byte: int = 0


class RowTooLong(Exception):
    """A line has more than `LONGEST_ROW` bytes. Its one argument is the number of that line."""


async def numbered(pieces: AsyncIterator[bytes]) -> AsyncGenerator[Line, None]:
    """Each line, blank ones too. Others have their turns meanwhile.

    Raises:
        RowTooLong: a line is; there is no use in reading on.
    """
    number = 0
    end = time.perf_counter() + TURN
    async for line in _split(pieces):
        number += 1
        if len(line) > LONGEST_ROW:
            raise RowTooLong(number)
        yield _decoded(number, line.removeprefix(_MARK) if number == 1 else line)
        if time.perf_counter() > end:
            await asyncio.sleep(0)
            end = time.perf_counter() + TURN


def fault(code: str, message: str, *, param: str | None = None, line: int | None = None) -> JSON:
    """As `schemas.jobs.JobError` has it."""
    return JobError(code=code, message=message, param=param, line=line).model_dump()


async def _split(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """A line that is too long comes as far as it was read."""
    rest: list[bytes] = []
    held = 0
    async for piece in pieces:
        first, *others = piece.split(b"\n")
        rest.append(first)
        held += len(first)
        if others:
            yield b"".join(rest)
            for line in others[:-1]:
                yield line
            rest, held = [others[-1]], len(others[-1])
        elif held > LONGEST_ROW:
            break
    if held:
        yield b"".join(rest)


def _decoded(number: int, line: bytes) -> Line:
    try:
        return Line(number, line.decode())
    except UnicodeDecodeError as error:
        return Line(number, line.decode(errors="replace"), error.start + 1)
