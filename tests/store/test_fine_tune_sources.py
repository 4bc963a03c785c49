"""Where a fine-tune's rows may lie: stored files, folders that the operator allowed, S3 and the web."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from paddock.errors import InvalidRequest, UnsupportedParameter
from paddock.services import files
from paddock.services.deployments import LOCAL
from paddock.services.finetunes.sources import open_source, shown, taken
from paddock.services.paths import S3
from paddock.services.platform import Platform
from paddock.store.blobs.s3 import S3Blobs
from tests.store import s3

PARAM = "training_file"
ROWS = b"prompt,response\na,b\n"


@pytest.fixture(scope="module")
def storage() -> Iterator[s3.S3]:
    with s3.running() as server:
        yield server


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "shared"
    path.mkdir()
    (path / "rows.csv").write_bytes(ROWS)
    return path


def with_settings(platform: Platform, **settings: Any) -> Platform:
    return dataclasses.replace(platform, settings=dataclasses.replace(platform.settings, **settings))


async def read(platform: Platform, text: str, *, anywhere: bool = True) -> tuple[bytes, str]:
    source = await open_source(platform, LOCAL, text, PARAM, anywhere=anywhere)
    return b"".join([piece async for piece in source.pieces]), source.name


async def refused(platform: Platform, text: str, **options: bool) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        await read(platform, text, **options)
    assert caught.value.param == PARAM
    return caught.value


class TestStoredFiles:
    async def test_by_id(self, platform: Platform) -> None:
        async def pieces() -> AsyncIterator[bytes]:
            yield ROWS

        received = await files.receive(platform, pieces())
        file = await files.keep(platform, LOCAL, received, "rows.csv", "fine-tune")
        assert await read(platform, file.id) == (ROWS, "rows.csv")
        assert taken(file.id) == f"file:{file.id}"

    @pytest.mark.parametrize("text", ["file-0123456789abcdef01234567", "rows.csv", "some/rows.csv", "~", ""])
    async def test_what_names_none(self, platform: Platform, text: str) -> None:
        await refused(platform, text)

    @pytest.mark.parametrize("text", ["https://example.com/x", "/rows.csv", "s3://bucket/x", "rows.csv"])
    async def test_a_dialect_that_takes_ids_only(self, platform: Platform, text: str) -> None:
        said = await refused(platform, text, anywhere=False)
        assert isinstance(said, UnsupportedParameter)
        assert "must be the id of a stored file" in said.message


class TestPaths:
    async def test_below_an_allowed_folder(self, platform: Platform, folder: Path) -> None:
        allowed = with_settings(platform, allow_path=str(folder))
        assert await read(allowed, f"{folder}/rows.csv") == (ROWS, "rows.csv")
        assert await read(allowed, f"file://{folder}/rows.csv") == (ROWS, "rows.csv")

    async def test_outside_of_them(self, platform: Platform, folder: Path, tmp_path: Path) -> None:
        (tmp_path / "other.csv").write_bytes(ROWS)
        (folder / "link.csv").symlink_to(tmp_path / "other.csv")
        os.symlink("/etc", folder / "etc")
        allowed = with_settings(platform, allow_path=str(folder))
        for path in (f"{tmp_path}/other.csv", f"{folder}/link.csv", f"{folder}/etc/hosts", f"{folder}/../x"):
            assert (await refused(allowed, path)).code == "path_not_allowed"
        assert (await refused(platform, f"{folder}/rows.csv")).code == "path_not_allowed"

    async def test_what_is_no_file(self, platform: Platform, folder: Path) -> None:
        os.mkfifo(folder / "pipe")
        allowed = with_settings(platform, allow_path=str(folder), max_file=len(ROWS) - 1)
        assert "regular file" in (await refused(allowed, f"{folder}/pipe")).message
        assert "no file" in (await refused(allowed, f"{folder}/none.csv")).message
        assert "at most" in (await refused(allowed, f"{folder}/rows.csv")).message


class TestS3:
    async def test_an_object(
        self, platform: Platform, storage: s3.S3, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name, value in storage.environment.items():
            monkeypatch.setenv(name, value)
        bucket = f"{S3}{storage.bucket()}"
        writer = await S3Blobs(bucket).writer("some/rows.csv")
        await writer.write(ROWS)
        await writer.commit()
        assert await read(platform, f"{bucket}/some/rows.csv") == (ROWS, "rows.csv")
        assert "no object" in (await refused(platform, f"{bucket}/none.csv")).message
        small = with_settings(platform, max_file=3)
        assert "at most 3" in (await refused(small, f"{bucket}/some/rows.csv")).message
        other = with_settings(platform, allow_path=f"{bucket}/other")
        assert (await refused(other, f"{bucket}/some/rows.csv")).code == "path_not_allowed"


class TestTheWeb:
    @pytest.mark.parametrize(
        ("address", "said"),
        [
            ("http://example.com/rows.csv", "must begin with https"),
            ("https://localhost/rows.csv", "private network"),
            ("HTTPS://127.0.0.1/rows.csv?key=secret", "private network"),
            ("https://[::1/rows.csv", "such as"),
        ],
    )
    async def test_what_may_not_be_named(self, platform: Platform, address: str, said: str) -> None:
        message = (await refused(platform, address)).message
        assert said in message
        assert "secret" not in message

    def test_is_kept_without_its_query(self) -> None:
        assert shown("https://a.example/rows.csv?key=secret#x") == "https://a.example/rows.csv"
        assert taken("https://a.example/rows.csv?key=secret") == "https://a.example/rows.csv"
        assert shown("/data/what?.csv") == "/data/what?.csv"
