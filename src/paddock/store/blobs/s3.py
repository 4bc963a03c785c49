"""Blobs as objects of S3-compatible storage. AWS's own variables say the credentials, region and endpoint."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from paddock.errors import NotFound, StartupError, StorageFailed
from paddock.store.blobs.blobs import PIECE, Blob, BlobWriter

if TYPE_CHECKING:
    from obstore.store import RetryConfig

PART = 8 * 2**20
"""Bytes of one part of an upload, of which S3 takes at most 10,000."""
PARTS_AT_ONCE = 2
RANGE = 4 * 2**20
"""Bytes that one request reads. A reader may be slower than any request's time-out, so none reads it all."""
_RETRY_AFTER = 30.0
# Whoever waits for storage that is away is told so before their own patience ends.
_RETRIES: RetryConfig = {"max_retries": 6, "retry_timeout": timedelta(seconds=60)}


class S3Blobs:
    """
    Args:
        url: `s3://BUCKET` or `s3://BUCKET/PREFIX`.

    Raises:
        StartupError: the address or one of AWS's variables is not understood.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        try:
            # Options for the HTTP client would replace those that come from the environment.
            self._store = S3Store.from_url(url, retry_config=_RETRIES)
        except (BaseError, ValueError) as error:
            raise StartupError(f"blobs = {url!r} is not understood: {_reason(error)}") from error

    async def writer(self, key: str) -> BlobWriter:
        return _Writer(self, self._store, key)

    async def read(self, key: str, offset: int = 0) -> AsyncGenerator[bytes, None]:
        size = await self.size(key)
        for start in range(offset, size, RANGE):
            with self.failures(), _found(key):
                end = min(start + RANGE, size)
                found = bytes(await obstore.get_range_async(self._store, key, start=start, end=end))
            for begin in range(0, len(found), PIECE):
                yield found[begin : begin + PIECE]

    async def delete(self, key: str) -> None:
        with self.failures(), contextlib.suppress(FileNotFoundError):
            await obstore.delete_async(self._store, key)

    async def size(self, key: str) -> int:
        with self.failures(), _found(key):
            return int((await obstore.head_async(self._store, key))["size"])

    async def list(self, prefix: str) -> list[Blob]:
        found = []
        with self.failures():
            async for batch in obstore.list(self._store, prefix):
                found += [Blob(one["path"], one["size"], one["last_modified"].timestamp()) for one in batch]
        return sorted(found, key=lambda blob: blob.key)

    async def sweep(self, before: float) -> int:
        """Parts of uploads whose writer was killed are the bucket's to clear, by a rule for incomplete
        multipart uploads; nothing can list them through this interface.
        """
        return 0

    @contextlib.contextmanager
    def failures(self) -> Iterator[None]:
        """What is raised inside, in our words."""
        try:
            yield
        except (BaseError, OSError) as error:
            raise StorageFailed(
                f"the storage {self.url} failed: {_reason(error)}", retry_after=_RETRY_AFTER
            ) from error


class _Aborted(Exception):
    pass


class _Writer:
    """Feeds one upload, which is begun with the first piece. An upload whose source fails is withdrawn by the
    library, its parts included.
    """

    def __init__(self, blobs: S3Blobs, store: S3Store, key: str) -> None:
        self._blobs = blobs
        self._store = store
        self._key = key
        self._pieces: asyncio.Queue[bytes | _Aborted | None] = asyncio.Queue(1)
        self._upload: asyncio.Future[Any] | None = None

    async def write(self, piece: bytes) -> None:
        if piece:
            await self._give(piece)

    async def commit(self) -> None:
        await self._give(None)
        with self._blobs.failures():
            await asyncio.shield(self._begun())

    async def abort(self) -> None:
        if self._upload is None:
            return
        with contextlib.suppress(StorageFailed):
            if not self._upload.done():
                await self._give(_Aborted())
            await asyncio.wait([self._upload])
        if not self._upload.cancelled():
            self._upload.exception()

    async def _give(self, piece: bytes | _Aborted | None) -> None:
        upload = self._begun()
        giving = asyncio.ensure_future(self._pieces.put(piece))
        try:
            await asyncio.wait([giving, upload], return_when=asyncio.FIRST_COMPLETED)
        finally:
            giving.cancel()
        if upload.done():
            with self._blobs.failures():
                upload.result()

    def _begun(self) -> asyncio.Future[Any]:
        if self._upload is None:
            self._upload = asyncio.ensure_future(
                obstore.put_async(
                    self._store,
                    self._key,
                    self._source(),
                    use_multipart=True,
                    chunk_size=PART,
                    max_concurrency=PARTS_AT_ONCE,
                )
            )
        return self._upload

    async def _source(self) -> AsyncIterator[bytes]:
        while (piece := await self._pieces.get()) is not None:
            if isinstance(piece, _Aborted):
                raise piece
            yield piece


@contextlib.contextmanager
def _found(key: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise NotFound(f"the stored bytes {key} are not there", code="blob_not_found") from None


def _reason(error: Exception) -> str:
    # The library's messages go on with its own structures, and with the storage's answer as XML.
    return str(error).strip().splitlines()[0][:300] if str(error).strip() else type(error).__name__
