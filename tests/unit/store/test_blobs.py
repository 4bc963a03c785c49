"""Which place for blobs the settings mean, and what is wrong with them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from paddock.errors import StartupError
from paddock.settings import Settings
from paddock.store.blobs import open_blobs


class TestOpen:
    def test_the_data_folder_by_default(self, tmp_path: Path) -> None:
        open_blobs(Settings(data_dir=tmp_path / "data"))
        assert (tmp_path / "data" / "blobs").is_dir()

    def test_a_folder_that_cannot_be_made(self, tmp_path: Path) -> None:
        (tmp_path / "data").write_text("a file")
        with pytest.raises(StartupError, match="choose another --data-dir"):
            open_blobs(Settings(data_dir=tmp_path / "data"))

    @pytest.mark.parametrize("blobs", ["gs://bucket", "bucket", "/folder", "S3://bucket"])
    def test_another_address(self, tmp_path: Path, blobs: str) -> None:
        with pytest.raises(StartupError, match="must be s3://BUCKET or s3://BUCKET/PREFIX, not"):
            open_blobs(Settings(data_dir=tmp_path, blobs=blobs))

    def test_an_address_without_a_bucket(self, tmp_path: Path) -> None:
        with pytest.raises(StartupError, match="blobs = 's3:///a' is not understood"):
            open_blobs(Settings(data_dir=tmp_path, blobs="s3:///a"))

    def test_without_what_speaks_s3(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delitem(sys.modules, "paddock.store.blobs.s3", raising=False)
        monkeypatch.setitem(sys.modules, "obstore", None)
        with pytest.raises(StartupError, match=r"pip install 'paddock\[s3\]'"):
            open_blobs(Settings(data_dir=tmp_path, blobs="s3://bucket"))
