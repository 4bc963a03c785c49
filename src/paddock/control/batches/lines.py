"""The lines of a text that comes in pieces."""

from __future__ import annotations

from collections.abc import AsyncIterator

from paddock.errors import InvalidRequest

LONGEST_LINE = 32 * 2**20
"""Bytes; as much as a request's body may have by default."""


async def lines(pieces: AsyncIterator[bytes], longest: int | None = None) -> AsyncIterator[tuple[int, bytes]]:
    """Each line without its end, blank ones too, and where in the text the next one begins.

    Raises:
        InvalidRequest: a line is longer than `longest` bytes.
    """
    longest = LONGEST_LINE if longest is None else longest
    rest = b""
    offset = 0
    async for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n") if b"\n" in piece else [rest + piece]
        for line in whole:
            offset += len(line) + 1
            yield offset, line
        if len(rest) > longest:
            raise InvalidRequest(f"a line is longer than {longest} bytes", code="line_too_long")
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
