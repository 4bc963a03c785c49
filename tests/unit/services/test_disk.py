"""Files of the disk as a job's input and output, on a real one."""

from __future__ import annotations

import errno
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from paddock.errors import InvalidRequest, JobFailed, StorageFailed
from paddock.services import disk
from paddock.services.paths import Spot

JOB = "batch_0123456789abcdef01234567"
PARAM = "output_data_path"


def spot(folder: Path, *parts: str) -> Spot:
    return Spot(str(folder), parts)


def listed(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def pieces(*given: bytes | Exception) -> AsyncIterator[bytes]:
    for piece in given:
        if isinstance(piece, Exception):
            raise piece
        yield piece


async def all_of(where: Spot, offset: int = 0) -> bytes:
    return b"".join([piece async for piece in disk.read(where, offset, PARAM)])


class TestReading:
    async def test_the_bytes(self, tmp_path: Path) -> None:
        content = os.urandom(600_000)
        (tmp_path / "deep").mkdir()
        (tmp_path / "deep" / "x").write_bytes(content)
        assert disk.beginning(spot(tmp_path, "deep", "x"), 10, PARAM) == (600_000, content[:10])
        assert await all_of(spot(tmp_path, "deep", "x")) == content
        assert await all_of(spot(tmp_path, "deep", "x"), 599_990) == content[-10:]

    @pytest.mark.parametrize("special", ["folder", "fifo", "link", "nothing", "below a file"])
    async def test_what_is_no_regular_file(self, tmp_path: Path, special: str) -> None:
        where = tmp_path / "x"
        parts: tuple[str, ...] = ("x",)
        match special:
            case "folder":
                where.mkdir()
            case "fifo":
                os.mkfifo(where)
            case "link":
                (tmp_path / "real").write_text("secret")
                where.symlink_to(tmp_path / "real")
            case "below a file":
                where.write_text("")
                parts = ("x", "y")
        with pytest.raises(InvalidRequest) as raised:
            disk.beginning(spot(tmp_path, *parts), 10, PARAM)
        assert raised.value.param == PARAM
        with pytest.raises(InvalidRequest):
            await all_of(spot(tmp_path, *parts))

    async def test_a_folder_that_became_a_link_leads_nowhere(self, tmp_path: Path) -> None:
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "elsewhere" / "x").write_text("secret")
        (tmp_path / "in").mkdir()
        (tmp_path / "in" / "deep").symlink_to(tmp_path / "elsewhere")
        with pytest.raises(InvalidRequest):
            await all_of(spot(tmp_path / "in", "deep", "x"))

    async def test_a_reader_may_stop(self, tmp_path: Path) -> None:
        (tmp_path / "x").write_bytes(bytes(1_000_000))
        reading = disk.read(spot(tmp_path, "x"), 0, PARAM)
        assert len(await anext(reading)) > 0
        await reading.aclose()


class TestProbe:
    def test_leaves_nothing(self, tmp_path: Path) -> None:
        disk.probe(spot(tmp_path, "x"), JOB, PARAM)
        assert listed(tmp_path) == []

    @pytest.mark.parametrize("dangling", [False, True])
    def test_what_is_there(self, tmp_path: Path, dangling: bool) -> None:
        if dangling:
            (tmp_path / "x").symlink_to(tmp_path / "nowhere")
        else:
            (tmp_path / "x").write_text("")
        with pytest.raises(InvalidRequest) as raised:
            disk.probe(spot(tmp_path, "x"), JOB, PARAM)
        assert raised.value.code == "output_exists"

    def test_no_folder(self, tmp_path: Path) -> None:
        with pytest.raises(InvalidRequest, match=r"nothing can be written to .*/deep: No such") as raised:
            disk.probe(spot(tmp_path, "deep", "x"), JOB, PARAM)
        assert raised.value.code == "output_not_writable"

    def test_a_disk_that_takes_nothing(self) -> None:
        with pytest.raises(InvalidRequest) as raised:
            disk.probe(spot(Path("/proc/self"), "x"), JOB, PARAM)
        assert raised.value.code == "output_not_writable"


class TestWriting:
    async def test_whole_and_in_its_place(self, tmp_path: Path) -> None:
        await disk.write(spot(tmp_path, "x"), JOB, pieces(b"one", b"", b"two"))
        assert (tmp_path / "x").read_bytes() == b"onetwo"
        assert listed(tmp_path) == ["x"]

    async def test_not_seen_before_it_is_whole(self, tmp_path: Path) -> None:
        async def looking() -> AsyncIterator[bytes]:
            yield b"one"
            (hidden,) = listed(tmp_path)
            assert hidden.startswith(f".x.{JOB}.")
            yield b"two"

        await disk.write(spot(tmp_path, "x"), JOB, looking())
        assert (tmp_path / "x").read_bytes() == b"onetwo"

    async def test_a_failure_leaves_nothing(self, tmp_path: Path) -> None:
        with pytest.raises(ZeroDivisionError):
            await disk.write(spot(tmp_path, "x"), JOB, pieces(b"one", ZeroDivisionError()))
        assert listed(tmp_path) == []

    async def test_again_after_a_crash(self, tmp_path: Path) -> None:
        """The output was given its name, and nobody wrote down that it was."""
        (tmp_path / f".x.{JOB}.0123").write_bytes(b"on")
        (tmp_path / f".x.{JOB}2.0123").write_bytes(b"another job's")
        for _ in range(2):
            await disk.write(spot(tmp_path, "x"), JOB, pieces(b"one"))
        assert listed(tmp_path) == [f".x.{JOB}2.0123", "x"]
        assert (tmp_path / "x").read_bytes() == b"one"

    @pytest.mark.parametrize("links", [True, False])
    @pytest.mark.parametrize("other", [b"two", b"longer", b"", "a folder", "a link"])
    async def test_nothing_is_written_over(
        self, tmp_path: Path, other: bytes | str, links: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        if not links:
            monkeypatch.setattr(os, "link", _refused)
        if isinstance(other, bytes):
            (tmp_path / "x").write_bytes(other)
        elif other == "a folder":
            (tmp_path / "x").mkdir()
        else:
            (tmp_path / "x").symlink_to("/dev/null")
        with pytest.raises(JobFailed, match="was made meanwhile"):
            await disk.write(spot(tmp_path, "x"), JOB, pieces(b"one"))
        assert listed(tmp_path) == ["x"]
        if isinstance(other, bytes):
            assert (tmp_path / "x").read_bytes() == other

    async def test_a_disk_without_links(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(os, "link", _refused)
        for _ in range(2):
            await disk.write(spot(tmp_path, "x"), JOB, pieces(b"one"))
        assert listed(tmp_path) == ["x"]
        assert (tmp_path / "x").read_bytes() == b"one"

    @pytest.mark.parametrize(
        ("number", "error", "said"),
        [
            (errno.ENOSPC, StorageFailed, "no space left on the disk of"),
            (errno.EDQUOT, StorageFailed, "no space left on the disk of"),
            (errno.EIO, StorageFailed, "failed: Input/output error"),
            (errno.EROFS, JobFailed, "cannot be written: Read-only file system"),
        ],
    )
    async def test_a_disk_that_is_full_or_broken(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        number: int,
        error: type[Exception],
        said: str,
    ) -> None:
        def fail(descriptor: int) -> None:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(os, "fsync", fail)
        with pytest.raises(error, match=said):
            await disk.write(spot(tmp_path, "x"), JOB, pieces(b"one"))
        assert listed(tmp_path) == []

    async def test_the_folder_is_gone(self, tmp_path: Path) -> None:
        with pytest.raises(JobFailed, match="No such file or directory"):
            await disk.write(spot(tmp_path, "deep", "x"), JOB, pieces(b"one"))

    def test_what_is_left_is_removed(self, tmp_path: Path) -> None:
        (tmp_path / f".x.{JOB}.0123").write_bytes(b"on")
        (tmp_path / "x").write_bytes(b"one")
        disk.remove_left(spot(tmp_path, "x"), JOB)
        assert listed(tmp_path) == ["x"]
        disk.remove_left(spot(tmp_path, "no", "folder"), JOB)


def _refused(*given: Any, **named: Any) -> None:
    raise OSError(errno.EPERM, "there are no links here")
