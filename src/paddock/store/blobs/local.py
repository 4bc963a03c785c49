"""Blobs as files below a folder.

A blob is written under a temporary name beside its own, brought to the disk and renamed: nobody sees half of
one.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import secrets
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from io import FileIO
from pathlib import Path
from typing import TypeVar

from paddock.errors import NotFound, StartupError, StorageFailed
from paddock.store.blobs.blobs import Blob, BlobWriter
from paddock.store.blobs.reader import Reader

Result = TypeVar("Result")
TEMPORARY = ".part"
_RETRY_AFTER = 30.0


class LocalBlobs:
    """
    Raises:
        StartupError: the folder cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise StartupError(
                f"cannot make the folder {folder}: {error.strerror}; choose another --data-dir"
            ) from error

    async def writer(self, key: str) -> BlobWriter:
        return _Writer(self.folder, self._path(key))

    async def read(self, key: str, offset: int = 0) -> AsyncGenerator[bytes, None]:
        path = self._path(key)

        def open() -> FileIO:
            with _found(key):
                return FileIO(path)

        reader = Reader(open, offset)
        try:
            while piece := await _in_thread(self.folder, reader.read):
                yield piece
        finally:
            await _in_thread(self.folder, reader.close)

    async def delete(self, key: str) -> None:
        def work() -> None:
            path = self._path(key)
            path.unlink(missing_ok=True)
            # Folders of jobs that are over would add up; one with something in it stays.
            with contextlib.suppress(OSError):
                for parent in path.parents:
                    if parent == self.folder:
                        break
                    parent.rmdir()

        await _in_thread(self.folder, work)

    async def size(self, key: str) -> int:
        def work() -> int:
            with _found(key):
                return self._path(key).stat().st_size

        return await _in_thread(self.folder, work)

    async def list(self, prefix: str) -> list[Blob]:
        def work() -> list[Blob]:
            found = []
            for path, stat in _files(self._path(prefix)):
                if not path.name.startswith("."):
                    key = path.relative_to(self.folder).as_posix()
                    found.append(Blob(key, stat.st_size, stat.st_mtime))
            return sorted(found, key=lambda blob: blob.key)

        return await _in_thread(self.folder, work)

    async def sweep(self, before: float) -> int:
        def work() -> int:
            old = [
                path
                for path, stat in _files(self.folder)
                if path.name.endswith(TEMPORARY) and stat.st_mtime < before
            ]
            for path in old:
                path.unlink(missing_ok=True)
            return len(old)

        return await _in_thread(self.folder, work)

    def _path(self, key: str) -> Path:
        """
        Raises:
            ValueError: no key of ours; it would lead elsewhere.
        """
        words = key.split("/")
        if any(not word or word.startswith(".") or "\\" in word or "\0" in word for word in words):
            raise ValueError(f"{key!r} is no key of a blob")
        return self.folder.joinpath(*words)


class _Writer:
    """Opens nothing before the first call, so that a caller who is cancelled owes nothing but `abort`.

    A cancelled call goes on in its thread; the lock makes `abort` wait for its end.
    """

    def __init__(self, folder: Path, path: Path) -> None:
        self._folder = folder
        self._path = path
        self._part = path.with_name(f".{path.name}.{secrets.token_hex(4)}{TEMPORARY}")
        self._lock = threading.Lock()
        self._file: FileIO | None = None
        self._over = False

    async def write(self, piece: bytes) -> None:
        def work() -> None:
            with self._lock:
                file, rest = self._opened(), memoryview(piece)
                while rest:
                    rest = rest[file.write(rest) :]

        await _in_thread(self._folder, work)

    async def commit(self) -> None:
        def work() -> None:
            with self._lock:
                file = self._opened()
                os.fsync(file.fileno())
                file.close()
                self._part.replace(self._path)
                _sync(self._path.parent)
                self._over = True

        await _in_thread(self._folder, work)

    async def abort(self) -> None:
        def work() -> None:
            with self._lock:
                if self._over:
                    return
                self._over = True
                if self._file is not None:
                    with contextlib.suppress(OSError):
                        self._file.close()
                    self._part.unlink(missing_ok=True)

        # What cannot be removed now is old some day: see `sweep`.
        with contextlib.suppress(StorageFailed):
            await _in_thread(self._folder, work)

    def _opened(self) -> FileIO:
        if self._over:
            raise ValueError("the blob was committed or aborted")
        if self._file is None:
            try:
                self._file = self._create()
            except FileNotFoundError:
                # Who deletes the last blob of a folder removes the folder, and may have done so just now.
                self._file = self._create()
        return self._file

    def _create(self) -> FileIO:
        _make_folder(self._folder, self._path.parent)
        return FileIO(self._part, "x", opener=_for_owner)


async def _in_thread(folder: Path, work: Callable[[], Result]) -> Result:
    """What `work` gives; begun, it goes to its end even if the caller does not wait for it.

    Raises:
        StorageFailed: the disk does not do it.
    """
    try:
        return await asyncio.shield(asyncio.get_running_loop().run_in_executor(None, work))
    except OSError as error:
        raise _failed(error, folder) from error


def _failed(error: OSError, folder: Path) -> StorageFailed:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageFailed(f"no space left on the disk of {folder}", retry_after=_RETRY_AFTER)
    return StorageFailed(f"the storage {folder} failed: {error.strerror or error}", retry_after=_RETRY_AFTER)


@contextlib.contextmanager
def _found(key: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise NotFound(f"the stored bytes {key} are not there", code="blob_not_found") from None


def _files(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """All files below a folder that are still there when they are looked at; none if there is no folder."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(FileNotFoundError):
                if entry.is_dir(follow_symlinks=False):
                    yield from _files(Path(entry.path))
                else:
                    yield Path(entry.path), entry.stat(follow_symlinks=False)


def _make_folder(root: Path, folder: Path) -> None:
    missing = [parent for parent in (folder, *folder.parents) if parent.is_relative_to(root)]
    for one in reversed(missing):
        with contextlib.suppress(FileExistsError):
            one.mkdir(mode=0o700)
            # A folder that a power cut takes along takes the blobs in it along.
            _sync(one.parent)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _for_owner(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
