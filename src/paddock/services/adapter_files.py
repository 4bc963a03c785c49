"""Where the files of adapters lie, and how those go that nobody needs any more."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

from sqlalchemy import select

from paddock.services.finetunes.spec import KIND
from paddock.services.job_blobs import FORGOTTEN
from paddock.services.platform import Platform, in_thread
from paddock.store.blobs import Blob
from paddock.store.sessions import ReadSession
from paddock.store.tables import AdapterRow, JobRow

MERGING = 24 * 3600.0
"""Seconds after which files of a merged model that is not whole were left by who was killed."""


def everything(platform: Platform) -> str:
    """Below which all adapters of this store have their blobs."""
    return f"adapters/{platform.mark}"


def folder(platform: Platform, adapter_id: str) -> str:
    """Below which the blobs of an adapter lie."""
    return f"{everything(platform)}/{adapter_id}"


def merged(platform: Platform, adapter_id: str) -> str:
    """Below which those of its base with it merged in lie."""
    return f"{folder(platform, adapter_id)}/merged"


def merged_list(platform: Platform, adapter_id: str) -> str:
    """The blob that says which these are; it is there when they are whole."""
    return f"{folder(platform, adapter_id)}/merged.json"


def on_this_machine(platform: Platform) -> Path:
    """The folder of the files for llama.cpp, each called by the id of its adapter."""
    return platform.settings.data_dir / "adapters"


async def remove(platform: Platform, adapter_id: str) -> None:
    """Removes the blobs of an adapter that was deleted, its base with it merged in among them.

    Raises:
        StorageFailed: some are left; `sweep` removes them.
    """
    for blob in await platform.blobs.list(folder(platform, adapter_id)):
        await platform.blobs.delete(blob.key)


async def sweep(platform: Platform) -> None:
    """Removes what belongs to no adapter, here and in the blobs: of those that were deleted, of fine-tunes
    whose worker was killed, and of merged models that were never whole.

    Raises:
        StorageFailed: the storage cannot be had.
    """
    now = time.time()
    # Looked at before the rows: what is stored for a new one meanwhile is not among them.
    there = await platform.blobs.list(everything(platform))
    here = await in_thread(lambda: _old_files(on_this_machine(platform), now - FORGOTTEN))
    kept, coming = await platform.store.read(lambda session: (_kept(session), _coming(session)))
    whole = {_owner(blob) for blob in there if blob.key == merged_list(platform, _owner(blob))}
    for blob in there:
        owner = _owner(blob)
        if owner in coming or blob.key in kept.get(owner, ()):
            continue
        is_merged = blob.key.startswith(merged(platform, owner))
        if is_merged and owner in kept and (owner in whole or blob.written_at > now - MERGING):
            continue
        if blob.written_at < now - FORGOTTEN:
            await platform.blobs.delete(blob.key)
    # One that an engine is about to open belongs to an adapter that is there.
    gone = [path for path in here if path.suffix != ".gguf" or path.stem not in kept]
    await in_thread(lambda: _remove(gone))


def _kept(session: ReadSession) -> dict[str, set[str]]:
    """The blobs of each adapter that is there. What another worker stored before belongs to none."""
    query = select(AdapterRow.id, AdapterRow.gguf, AdapterRow.files).where(AdapterRow.deleted_at.is_(None))
    rows = session.execute(query)
    return {adapter: {gguf, *(file["blob"] for file in files)} for adapter, gguf, files in rows}


def _coming(session: ReadSession) -> set[str]:
    """The ids of adapters that will be there once their fine-tune is over: as one transaction says both, all
    others are there, or never will be.
    """
    query = select(JobRow.spec).where(JobRow.kind == KIND, JobRow.finished_at.is_(None))
    return {str(spec.get("adapter_id")) for spec in session.scalars(query)}


def _owner(blob: Blob) -> str:
    return blob.key.split("/")[2]


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


def _old_files(folder: Path, before: float) -> Iterable[Path]:
    """Those that were fetched before that time, halves that were left in the middle included."""
    if not folder.is_dir():
        return []
    return [path for path in folder.iterdir() if path.is_file() and path.stat().st_mtime < before]
