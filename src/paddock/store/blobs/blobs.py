"""What a place for blobs can do."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from typing import Protocol

PIECE = 256 * 1024
"""Bytes that are read at once."""


@dataclass(frozen=True)
class Blob:
    """
    Attributes:
        size: in bytes.
        written_at: seconds since 1970.
    """

    key: str
    size: int
    written_at: float


class BlobWriter(Protocol):
    """A blob that is being written. One call at a time; after `commit` or `abort` only `abort` is allowed.

    A cancelled call leaves only `abort` to do.
    """

    async def write(self, piece: bytes) -> None:
        """
        Raises:
            StorageFailed: the disk is full or broken, or the storage cannot be reached.
        """

    async def commit(self) -> None:
        """Makes the blob visible, whole and for good: once this returns, a power cut does not lose it.

        Raises:
            StorageFailed: as `write`; the blob is not visible, unless only its confirmation was lost.
        """

    async def abort(self) -> None:
        """What was not committed leaves nothing behind. Never raises; does nothing after `commit`."""


class Blobs(Protocol):
    """Bytes by key. Keys are made by Paddock, never by callers: words joined by `/`, as in `files/1f/09`.

    All of it raises `StorageFailed` where the storage does.
    """

    async def writer(self, key: str) -> BlobWriter:
        """For a new blob, which nobody sees before its `commit`. Who writes a key again replaces its blob."""

    def read(self, key: str, offset: int = 0) -> AsyncGenerator[bytes, None]:
        """The bytes from `offset` on, in pieces of at most `PIECE`; none from the end on.

        Raises:
            NotFound: there is no such blob; with the first piece.
        """

    async def delete(self, key: str) -> None:
        """Does nothing if there is no such blob."""

    async def size(self, key: str) -> int:
        """In bytes.

        Raises:
            NotFound: there is no such blob.
        """

    async def list(self, prefix: str) -> list[Blob]:
        """Those whose keys begin with the words `prefix`, in the order of their keys."""

    async def sweep(self, before: float) -> int:
        """Clears what writers that were killed left behind before that time; returns how much that was."""


@contextlib.asynccontextmanager
async def new_blob(blobs: Blobs, key: str) -> AsyncIterator[BlobWriter]:
    """A blob that is committed at the end of the block, and leaves nothing if that fails.

    Raises:
        StorageFailed: as `BlobWriter.commit`.
    """
    writer = await blobs.writer(key)
    try:
        yield writer
        await writer.commit()
    finally:
        await writer.abort()
