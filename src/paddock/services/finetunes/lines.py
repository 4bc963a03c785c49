"""The lines of a file of training rows, as text with numbers."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, NamedTuple

from paddock.services import lines

JSON = dict[str, Any]
LONGEST_ROW = 4 * 2**20
"""Bytes of one row, many times what any model's context holds."""
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


async def numbered(pieces: AsyncIterator[bytes]) -> AsyncGenerator[Line, None]:
    """Each line, blank ones too. Others have their turns meanwhile.

    Raises:
        LineTooLong: one has more than `LONGEST_ROW` bytes; there is no use in reading on.
    """
    async for number, line in lines.numbered(pieces, LONGEST_ROW):
        yield _decoded(number, line.removeprefix(_MARK) if number == 1 else line)


def _decoded(number: int, line: bytes) -> Line:
    try:
        return Line(number, line.decode())
    except UnicodeDecodeError as error:
        return Line(number, line.decode(errors="replace"), error.start + 1)
