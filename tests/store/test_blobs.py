"""Both places for blobs: what is committed is there whole, and what is not leaves nothing."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from paddock.errors import NotFound, StorageFailed
from paddock.settings import Settings
from paddock.store.blobs import PIECE, Blobs, BlobWriter, open_blobs
from tests.store import s3
from tests.store.s3 import S3

MIB = 2**20


@pytest.fixture(scope="module")
def storage() -> Iterator[S3]:
    with s3.running() as server:
        yield server


@dataclass
class Place:
    """
    Attributes:
        left: how much there is that no key shows.
    """

    blobs: Blobs
    left: Callable[[], int]


@pytest.fixture(params=["local", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    if request.param == "local":
        blobs = open_blobs(Settings(data_dir=tmp_path))
        return Place(blobs, lambda: sum(path.name.startswith(".") for path in tmp_path.rglob("*")))
    server: S3 = request.getfixturevalue("storage")
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    bucket = server.bucket()
    blobs = open_blobs(Settings(data_dir=tmp_path, blobs=f"s3://{bucket}/some/prefix"))
    return Place(blobs, lambda: server.unfinished(bucket))


async def put(blobs: Blobs, key: str, *pieces: bytes) -> None:
    writer = await blobs.writer(key)
    for piece in pieces:
        await writer.write(piece)
    await writer.commit()


async def fill(writer: BlobWriter) -> None:
    """Writes until it fails."""
    for _ in range(100):
        await writer.write(bytes(MIB))


async def read(blobs: Blobs, key: str, offset: int = 0) -> bytes:
    return b"".join([piece async for piece in blobs.read(key, offset)])


async def keys(blobs: Blobs, prefix: str) -> list[str]:
    return [blob.key for blob in await blobs.list(prefix)]


class TestBlobs:
    async def test_what_was_written_is_read(self, place: Place) -> None:
        # Longer than a part of an upload, a range of a reading and a piece, and a multiple of none.
        pieces = [os.urandom(MIB) for _ in range(18)] + [b"end"]
        await put(place.blobs, "files/a/one", *pieces)
        whole = b"".join(pieces)
        assert await place.blobs.size("files/a/one") == len(whole)
        found = [piece async for piece in place.blobs.read("files/a/one")]
        assert b"".join(found) == whole
        assert max(map(len, found)) <= PIECE

    async def test_from_an_offset_on(self, place: Place) -> None:
        whole = os.urandom(5 * MIB)
        await put(place.blobs, "a", whole)
        for offset in (1, PIECE, 4 * MIB, 4 * MIB + 7, len(whole) - 1, len(whole), len(whole) + 1):
            assert await read(place.blobs, "a", offset) == whole[offset:]

    async def test_empty(self, place: Place) -> None:
        await put(place.blobs, "a/nothing")
        await put(place.blobs, "a/empty", b"")
        assert await keys(place.blobs, "a") == ["a/empty", "a/nothing"]
        assert await place.blobs.size("a/empty") == 0
        assert await read(place.blobs, "a/nothing") == b""

    async def test_nobody_sees_what_is_not_committed(self, place: Place) -> None:
        writer = await place.blobs.writer("a/one")
        for _ in range(9):
            await writer.write(bytes(MIB))
        assert await keys(place.blobs, "a") == []
        with pytest.raises(NotFound):
            await place.blobs.size("a/one")
        await writer.commit()
        assert await keys(place.blobs, "a") == ["a/one"]

    @pytest.mark.parametrize("count", [0, 1, 12])
    async def test_what_is_aborted_leaves_nothing(self, place: Place, count: int) -> None:
        writer = await place.blobs.writer("a/one")
        for _ in range(count):
            await writer.write(bytes(MIB))
        await writer.abort()
        await writer.abort()
        assert await keys(place.blobs, "a") == []
        assert place.left() == 0

    async def test_what_is_cancelled_and_aborted_leaves_nothing(self, place: Place) -> None:
        writer = await place.blobs.writer("a/one")

        async def work() -> None:
            while True:
                await writer.write(bytes(MIB))

        for seconds in (0.0, 0.1):
            task = asyncio.ensure_future(work())
            await asyncio.sleep(seconds)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        await writer.abort()
        assert await keys(place.blobs, "a") == []
        assert place.left() == 0

    async def test_abort_after_commit_changes_nothing(self, place: Place) -> None:
        writer = await place.blobs.writer("a")
        await writer.write(b"kept")
        await writer.commit()
        await writer.abort()
        assert await read(place.blobs, "a") == b"kept"

    async def test_a_key_that_is_written_again(self, place: Place) -> None:
        await put(place.blobs, "a", b"first")
        await put(place.blobs, "a", b"second")
        assert await read(place.blobs, "a") == b"second"

    async def test_what_is_not_there(self, place: Place) -> None:
        with pytest.raises(NotFound):
            await read(place.blobs, "a/b")
        with pytest.raises(NotFound):
            await place.blobs.size("a/b")
        await place.blobs.delete("a/b")
        assert await place.blobs.list("a") == []

    async def test_deleted(self, place: Place) -> None:
        await put(place.blobs, "jobs/1/one", b"1")
        await put(place.blobs, "jobs/1/two", b"2")
        await put(place.blobs, "jobs/10/one", b"3")
        assert await keys(place.blobs, "jobs/1") == ["jobs/1/one", "jobs/1/two"]
        await place.blobs.delete("jobs/1/one")
        await place.blobs.delete("jobs/1/two")
        assert await keys(place.blobs, "jobs") == ["jobs/10/one"]
        await put(place.blobs, "jobs/1/one", b"again")
        assert await read(place.blobs, "jobs/1/one") == b"again"

    async def test_each_has_its_size_and_time(self, place: Place) -> None:
        before = time.time()
        await put(place.blobs, "a", b"12345")
        assert await place.blobs.list("b") == []
        await put(place.blobs, "b/a", b"12345")
        (found,) = await place.blobs.list("b")
        assert found.size == 5
        # Storage keeps whole seconds.
        assert before - 2 < found.written_at < time.time() + 2

    async def test_a_reader_may_leave_early(self, place: Place) -> None:
        await put(place.blobs, "a", bytes(5 * MIB))
        reading = place.blobs.read("a")
        assert len(await anext(reading)) > 0
        await reading.aclose()

    async def test_many_at_once(self, place: Place) -> None:
        contents = {f"a/{number}": os.urandom(MIB + number) for number in range(8)}
        await asyncio.gather(*(put(place.blobs, key, whole) for key, whole in contents.items()))
        found = await asyncio.gather(*(read(place.blobs, key) for key in contents))
        assert found == list(contents.values())


class TestLocal:
    @pytest.fixture
    def blobs(self, tmp_path: Path) -> Blobs:
        return open_blobs(Settings(data_dir=tmp_path))

    @pytest.mark.parametrize("key", ["../a", "a/../../b", "/etc/passwd", "a//b", "", ".a", "a\\b", "a\0"])
    async def test_no_key_leads_elsewhere(self, blobs: Blobs, key: str) -> None:
        with pytest.raises(ValueError, match="no key"):
            await blobs.writer(key)

    async def test_only_the_owner_may_read(self, blobs: Blobs, tmp_path: Path) -> None:
        await put(blobs, "a/b", b"secret")
        path = tmp_path / "blobs" / "a" / "b"
        assert [one.stat().st_mode & 0o777 for one in (path, path.parent, tmp_path / "blobs")] == [
            0o600,
            0o700,
            0o700,
        ]

    async def test_folders_go_with_their_last_blob(self, blobs: Blobs, tmp_path: Path) -> None:
        await put(blobs, "a/b/c", b"1")
        await blobs.delete("a/b/c")
        assert list((tmp_path / "blobs").iterdir()) == []

    async def test_what_is_deleted_while_it_is_read_is_read_to_its_end(self, blobs: Blobs) -> None:
        await put(blobs, "a", bytes(MIB))
        reading = blobs.read("a")
        first = await anext(reading)
        await blobs.delete("a")
        assert len(first) + sum([len(piece) async for piece in reading]) == MIB

    async def test_the_sweep_clears_what_a_killed_writer_left(self, blobs: Blobs, tmp_path: Path) -> None:
        writers = [await blobs.writer(key) for key in ("a/old", "a/new")]
        for writer in writers:
            await writer.write(b"half")
        old, new = sorted((tmp_path / "blobs" / "a").iterdir(), key=lambda path: "new" in path.name)
        os.utime(old, (time.time() - 7200,) * 2)
        await put(blobs, "a/whole", b"whole")
        os.utime(tmp_path / "blobs" / "a" / "whole", (time.time() - 7200,) * 2)
        assert await blobs.sweep(time.time() - 3600) == 1
        assert not old.exists()
        assert new.exists()
        assert await read(blobs, "a/whole") == b"whole"
        for writer in writers:
            await writer.abort()

    @pytest.fixture
    def small(self, tmp_path: Path) -> Iterator[Path]:
        """The folder of a disk of 4 MiB."""
        folder = tmp_path / "small"
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
        if subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("a small disk needs the right to mount one")
        yield folder
        subprocess.run(["umount", str(folder)], check=True)

    async def test_a_full_disk(self, small: Path) -> None:
        blobs = open_blobs(Settings(data_dir=small))
        await put(blobs, "kept", b"kept")
        writer = await blobs.writer("a/one")
        with pytest.raises(StorageFailed, match=f"no space left on the disk of {small}") as caught:
            await fill(writer)
        assert caught.value.retry_after
        assert isinstance(caught.value.__cause__, OSError)
        assert caught.value.__cause__.errno == errno.ENOSPC
        await writer.abort()
        assert await read(blobs, "kept") == b"kept"
        await put(blobs, "a/one", bytes(MIB))


class TestS3:
    async def test_nobody_there(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        environment = S3(f"http://127.0.0.1:{port}").environment
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        blobs = open_blobs(Settings(data_dir=tmp_path, blobs="s3://bucket"))
        with pytest.raises(StorageFailed, match=r"the storage s3://bucket failed: ") as caught:
            await blobs.size("a")
        assert "secret" not in str(caught.value)

    async def test_what_cannot_be_reached_is_said(
        self, storage: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name, value in storage.environment.items():
            monkeypatch.setenv(name, value)
        blobs = open_blobs(Settings(data_dir=tmp_path, blobs="s3://no-such-bucket"))
        writer = await blobs.writer("a")
        with pytest.raises(StorageFailed, match=r"the storage s3://no-such-bucket failed: .* 404 Not Found"):
            await fill(writer)
        await writer.abort()
        with pytest.raises(StorageFailed):
            await put(blobs, "a", b"short")
