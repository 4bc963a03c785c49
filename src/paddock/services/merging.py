"""Whole models made of an adapter and its base, for who downloads them: W + scale·B·A.

Each is made when it is first asked for, tensor by tensor straight into the blobs, and stays there until the
adapter is deleted. A list of its files is written last: without the list there is none.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import secrets
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from paddock.errors import (
    Fenced,
    NotFound,
    PaddockError,
    StartupError,
    StorageFailed,
    StoreFailed,
    UnsupportedParameter,
)
from paddock.services import adapter_files, adapters, blob_files, tuned_files
from paddock.services.adapters import Adapter
from paddock.services.blob_files import StoredFile
from paddock.services.platform import Platform, in_thread
from paddock.store import leases
from paddock.store.blobs import new_blob
from paddock.weights.resolve import resolve

if TYPE_CHECKING:
    from paddock.weights.merging import MergedFile

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.5
"""Between two looks whether another process has finished the same."""
_RETRY_AFTER = 30.0


async def merged_files(platform: Platform, adapter_id: str) -> list[StoredFile] | None:
    """The files of the merged model, None if it was not made yet."""
    try:
        pieces = platform.blobs.read(adapter_files.merged_list(platform, adapter_id))
        raw = b"".join([piece async for piece in pieces])
    except NotFound:
        return None
    return [StoredFile(**one) for one in orjson.loads(raw)]


class Merger:
    """Makes merged models, each of them once, however many ask for it and in however many processes. Who asks
    may leave: it is made all the same, and is there for who asks again.
    """

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._making: dict[str, asyncio.Task[list[StoredFile]]] = {}

    async def files(self, project: str, adapter: Adapter) -> list[StoredFile]:
        """
        Raises:
            NotFound: the adapter was deleted meanwhile.
            UnsupportedParameter: it cannot be merged; says why.
            StorageFailed: the disk is full, or cannot be read.
        """
        if (found := await merged_files(self._platform, adapter.id)) is not None:
            return found
        task = self._making.get(adapter.id)
        if task is None:
            task = self._making[adapter.id] = asyncio.create_task(self._make(project, adapter))
            task.add_done_callback(lambda ended: self._forget(adapter, ended))
        return await asyncio.shield(task)

    def _forget(self, adapter: Adapter, ended: asyncio.Task[list[StoredFile]]) -> None:
        del self._making[adapter.id]
        if not ended.cancelled() and (error := ended.exception()) is not None:
            log.warning("%s was not merged with its base: %s", adapter.name, error)

    async def _make(self, project: str, adapter: Adapter) -> list[StoredFile]:
        platform = self._platform
        async with _alone(platform, f"merge:{adapter.id}") as is_alone:
            if (found := await merged_files(platform, adapter.id)) is not None:
                return found
            try:
                files = await _merge(platform, adapter)
            except PaddockError:
                # Who was taken for dead leaves alone what the next one makes.
                if await is_alone():
                    await _clear(platform, adapter.id)
                await self._check(project, adapter)
                raise
            await self._check(project, adapter)
            return files

    async def _check(self, project: str, adapter: Adapter) -> None:
        """Who deleted it meanwhile may have cleared away before the last of this was written.

        Raises:
            NotFound: it was deleted; nothing is left of it.
        """
        try:
            await adapters.get(self._platform, project, adapter.id)
        except NotFound:
            await _clear(self._platform, adapter.id)
            raise


@contextlib.asynccontextmanager
async def _alone(platform: Platform, name: str) -> AsyncIterator[Callable[[], Awaitable[bool]]]:
    """A block that one process at a time is in, and a way to ask whether it still is alone there. Who is
    taken for dead may go on writing: the next one writes the same bytes.
    """
    holder, store = secrets.token_hex(8), platform.store
    while True:
        held = await store.read(lambda session: leases.holder(session, name))
        if held is None or held[1] <= time.time():
            fence = await store.change(lambda session: leases.acquire(session, name, holder, time.time()))
            if fence is not None:
                break
        await asyncio.sleep(LOOK_SECONDS)

    async def renew() -> None:
        while True:
            await asyncio.sleep(leases.SECONDS / 3)
            with contextlib.suppress(Fenced, StoreFailed):
                await store.write(lambda session: leases.renew(session, name, fence, time.time()))

    async def is_alone() -> bool:
        try:
            await store.read(lambda session: leases.check(session, name, fence))
        except Fenced:
            return False
        return True

    async def release() -> None:
        # Otherwise it runs out in a moment, as when this process ends, whose store may be closed by then.
        with contextlib.suppress(StoreFailed):
            await store.change(lambda session: leases.release(session, name, fence))

    renewing = asyncio.create_task(renew())
    try:
        yield is_alone
    except Exception:
        await release()
        raise
    else:
        await release()
    finally:
        renewing.cancel()


async def _merge(platform: Platform, adapter: Adapter) -> list[StoredFile]:
    """Its files, all of them in the blobs, and the list of them."""
    where, files = adapter_files.merged(platform, adapter.id), []
    try:
        with tempfile.TemporaryDirectory(prefix="paddock-") as folder:
            for one in await _plan(platform, adapter, Path(folder)):
                blob = f"{where}/{one.name}"
                size, digest = await blob_files.keep_pieces(platform.blobs, one.read(), blob)
                files.append(StoredFile(one.name, blob, size, digest))
    except StartupError as error:
        raise UnsupportedParameter(
            f"download_format: {adapter.name} cannot be merged with its base: {error.message}",
            param="download_format",
        ) from error
    except OSError as error:
        reason = error.strerror or error
        raise StorageFailed(f"{adapter.name} was not merged: {reason}", retry_after=_RETRY_AFTER) from error
    async with new_blob(platform.blobs, adapter_files.merged_list(platform, adapter.id)) as writer:
        await writer.write(orjson.dumps([dataclasses.asdict(file) for file in files]))
    return files


async def _plan(platform: Platform, adapter: Adapter, folder: Path) -> list[MergedFile]:
    """
    Args:
        folder: where the adapter's own files are put, which must stay until all is read.
    """
    for file in adapter.files:
        await blob_files.fetch(platform.blobs, file.blob, folder / file.name)
    await tuned_files.bring(platform, adapter.source)

    def plan() -> list[MergedFile]:
        # numpy takes a tenth of a second to import, which a start of the server must not pay.
        from paddock.weights.merging import plan_merge

        base = resolve(adapter.source, models=platform.settings.data_dir / "models")
        return plan_merge(base.path, folder)

    return await in_thread(plan)


async def _clear(platform: Platform, adapter_id: str) -> None:
    """Half of a model is of no use to anybody, above all on a full disk."""
    try:
        await platform.blobs.delete(adapter_files.merged_list(platform, adapter_id))
        for blob in await platform.blobs.list(adapter_files.merged(platform, adapter_id)):
            await platform.blobs.delete(blob.key)
    except StorageFailed as error:
        log.warning("what was merged of %s stays until it is swept away: %s", adapter_id, error.message)
