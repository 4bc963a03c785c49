"""The lines of a text that comes in pieces."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator

from paddock.errors import InvalidRequest

LONGEST_LINE = 32 * 2**20
"""Bytes; as much as a request's body may have by default."""
TURN = 0.005
"""Seconds of reading after which others have their turn."""


class LineTooLong(InvalidRequest):
    """
    Attributes:
        number: the line's, from 1.
    """

    code = "line_too_long"

    def __init__(self, message: str, number: int) -> None:
        super().__init__(message)
        self.number = number


async def numbered(
    pieces: AsyncIterator[bytes], longest: int | None = None
) -> AsyncGenerator[tuple[int, bytes], None]:
    """(number from 1, line without its end) of each line, blank ones too. Others have their turns meanwhile.

    Raises:
        LineTooLong: as `lines`.
    """
    number = 0
    end = time.perf_counter() + TURN
    async for _, line in lines(pieces, longest):
        number += 1
        yield number, line
        if time.perf_counter() > end:
            await asyncio.sleep(0)
            end = time.perf_counter() + TURN


async def lines(pieces: AsyncIterator[bytes], longest: int | None = None) -> AsyncIterator[tuple[int, bytes]]:
    """Each line without its end, blank ones too, and where in the text the next one begins.

    Raises:
        LineTooLong: one has more than `longest` bytes, by default `LONGEST_LINE`.
    """
    longest = LONGEST_LINE if longest is None else longest
    rest = b""
    offset = number = 0
    async for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n") if b"\n" in piece else [rest + piece]
        for line in whole:
            number += 1
            offset += len(line) + 1
            if len(line) > longest:
                raise _too_long(longest, number)
            yield offset, line
        if len(rest) > longest:
            raise _too_long(longest, number + 1)
    if rest:
        yield offset + len(rest), rest


async def rows(
    pieces: AsyncIterator[bytes], number: int, offset: int
) -> AsyncIterator[tuple[int, int, bytes]]:
    """(number, where the next one begins, row) of each line that is not blank.

    Args:
        number, offset: of the first of them, which is where `pieces` begin.
    """
    async for after, line in lines(pieces):
        if line.strip():
            yield number, offset + after, line
            number += 1


def _too_long(longest: int, number: int) -> LineTooLong:
    return LineTooLong(f"a line is longer than {longest} bytes", number)
