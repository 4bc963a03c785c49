from __future__ import annotations

import os
from pathlib import Path

import pytest

from paddock.engines.machine import available_cores, memory_size

MACHINE = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def write(folder: Path, **files: str) -> Path:
    """Control files by their names, with `__` for `/` and `_dot_` for `.`."""
    for name, content in files.items():
        path = folder / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"{content}\n")
    return folder


class TestMemorySize:
    def test_the_machines_without_a_limit(self, tmp_path: Path) -> None:
        assert memory_size(tmp_path) == MACHINE
        assert memory_size(write(tmp_path, memory_dot_max="max")) == MACHINE

    @pytest.mark.parametrize("name", ["memory_dot_max", "memory__memory_dot_limit_in_bytes"])
    def test_a_containers_limit(self, tmp_path: Path, name: str) -> None:
        assert memory_size(write(tmp_path, **{name: "1048576"})) == 1048576

    def test_a_limit_above_the_machines(self, tmp_path: Path) -> None:
        folder = write(tmp_path, memory__memory_dot_limit_in_bytes="9223372036854771712")
        assert memory_size(folder) == MACHINE


class TestAvailableCores:
    @pytest.fixture(autouse=True)
    def eight_cores(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
        monkeypatch.setattr(os, "cpu_count", lambda: 64)

    @pytest.mark.parametrize(
        ("quota", "cores"),
        [
            ("max 100000", 8),
            ("200000 100000", 2),
            ("250000 100000", 2),
            ("50000 100000", 1),
            ("1600000 100000", 8),
            ("nonsense", 8),
            ("100000 0", 8),
        ],
    )
    def test_a_containers_quota(self, tmp_path: Path, quota: str, cores: int) -> None:
        assert available_cores(write(tmp_path, cpu_dot_max=quota)) == cores

    @pytest.mark.parametrize(("quota", "cores"), [("-1", 8), ("300000", 3)])
    def test_a_quota_of_version_1(self, tmp_path: Path, quota: str, cores: int) -> None:
        files = {"cpu__cpu_dot_cfs_quota_us": quota, "cpu__cpu_dot_cfs_period_us": "100000"}
        assert available_cores(write(tmp_path, **files)) == cores

    def test_without_a_quota_those_it_is_bound_to(self, tmp_path: Path) -> None:
        assert available_cores(tmp_path) == 8

    def test_where_nothing_binds_a_process(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delattr(os, "sched_getaffinity")
        assert available_cores(tmp_path) == 64
