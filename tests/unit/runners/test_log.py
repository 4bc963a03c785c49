from __future__ import annotations

import os
from pathlib import Path

import pytest

from paddock.runners import log as module
from paddock.runners.local import file_name
from paddock.runners.log import ProcessLog, forget_old_logs


@pytest.fixture
def log(tmp_path: Path) -> ProcessLog:
    made = ProcessLog(tmp_path / "logs" / "x.log")
    made.open().close()
    return made


def append(log: ProcessLog, text: str) -> None:
    with log.path.open("a") as stream:
        stream.write(text)


class TestRead:
    def test_whole_lines_only(self, log: ProcessLog) -> None:
        append(log, "one\ntwo\nthr")
        lines, offset = log.read(0)
        assert (lines, offset) == (["one", "two"], 8)
        append(log, "ee\n")
        assert log.read(offset) == (["three"], 14)
        assert log.read(14) == ([], 14)

    def test_a_line_without_an_end_stops_nobody(
        self, log: ProcessLog, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "KEPT_BYTES", 10)
        append(log, "x" * 25)
        lines, offset = log.read(0)
        assert (lines, offset) == (["x" * 10], 10)

    def test_nothing_that_a_store_cannot_keep(self, log: ProcessLog) -> None:
        append(log, "a\0b\n")
        assert log.read(0) == (["a\ufffdb"], 4)
        assert log.tail(1) == ["a\ufffdb"]

    def test_a_file_that_is_gone(self, log: ProcessLog) -> None:
        log.path.unlink()
        assert log.read(7) == ([], 7)
        assert log.tail(3) == []

    def test_the_last_lines_that_are_not_empty(self, log: ProcessLog) -> None:
        append(log, "".join(f"line {number}\n\n" for number in range(5000)))
        assert log.tail(2) == ["line 4998", "line 4999"]


class TestShrink:
    def test_the_oldest_lines_go_and_readers_go_on(
        self, log: ProcessLog, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "LARGEST", 1000)
        monkeypatch.setattr(module, "KEPT_BYTES", 100)
        with log.path.open("a") as process:
            process.write("".join(f"{number:09}\n" for number in range(200)))
            process.flush()
            _, offset = log.read(1900)
            log.shrink()
            assert log.path.stat().st_size < 100
            process.write("after\n")
        assert log.read(offset)[0] == ["after"]
        assert log.read(0)[0][0] == "000000191"
        assert log.read(0)[0][-1] == "after"
        assert log.read(0)[1] == 2006

    def test_a_small_one_stays(self, log: ProcessLog) -> None:
        append(log, "one\n")
        log.shrink()
        assert log.read(0) == (["one"], 4)


class TestForgetOldLogs:
    def test_the_newest_stay(self, tmp_path: Path) -> None:
        for number in range(6):
            (tmp_path / f"{number}.log").touch()
            os.utime(tmp_path / f"{number}.log", (number, number))
        (tmp_path / "notes.txt").touch()
        forget_old_logs(tmp_path, {tmp_path / "0.log"}, keep=2)
        assert sorted(file.name for file in tmp_path.iterdir()) == ["0.log", "4.log", "5.log", "notes.txt"]

    def test_no_folder(self, tmp_path: Path) -> None:
        forget_old_logs(tmp_path / "nothing", set())


class TestFileName:
    def test_names_that_differ_have_files_that_differ(self) -> None:
        assert file_name("foal-1") == "foal-1.log"
        names = ["org/foal", "org-foal", "org:foal", "..", ".", "", "ö", "x" * 300, "x" * 301]
        files = [file_name(name) for name in names]
        assert len(set(files)) == len(names)
        assert not [file for file in files if "/" in file or file.startswith(".") or len(file) > 120]
