"""Blobs as files of this machine, and the other way round."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import AsyncIterator
from pathlib import Path

from paddock.services.platform import in_thread
from paddock.store.blobs import PIECE, Blobs, new_blob


async def fetch(blobs: Blobs, key: str, path: Path) -> None:
    """Writes a blob's bytes to `path`, where nobody sees half of them.

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
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


async def keep(blobs: Blobs, path: Path, key: str) -> tuple[int, str]:
    """Stores a file's bytes: how many, and their SHA-256.

    Raises:
        StorageFailed: they cannot be written.
    """
    digest, size = hashlib.sha256(), 0
    async with new_blob(blobs, key) as writer:
        async for piece in _pieces(path):
            digest.update(piece)
            size += len(piece)
            await writer.write(piece)
    return size, digest.hexdigest()


async def _pieces(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as stream:
        while piece := await in_thread(lambda: stream.read(PIECE)):
            yield piece
