"""Files of the server's disk as a job's input or output. All of it blocks but `read` and `write`.

The way to a file is walked from the allowed folder on without following symlinks: one that was put there
after the path was checked leads nowhere.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import secrets
import stat
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from io import FileIO

from paddock.errors import InvalidRequest, JobFailed, StorageFailed
from paddock.services.paths import Spot
from paddock.store.blobs import PIECE

_FOLDER = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV})
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_FOR_GOOD = frozenset(
    {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG}
)
_RETRY_AFTER = 30.0


def beginning(spot: Spot, most: int, param: str) -> tuple[int, bytes]:
    """(size, up to `most` of its first bytes) of an input.

    Raises:
        InvalidRequest: it is not there, is no regular file, or cannot be read.
    """
    with _told(spot, param), contextlib.closing(_open(spot, param)) as file:
        return os.fstat(file.fileno()).st_size, file.read(most)


async def read(spot: Spot, offset: int, param: str) -> AsyncGenerator[bytes, None]:
    """The bytes from `offset` on.

    Raises:
        InvalidRequest: as `beginning`; with the first piece.
        StorageFailed: the disk is broken.
    """
    reader = _Reader(spot, offset, param)
    try:
        while piece := await asyncio.to_thread(reader.read):
            yield piece
    finally:
        await asyncio.to_thread(reader.close)


def probe(spot: Spot, job_id: str, param: str) -> None:
    """Finds out whether an output can be written.

    Raises:
        InvalidRequest: something of its name is there, or its folder is not, or nothing can be written there.
    """
    try:
        with _folder(spot) as folder:
            if _is_there(spot.name, folder):
                raise InvalidRequest(
                    f"{param}: {spot.path} exists; choose another", param=param, code="output_exists"
                )
            name = _hidden(spot, job_id)
            os.close(os.open(name, _CREATE, 0o600, dir_fd=folder))
            os.unlink(name, dir_fd=folder)
    except OSError as error:
        raise InvalidRequest(
            f"{param}: nothing can be written to {spot.folder}: {error.strerror or error}",
            param=param,
            code="output_not_writable",
        ) from None


async def write(spot: Spot, job_id: str, pieces: AsyncIterator[bytes]) -> None:
    """Writes an output under a hidden name in its folder, and gives it its own name once it is whole and on
    the disk. What is there already stays: an output of the same bytes is that of an earlier attempt.

    Raises:
        JobFailed: something else bears its name meanwhile, or it can never be written.
        StorageFailed: the disk is full or broken.
    """
    writer = _Writer(spot, job_id)
    try:
        await asyncio.to_thread(remove_left, spot, job_id)
        async for piece in pieces:
            await asyncio.to_thread(writer.write, piece)
        await asyncio.to_thread(writer.finish)
    finally:
        await asyncio.to_thread(writer.close)


def remove_left(spot: Spot, job_id: str) -> None:
    """Removes what attempts of the job left that were cut off. Never raises."""
    with contextlib.suppress(OSError), _folder(spot) as folder:
        listed = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=folder)
        try:
            for name in os.listdir(listed):
                if name.startswith(_prefix(spot, job_id)):
                    os.unlink(name, dir_fd=listed)
        finally:
            os.close(listed)


class _Reader:
    """A cancelled read goes on in its thread; the lock makes `close` wait for its end."""

    def __init__(self, spot: Spot, offset: int, param: str) -> None:
        self._spot = spot
        self._offset = offset
        self._param = param
        self._lock = threading.Lock()
        self._file: FileIO | None = None
        self._over = False

    def read(self) -> bytes:
        with self._lock:
            if self._over:
                return b""
            if self._file is None:
                with _told(self._spot, self._param):
                    self._file = _open(self._spot, self._param)
                self._file.seek(self._offset)
            try:
                return self._file.read(PIECE) or b""
            except OSError as error:
                raise _broken(error, self._spot) from error

    def close(self) -> None:
        with self._lock:
            self._over = True
            if self._file is not None:
                self._file.close()


class _Writer:
    """As `_Reader`. The hidden name is its own, so that a worker that was taken for dead spoils nothing."""

    def __init__(self, spot: Spot, job_id: str) -> None:
        self._spot = spot
        self._part = _hidden(spot, job_id)
        self._lock = threading.Lock()
        self._held = contextlib.ExitStack()
        self._folder = -1
        self._file: FileIO | None = None
        self._over = False

    def write(self, piece: bytes) -> None:
        with self._lock, _unless_broken(self._spot):
            file, rest = self._opened(), memoryview(piece)
            while rest:
                rest = rest[file.write(rest) :]

    def finish(self) -> None:
        with self._lock, _unless_broken(self._spot):
            os.fsync(self._opened().fileno())
            try:
                self._link()
            except FileExistsError:
                if not self._is_same():
                    raise JobFailed(f"output_data_path: {self._spot.path} was made meanwhile") from None
            _sync(self._folder)

    def close(self) -> None:
        with self._lock:
            self._over = True
            if self._file is not None:
                with contextlib.suppress(OSError):
                    self._file.close()
                with contextlib.suppress(OSError):
                    os.unlink(self._part, dir_fd=self._folder)
            self._held.close()

    def _link(self) -> None:
        folder, name = self._folder, self._spot.name
        try:
            os.link(self._part, name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            # A disk without links: there a file that is made in this very moment would be replaced.
            if _is_there(name, folder):
                raise FileExistsError(errno.EEXIST, "exists") from None
            os.rename(self._part, name, src_dir_fd=folder, dst_dir_fd=folder)

    def _is_same(self) -> bool:
        ours = self._opened()
        if (found := _regular(self._spot.name, self._folder)) is None:
            return False
        with contextlib.closing(found) as theirs:
            if os.fstat(theirs.fileno()).st_size != os.fstat(ours.fileno()).st_size:
                return False
            ours.seek(0)
            while piece := ours.read(PIECE):
                if theirs.read(len(piece)) != piece:
                    return False
        return True

    def _opened(self) -> FileIO:
        if self._over:
            raise ValueError("the output was closed")
        if self._file is None:
            self._folder = self._held.enter_context(_folder(self._spot))
            self._file = FileIO(os.open(self._part, _CREATE, 0o666, dir_fd=self._folder), "r+b")
        return self._file


@contextlib.contextmanager
def _folder(spot: Spot) -> Iterator[int]:
    """A descriptor of the folder that it lies in."""
    descriptor = os.open(spot.root, _FOLDER)
    try:
        for part in spot.parts[:-1]:
            inner = os.open(part, _FOLDER | os.O_NOFOLLOW, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = inner
        yield descriptor
    finally:
        os.close(descriptor)


def _open(spot: Spot, param: str) -> FileIO:
    with _folder(spot) as folder:
        file = _regular(spot.name, folder)
    if file is None:
        raise InvalidRequest(f"{param}: {spot.path} is not a regular file", param=param)
    return file


def _regular(name: str, folder: int) -> FileIO | None:
    """None if it is a folder, a link or a device."""
    if stat.S_ISLNK(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
        return None
    descriptor = os.open(name, _READ, dir_fd=folder)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return FileIO(descriptor, "rb")
    os.close(descriptor)
    return None


def _is_there(name: str, folder: int) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _prefix(spot: Spot, job_id: str) -> str:
    return f".{spot.name}.{job_id}."


def _hidden(spot: Spot, job_id: str) -> str:
    return _prefix(spot, job_id) + secrets.token_hex(4)


def _sync(folder: int) -> None:
    descriptor = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=folder)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _told(spot: Spot, param: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise InvalidRequest(f"{param}: there is no file {spot.path}", param=param) from None
    except OSError as error:
        raise InvalidRequest(
            f"{param}: {spot.path} cannot be read: {error.strerror or error}", param=param
        ) from None


@contextlib.contextmanager
def _unless_broken(spot: Spot) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _FOR_GOOD:
            raise JobFailed(
                f"output_data_path: {spot.path} cannot be written: {error.strerror or error}"
            ) from error
        raise _broken(error, spot) from error


def _broken(error: OSError, spot: Spot) -> StorageFailed:
    if error.errno in _FULL:
        return StorageFailed(f"no space left on the disk of {spot.folder}", retry_after=_RETRY_AFTER)
    return StorageFailed(
        f"the disk of {spot.folder} failed: {error.strerror or error}", retry_after=_RETRY_AFTER
    )
