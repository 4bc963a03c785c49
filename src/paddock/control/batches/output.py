"""A batch's answers in the order of its rows, as its output has them."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator

from paddock.control.batches.keeper import entries
from paddock.services.batches import journal
from paddock.services.batches.journal import Kept
from paddock.services.lines import lines
from paddock.services.platform import Platform
from paddock.store.blobs import PIECE


async def answers(
    platform: Platform, job_id: str, kept: Kept, total: int
) -> AsyncIterator[tuple[bool, bytes]]:
    """(failed, body) of every row that has an answer."""
    for segment in kept.segments:
        async for _, line in lines(platform.blobs.read(segment.blob), sys.maxsize):
            yield line[:1] == journal.FAILED, line[1:]
    async for entry in entries(platform.store, job_id, kept.end, total):
        yield entry.failed, entry.body


async def as_lines(found: AsyncIterator[tuple[bool, bytes]], failed: bool) -> AsyncIterator[bytes]:
    """Those that failed, or those that did not, one a line, in pieces."""
    gathered = bytearray()
    async for is_failed, body in found:
        if is_failed is not failed:
            continue
        gathered += body + b"\n"
        if len(gathered) >= PIECE:
            yield bytes(gathered)
            gathered.clear()
    yield bytes(gathered)


async def as_list(found: AsyncIterator[tuple[bool, bytes]], total: int) -> AsyncIterator[bytes]:
    """All of them as one JSON list, in pieces.

    Raises:
        AssertionError: there are not as many as there are rows.
    """
    gathered = bytearray(b"[")
    count = 0
    async for _, body in found:
        gathered += (b",\n" if count else b"\n") + body
        count += 1
        if len(gathered) >= PIECE:
            yield bytes(gathered)
            gathered.clear()
    if count != total:
        raise AssertionError(f"{count} of {total} rows have an answer")
    yield bytes(gathered) + b"\n]\n"
