"""Blobs as files of this machine, and the other way round."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from paddock.services.platform import in_thread
from paddock.store.blobs import PIECE, Blobs, new_blob


@dataclass(frozen=True)
class StoredFile:
    """A file whose bytes lie in the blobs, under `blob`."""

    name: str
    blob: str
    bytes: int
    sha256: str


async def fetch(blobs: Blobs, key: str, path: Path, progress: Callable[[int], None] | None = None) -> None:
    """Writes a blob's bytes to `path`, where nobody sees half of them.

    Args:
        progress: told of each piece, by its size.

    Raises:
        NotFound: there is no such blob.
        StorageFailed: it cannot be read now.
        OSError: it cannot be written here.
    """
    part = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
    try:
        with part.open("wb") as stream:
            async for piece in blobs.read(key):
                await in_thread(lambda: stream.write(piece))  # noqa: B023
                if progress is not None:
                    progress(len(piece))
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


async def keep(blobs: Blobs, path: Path, key: str) -> tuple[int, str]:
    """Stores a file's bytes: how many, and their SHA-256.

    Raises:
        StorageFailed: they cannot be written.
    """
    return await keep_pieces(blobs, _pieces(path), key)


async def keep_pieces(blobs: Blobs, pieces: Iterator[bytes], key: str) -> tuple[int, str]:
    """Stores bytes as they come: how many, and their SHA-256. Each piece is made in a thread, so that making
    it may take its time.

    Raises:
        StorageFailed: they cannot be written. And whatever the pieces do.
    """
    digest, size = hashlib.sha256(), 0

    def take() -> bytes:
        piece = next(pieces, b"")
        digest.update(piece)
        return piece

    async with new_blob(blobs, key) as writer:
        while piece := await in_thread(take):
            size += len(piece)
            await writer.write(piece)
    return size, digest.hexdigest()


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as stream:
        while piece := stream.read(PIECE):
            yield piece
