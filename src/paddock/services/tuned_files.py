"""The files of models that fine-tunes made: brought onto a machine that needs them, and cleared away."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from paddock.errors import NotFound, StartupError
from paddock.services import blob_files, tuned_models
from paddock.services.blob_files import StoredFile
from paddock.services.job_blobs import FORGOTTEN
from paddock.services.platform import Platform, in_thread
from paddock.services.tuned_models import TunedModel
from paddock.store.tables import JobRow, TunedModelRow
from paddock.weights.resolve import TUNED, tuned_folder

Progress = Callable[[int, int], None]


async def bring(platform: Platform, source: str, progress: Progress | None = None) -> None:
    """Sees to it that `weights.resolve` finds the source's files on this machine, if a fine-tune made them.

    Each file is there whole or not at all, and fetched only if it is not: who was cut off goes on.

    Args:
        progress: called with (bytes done, bytes in total) while something is fetched.

    Raises:
        StartupError: the model was deleted, or its files cannot be written here.
        StorageFailed, StoreFailed: it cannot be had now.
    """
    if not source.startswith(TUNED):
        return
    identity = source.removeprefix(TUNED)
    files = await platform.store.read(lambda session: _files(session, identity))
    folder = _folder(platform, identity)
    lacking = [one for one in files if not _is_whole(folder / one.name, one.bytes)]
    total = sum(one.bytes for one in files)
    done = total - sum(one.bytes for one in lacking)

    def took(count: int) -> None:
        nonlocal done
        done += count
        if progress is not None:
            progress(done, total)

    try:
        await in_thread(lambda: folder.mkdir(parents=True, exist_ok=True))
        for file in lacking:
            await blob_files.fetch(platform.blobs, file.blob, folder / file.name, took)
    except NotFound as error:
        raise StartupError(f"the fine-tuned model lacks a file: {error.message}") from error
    except OSError as error:
        raise StartupError(f"cannot write {folder}: {error.strerror or error}") from error
    if cut := [one.name for one in lacking if not _is_whole(folder / one.name, one.bytes)]:
        raise StartupError(f"the fine-tuned model was not stored whole: {', '.join(cut)}")


async def remove(platform: Platform, model: TunedModel) -> None:
    """Removes the bytes of a model that was deleted, from here and from the blobs.

    Raises:
        StorageFailed: some are left; `sweep` removes them.
    """
    await in_thread(lambda: _remove_here(platform, model.id))
    for file in model.files:
        await platform.blobs.delete(file.blob)


async def sweep(platform: Platform) -> None:
    """Removes what belongs to no model: of those that were deleted, and of fine-tunes that were cut off.

    Raises:
        StorageFailed: the storage cannot be had.
    """
    # Looked at before the rows: what is stored meanwhile is not among them.
    there = await platform.blobs.list(tuned_models.everything(platform))
    here = await in_thread(lambda: list(_models_here(platform)))
    files, unfinished = await platform.store.read(_needed)
    kept = {file["blob"] for each in files.values() for file in each}
    before = time.time() - FORGOTTEN
    await in_thread(lambda: _remove_halves(here, before))
    for blob in there:
        is_worked_at = blob.key.split("/")[2] in unfinished
        if blob.key not in kept and not is_worked_at and blob.written_at < before:
            await platform.blobs.delete(blob.key)
    for folder in here:
        if folder.name not in files:
            await in_thread(lambda: _remove_here(platform, folder.name))  # noqa: B023


def _files(session: Session, identity: str) -> Sequence[StoredFile]:
    row = session.get(TunedModelRow, identity)
    if row is None or row.deleted_at is not None:
        raise StartupError(f"the fine-tuned model {row.name if row else identity} was deleted")
    return tuned_models.of(row).files


def _needed(session: Session) -> tuple[dict[str, list[Any]], set[str]]:
    """(the files of all models, by the model; the jobs that are not over)."""
    models = select(TunedModelRow.id, TunedModelRow.files).where(TunedModelRow.deleted_at.is_(None))
    unfinished = select(JobRow.id).where(JobRow.finished_at.is_(None))
    return {row[0]: row[1] for row in session.execute(models)}, set(session.scalars(unfinished))


def _is_whole(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size


def _folder(platform: Platform, model_id: str) -> Path:
    return tuned_folder(platform.settings.data_dir / "models", model_id)


def _remove_here(platform: Platform, model_id: str) -> None:
    """The checkpoint, and what engines made of it."""
    shutil.rmtree(_folder(platform, model_id), ignore_errors=True)
    for path in (platform.settings.data_dir / "gguf").glob(f"{model_id}-*"):
        path.unlink(missing_ok=True)


def _remove_halves(folders: Sequence[Path], before: float) -> None:
    """Files that were being fetched by who was killed."""
    for folder in folders:
        for path in folder.glob("*.part"):
            if path.stat().st_mtime < before:
                path.unlink(missing_ok=True)


def _models_here(platform: Platform) -> list[Path]:
    folder = _folder(platform, "")
    return list(folder.iterdir()) if folder.is_dir() else []
