"""`paddock worker`: what it hands on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from paddock.main import jobs
from paddock.settings import Settings

Run = Callable[..., tuple[int, str, str]]


def test_options(paddock: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[tuple[Settings, Sequence[str]]] = []

    def work(settings: Settings, attached: Sequence[str], announce: Callable[[str], None]) -> None:
        given.append((settings, attached))
        announce("it works")

    monkeypatch.setattr(jobs, "work", work)
    url = "postgresql://paddock@db/paddock"
    options = ["--data-dir", str(tmp_path), "--database-url", url, "--jobs", "2", "--attach", "a=http://b"]
    assert paddock("worker", *options) == (0, "", "it works\n")
    ((settings, attached),) = given
    assert (settings.data_dir, settings.database_url, settings.jobs) == (tmp_path, url, 2)
    assert attached == ("a=http://b",)
