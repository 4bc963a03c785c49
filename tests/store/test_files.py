"""Stored files: received whole or not at all, found by id, name and page, removed with what they left."""

from __future__ import annotations

import asyncio
import hashlib
import os
import resource
import time
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from paddock.errors import BodyTooLarge, Conflict, InvalidRequest, NotFound, StorageFailed
from paddock.schemas.files import File
from paddock.services import files, jobs
from paddock.services.deployments import LOCAL
from paddock.services.jobs import NewJob
from paddock.services.platform import Platform
from paddock.store.sessions import Store, WriteSession
from paddock.store.tables import FileRow
from tests.store.fakes import platform_of

MIB = 2**20
DAY = 24 * 3600.0


async def pieces(*given: bytes) -> AsyncIterator[bytes]:
    for piece in given:
        yield piece


async def stored(platform: Platform, content: bytes = b"text", name: str = "a.txt", **more: object) -> File:
    received = await files.receive(platform, pieces(content))
    return await files.keep(platform, LOCAL, received, name, str(more.pop("purpose", "batch")), **more)


async def content(platform: Platform, file: File, offset: int = 0) -> bytes:
    return b"".join([piece async for piece in files.content(platform, file, offset)])


def on_disk(folder: Path) -> list[Path]:
    return [path for path in (folder / "blobs").rglob("*") if path.is_file()]


class TestReceive:
    async def test_nobody_sees_it_before_it_is_kept(self, platform: Platform) -> None:
        received = await files.receive(platform, pieces(b"one", b"", b"two"))
        with pytest.raises(NotFound):
            await files.get(platform, LOCAL, received.id)
        assert await files.list_all(platform, LOCAL) == []
        kept = await files.keep(platform, LOCAL, received, "a.txt", "batch", 2e9)
        assert kept == await files.get(platform, LOCAL, received.id)
        assert (kept.filename, kept.purpose, kept.bytes, kept.expires_at) == ("a.txt", "batch", 6, 2e9)
        assert abs(kept.created_at - time.time()) < 60
        assert await content(platform, kept) == b"onetwo"
        assert await content(platform, kept, 4) == b"wo"

    @pytest.mark.parametrize(
        ("text", "characters"),
        [
            (b"", 0),
            ("naïve 馬 🐎".encode(), 9),
            (("🐎" * 400_000).encode() + b"!", 400_001),
            (b"\xff", None),
            ("🐎".encode()[:-1], None),
            (b"\xef\xbb\xbfwith a mark", 12),
            (b"zero \x00", 6),
        ],
        ids=["empty", "text", "pieces", "not utf-8", "cut off", "mark", "zero"],
    )
    async def test_what_is_found_out_about_it(
        self, platform: Platform, text: bytes, characters: int | None
    ) -> None:
        # Split inside of characters.
        parts = [text[start : start + 77_777] for start in range(0, len(text), 77_777)]
        received = await files.receive(platform, pieces(*parts))
        assert (received.bytes, received.characters) == (len(text), characters)
        assert received.sha256 == hashlib.sha256(text).hexdigest()

    async def test_too_large(self, platform: Platform, tmp_path: Path) -> None:
        assert (await files.receive(platform, pieces(b"12345"), limit=5)).bytes == 5
        there = on_disk(tmp_path)
        with pytest.raises(BodyTooLarge, match="more than 5 bytes"):
            await files.receive(platform, pieces(b"123", b"456"), limit=5)
        assert on_disk(tmp_path) == there

    async def test_the_limit_is_a_setting(self, store: Store, tmp_path: Path) -> None:
        platform = platform_of(store, tmp_path, max_file=3)
        with pytest.raises(BodyTooLarge):
            await files.receive(platform, pieces(b"1234"))

    async def test_a_caller_who_fails_leaves_nothing(self, platform: Platform, tmp_path: Path) -> None:
        async def failing() -> AsyncIterator[bytes]:
            for _ in range(5):
                yield bytes(MIB)
            raise ConnectionResetError

        with pytest.raises(ConnectionResetError):
            await files.receive(platform, failing())
        assert on_disk(tmp_path) == []

    async def test_one_who_is_cancelled_leaves_nothing(self, platform: Platform, tmp_path: Path) -> None:
        async def slow() -> AsyncIterator[bytes]:
            for _ in range(1000):
                yield bytes(MIB // 2)
                await asyncio.sleep(0)

        for seconds in (0.0, 0.02, 0.05):
            task = asyncio.ensure_future(files.receive(platform, slow()))
            await asyncio.sleep(seconds)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert on_disk(tmp_path) == []

    async def test_discarded(self, platform: Platform, tmp_path: Path) -> None:
        received = await files.receive(platform, pieces(b"1"))
        await received.discard()
        await received.discard()
        assert on_disk(tmp_path) == []

    @pytest.fixture
    def short_disk(self) -> Iterator[None]:
        """No file of this process gets longer than 3 MiB meanwhile."""
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (3 * MIB, hard))
        yield
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    @pytest.mark.usefixtures("short_disk")
    async def test_a_disk_that_takes_no_more(self, platform: Platform, tmp_path: Path) -> None:
        with pytest.raises(StorageFailed, match="File too large"):
            await files.receive(platform, pieces(*[bytes(MIB)] * 5))
        assert on_disk(tmp_path) == []
        assert (await stored(platform)).bytes == 4

    async def test_it_is_never_all_in_memory(self, platform: Platform) -> None:
        async def much() -> AsyncIterator[bytes]:
            for _ in range(64 * 16):
                yield bytes(MIB // 16)

        tracemalloc.start()
        try:
            received = await files.receive(platform, much())
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert received.bytes == 64 * MIB
        assert peak < 12 * MIB


class TestNames:
    @pytest.mark.parametrize(
        "name",
        ["../../etc/passwd", "a b/ü.jsonl", "x" * 1000, " ", '"; rm -rf', "C:\\x", "馬🐎", "%00", "\u202e"],
    )
    async def test_they_are_kept_as_they_are(self, platform: Platform, tmp_path: Path, name: str) -> None:
        file = await stored(platform, name=name)
        assert (await files.get(platform, LOCAL, file.id)).filename == name
        assert [path.name for path in on_disk(tmp_path)] == [file.id]

    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("", "from 1 to 1000 characters, not 0"),
            ("x" * 1001, "from 1 to 1000 characters, not 1001"),
            ("a\nb", "no control characters, as it has U[+]000A"),
            ("a\0b", "U[+]0000"),
            ("a\x7fb", "U[+]007F"),
            ("a\ud800b", "U[+]D800"),
        ],
        ids=["empty", "long", "line", "zero", "delete", "surrogate"],
    )
    async def test_others_are_refused(
        self, platform: Platform, tmp_path: Path, name: str, message: str
    ) -> None:
        with pytest.raises(InvalidRequest, match=message):
            await stored(platform, name=name)
        assert on_disk(tmp_path) == []
        assert await files.list_all(platform, LOCAL) == []

    async def test_several_may_bear_one(self, platform: Platform) -> None:
        first, second = await stored(platform, name="a"), await stored(platform, name="a")
        await stored(platform, name="b")
        await stored(platform, name="a", expires_at=1.0)
        found = await platform.store.read(
            lambda session: [row.id for row in files.find_name(session, LOCAL, "a")]
        )
        assert found == [first.id, second.id]
        assert await platform.store.read(lambda session: files.find_name(session, "other", "a")) == []


class TestFinding:
    async def test_unknown(self, platform: Platform) -> None:
        file = await stored(platform)
        unknown = [(LOCAL, one) for one in ("file-0", "../x", "x" * 9999, "file-\0", "\ud800", "")]
        for project, identity in [("other", file.id), *unknown]:
            with pytest.raises(NotFound, match="there is no file"):
                await files.get(platform, project, identity)
            with pytest.raises(NotFound):
                await files.delete(platform, project, identity)
        assert (await files.get(platform, LOCAL, file.id)).id == file.id

    async def test_an_expired_one_is_not_found(self, platform: Platform) -> None:
        file = await stored(platform, expires_at=time.time() - 1)
        with pytest.raises(NotFound):
            await files.get(platform, LOCAL, file.id)
        assert await files.list_all(platform, LOCAL) == []
        assert (await files.get(platform, LOCAL, file.id, expired=True)).id == file.id

    @pytest.mark.parametrize("newest_first", [True, False])
    async def test_pages(self, platform: Platform, newest_first: bool) -> None:
        made = [(await stored(platform, name=str(number))).id for number in range(7)]
        expected = made[::-1] if newest_first else made
        found: list[str] = []
        more = True
        while more:
            page, more = await files.list_page(
                platform, LOCAL, limit=3, after=found[-1] if found else None, newest_first=newest_first
            )
            found += [file.id for file in page]
        assert found == expected
        page, more = await files.list_page(platform, LOCAL, limit=7)
        assert (len(page), more) == (7, False)

    async def test_pages_of_one_moment(self, platform: Platform) -> None:
        def work(session: WriteSession) -> None:
            for number in range(5):
                session.add(
                    FileRow(
                        id=f"file-{number}",
                        project=LOCAL,
                        filename="a",
                        purpose="batch",
                        bytes=0,
                        sha256="",
                        blob="",
                        created_at=1.0,
                    )
                )

        await platform.store.write(work)
        page, more = await files.list_page(platform, LOCAL, limit=2)
        rest, _ = await files.list_page(platform, LOCAL, after=page[-1].id)
        assert [file.id for file in page + rest] == [f"file-{number}" for number in (4, 3, 2, 1, 0)]
        assert more

    async def test_by_purpose(self, platform: Platform) -> None:
        await stored(platform, purpose="batch")
        other = await stored(platform, purpose="evals")
        page, more = await files.list_page(platform, LOCAL, purpose="evals", limit=1)
        assert ([file.id for file in page], more) == ([other.id], False)

    async def test_after_what_is_not_there(self, platform: Platform) -> None:
        with pytest.raises(NotFound):
            await files.list_page(platform, LOCAL, after="file-0")


class TestDelete:
    async def test_it_takes_the_bytes_along(self, platform: Platform, tmp_path: Path) -> None:
        file = await stored(platform)
        await files.delete(platform, LOCAL, file.id)
        assert on_disk(tmp_path) == []
        with pytest.raises(NotFound):
            await files.get(platform, LOCAL, file.id)
        with pytest.raises(NotFound):
            await content(platform, file)

    async def test_not_while_a_job_reads_it(self, platform: Platform) -> None:
        file = await stored(platform)
        job = await job_on(platform, file)
        with pytest.raises(Conflict, match=f"is read by job {job}") as caught:
            await files.delete(platform, LOCAL, file.id)
        assert caught.value.code == "file_in_use"
        assert await content(platform, file) == b"text"
        await jobs.cancel(platform, LOCAL, job)
        await files.delete(platform, LOCAL, file.id)


class TestSweep:
    async def test_what_is_over_goes(self, platform: Platform, tmp_path: Path) -> None:
        await stored(platform, expires_at=time.time() - 1)
        kept = [await stored(platform), await stored(platform, expires_at=time.time() + 60)]
        await files.sweep(platform)
        assert {path.name for path in on_disk(tmp_path)} == {file.id for file in kept}
        rows = await platform.store.read(lambda session: session.query(FileRow).count())
        assert rows == 2

    async def test_unless_a_job_reads_it(self, platform: Platform) -> None:
        file = await stored(platform, expires_at=time.time() - 1)
        job = await job_on(platform, file)
        await files.sweep(platform)
        assert await content(platform, file) == b"text"
        await jobs.cancel(platform, LOCAL, job)
        await files.sweep(platform)
        with pytest.raises(NotFound):
            await files.get(platform, LOCAL, file.id, expired=True)

    async def test_old_bytes_that_nobody_kept_go(self, platform: Platform, tmp_path: Path) -> None:
        kept = await stored(platform)
        forgotten, fresh = [await files.receive(platform, pieces(b"1")) for _ in range(2)]
        segment = await platform.blobs.writer("jobs/1/answers")
        await segment.commit()
        for path in on_disk(tmp_path):
            if path.name != fresh.id:
                os.utime(path, (time.time() - DAY - 60,) * 2)
        await files.sweep(platform)
        assert {path.name for path in on_disk(tmp_path)} == {kept.id, fresh.id, "answers"}
        assert forgotten.id not in {path.name for path in on_disk(tmp_path)}

    async def test_those_of_another_store_stay(self, platform: Platform, tmp_path: Path) -> None:
        await stored(platform)
        (path,) = on_disk(tmp_path)
        os.utime(path, (time.time() - DAY - 60,) * 2)
        other = Store(f"sqlite:///{tmp_path / 'other.db'}")
        try:
            await files.sweep(platform_of(other, tmp_path))
        finally:
            other.close()
        assert on_disk(tmp_path) == [path]


async def job_on(platform: Platform, file: File) -> str:
    asked = NewJob(jobs.new_id("batch"), "batch", "openai", {}, 60.0, input=f"file:{file.id}")
    return (await jobs.create(platform, LOCAL, asked)).id
