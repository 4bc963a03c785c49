"""A fine-tune's work folder: filled from the blobs, and what it makes brought into them."""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path

from sqlalchemy import select

from paddock.errors import JobFailed, StartupError, StorageFailed
from paddock.services import blob_files
from paddock.services.blob_files import StoredFile
from paddock.services.platform import Platform, in_thread
from paddock.store.tables import JobRow

GGUF = "adapter.gguf"
CARD = "README.md"
_RETRY_AFTER = 30.0


async def make(platform: Platform, job_id: str, fence: int) -> Path:
    """An empty folder. Each worker has its own, so that one that was taken for dead spoils nothing; what
    those before left goes, lest a large model fills the disk.

    Raises:
        StorageFailed: it cannot be made.
    """
    path = _folder(platform, job_id) / str(fence)

    def work() -> None:
        for left in path.parent.glob("*"):
            if left.name.isdecimal() and int(left.name) <= fence:
                shutil.rmtree(left, ignore_errors=True)
        path.mkdir(parents=True)

    try:
        await in_thread(work)
    except OSError as error:
        raise _failed(path, error) from error
    return path


async def remove(platform: Platform, job_id: str) -> None:
    """All that the job has on this machine."""
    await in_thread(lambda: shutil.rmtree(_folder(platform, job_id), ignore_errors=True))


async def sweep(platform: Platform) -> None:
    """Removes what jobs left on this machine that are over: whoever was killed at their end could not.

    Raises:
        StoreFailed: the store cannot be read.
    """
    # Looked at before the jobs: what is made for a new one meanwhile is not among them.
    there = await in_thread(lambda: list(_everything(platform).glob("*")))
    unfinished = await platform.store.read(
        lambda session: set(session.scalars(select(JobRow.id).where(JobRow.finished_at.is_(None))))
    )
    for path in there:
        if path.name not in unfinished:
            await in_thread(lambda: shutil.rmtree(path, ignore_errors=True))  # noqa: B023


async def fetch(platform: Platform, blob: str, path: Path) -> None:
    """
    Raises:
        StorageFailed: it cannot be read, or not be written here.
    """
    try:
        await blob_files.fetch(platform.blobs, blob, path)
    except OSError as error:
        raise _failed(path, error) from error


async def keep_folder(platform: Platform, path: Path, blob: str) -> None:
    """Stores a folder as one blob.

    Raises:
        StorageFailed: it cannot be written.
        FileNotFoundError: the folder is gone.
    """
    packed = path.with_name(f"{path.name}.tar")
    try:
        await in_thread(lambda: _pack(path, packed))
        await keep_file(platform, packed, blob)
    finally:
        packed.unlink(missing_ok=True)


async def fetch_folder(platform: Platform, blob: str, path: Path) -> None:
    """The folder `path` as it was when it was stored.

    Raises:
        StorageFailed: it cannot be read, or not be written here.
    """
    packed = path.with_name(f"{path.name}.tar")
    path.parent.mkdir(parents=True, exist_ok=True)
    await fetch(platform, blob, packed)

    def unpack() -> None:
        with tarfile.open(packed) as archive:
            archive.extractall(path.parent, filter="data")
        packed.unlink()

    try:
        await in_thread(unpack)
    except OSError as error:
        raise _failed(path, error) from error


async def keep_file(platform: Platform, path: Path, blob: str) -> StoredFile:
    """Stores a file's bytes.

    Raises:
        StorageFailed: they cannot be written.
    """
    size, digest = await blob_files.keep(platform.blobs, path, blob)
    return StoredFile(path.name, blob, size, digest)


async def convert(folder: Path, base: Path) -> Path:
    """The adapter in the folder as llama.cpp reads it.

    Raises:
        JobFailed: llama.cpp cannot read such a one.
    """
    # numpy and gguf take a fifth of a second to import, which a start of the server must not pay.
    from paddock.engines.llama_cpp.gguf.adapter import write_adapter

    target = folder.with_name(GGUF)
    try:
        await in_thread(lambda: write_adapter(folder, base, target))
    except StartupError as error:
        raise JobFailed(f"what was learned cannot be served: {error.message}") from error
    return target


def _pack(path: Path, target: Path) -> None:
    with tarfile.open(target, "w") as archive:
        archive.add(path, path.name)


def _folder(platform: Platform, job_id: str) -> Path:
    return _everything(platform) / job_id


def _everything(platform: Platform) -> Path:
    return platform.settings.data_dir / "fine-tunes"


def _failed(path: Path, error: OSError) -> StorageFailed:
    return StorageFailed(f"cannot write {path}: {error.strerror or error}", retry_after=_RETRY_AFTER)
