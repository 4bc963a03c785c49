"""Where a batch's input and output lie: stored files, folders that the operator allowed, and S3."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from paddock.errors import InvalidRequest, JobFailed, NotFound, UnsupportedParameter
from paddock.services import files
from paddock.services.batches import places
from paddock.services.batches.places import Source, Target
from paddock.services.batches.spec import BatchSpec
from paddock.services.deployments import LOCAL
from paddock.services.platform import Platform
from tests.store import s3
from tests.store.s3 import S3

JOB = "batch_0123456789abcdef01234567"
CONTENT = '{"prompts": ["é"]}'.encode()


@pytest.fixture(scope="module")
def storage() -> Iterator[S3]:
    with s3.running() as server:
        yield server


@pytest.fixture
def bucket(storage: S3, monkeypatch: pytest.MonkeyPatch) -> str:
    for name, value in storage.environment.items():
        monkeypatch.setenv(name, value)
    return f"s3://{storage.bucket()}"


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    folder = tmp_path / "shared"
    folder.mkdir()
    return folder


def with_settings(platform: Platform, **settings: Any) -> Platform:
    return dataclasses.replace(platform, settings=dataclasses.replace(platform.settings, **settings))


async def pieces(*given: bytes) -> AsyncIterator[bytes]:
    for piece in given:
        yield piece


async def store(platform: Platform, content: bytes, name: str = "in.json", project: str = LOCAL) -> str:
    received = await files.receive(platform, pieces(content))
    return (await files.keep(platform, project, received, name, "batch")).id


async def opened(platform: Platform, source: Source, offset: int = 0) -> bytes:
    spec = BatchSpec(source.kind, source.value, "name", "out.json")
    return b"".join([piece async for piece in await places.open_input(platform, LOCAL, spec, offset)])


def output(kind: Any, value: str) -> BatchSpec:
    return BatchSpec("blob", "", kind, value)


class TestStoredFiles:
    async def test_by_id_and_as_the_newest_of_a_name(self, platform: Platform) -> None:
        old = await store(platform, b"{}")
        new = await store(platform, CONTENT)
        assert await places.find_input(platform, LOCAL, old) == Source("file", old, f"file:{old}")
        found = await places.find_input(platform, LOCAL, "in.json")
        assert found == Source("file", new, f"file:{new}")
        assert await opened(platform, found) == CONTENT
        assert await opened(platform, found, 5) == CONTENT[5:]

    async def test_what_is_not_there(self, platform: Platform) -> None:
        theirs = await store(platform, CONTENT, "theirs", project="other")
        for text in (theirs, "theirs", "file-0123456789abcdef01234567", "nothing.json"):
            with pytest.raises(InvalidRequest, match=r"^input_data_path: ") as raised:
                await places.find_input(platform, LOCAL, text)
            assert (raised.value.param, raised.value.code) == ("input_data_path", "file_not_found")

    @pytest.mark.parametrize(
        ("content", "said"),
        [(b"", "is empty"), (b'"\xff"', "is not UTF-8"), (b"0" * 100, "has 100 bytes, and at most 50")],
    )
    async def test_what_cannot_be_read(self, platform: Platform, content: bytes, said: str) -> None:
        await store(platform, content)
        with pytest.raises(InvalidRequest, match=said):
            await places.find_input(with_settings(platform, max_file=50), LOCAL, "in.json")

    async def test_a_name_that_is_taken(self, platform: Platform) -> None:
        free = await places.find_output(platform, LOCAL, JOB, "out.json")
        assert free == Target("name", "out.json", "name:out.json")
        await store(platform, CONTENT, "out.json")
        with pytest.raises(InvalidRequest) as raised:
            await places.find_output(platform, LOCAL, JOB, "out.json")
        assert (raised.value.param, raised.value.code) == ("output_data_path", "output_exists")
        await platform.store.read(lambda session: places.check_still_so(session, "other", None, free))
        with pytest.raises(InvalidRequest):
            await platform.store.read(lambda session: places.check_still_so(session, LOCAL, None, free))

    async def test_an_id_is_no_output(self, platform: Platform) -> None:
        with pytest.raises(InvalidRequest, match="must not be the id of a file"):
            await places.find_output(platform, LOCAL, JOB, "file-0123456789abcdef01234567")

    async def test_what_was_deleted_meanwhile(self, platform: Platform) -> None:
        source = await places.find_input(platform, LOCAL, await store(platform, CONTENT))
        target = Target("name", "out.json", "name:out.json")
        await platform.store.read(lambda session: places.check_still_so(session, LOCAL, source, target))
        await files.delete(platform, LOCAL, source.value)
        with pytest.raises(InvalidRequest) as raised:
            await platform.store.read(lambda session: places.check_still_so(session, LOCAL, source, target))
        assert raised.value.param == "input_data_path"
        with pytest.raises(NotFound):
            await opened(platform, source)


class TestPaths:
    async def test_nothing_is_allowed_on_loopback(self, platform: Platform, shared: Path) -> None:
        assert platform.settings.host == "127.0.0.1"
        (shared / "in.json").write_bytes(CONTENT)
        for text in (f"{shared}/in.json", f"file://{shared}/nothing", "/etc/passwd", "/dev/null"):
            with pytest.raises(InvalidRequest, match="--allow-path") as raised:
                await places.find_input(platform, LOCAL, text)
            assert raised.value.code == "path_not_allowed"
        with pytest.raises(InvalidRequest, match="--allow-path"):
            await places.find_output(platform, LOCAL, JOB, f"{shared}/out.json")

    async def test_input(self, platform: Platform, shared: Path) -> None:
        allowing = with_settings(platform, allow_path=str(shared))
        (shared / "in.json").write_bytes(CONTENT)
        for text in (f"{shared}/in.json", f"file://{shared}/x/../in.json"):
            found = await places.find_input(allowing, LOCAL, text)
            assert found == Source("path", f"{shared}/in.json", f"path:{shared}/in.json")
        assert await opened(allowing, found, 5) == CONTENT[5:]
        with pytest.raises(InvalidRequest, match="--allow-path"):
            await opened(platform, found)

    @pytest.mark.parametrize(
        ("content", "said"),
        [
            (b"", "is empty"),
            (b'"\xff"', "is not UTF-8"),
            (b'"\xc3', "is not UTF-8"),
            (b"0" * 100, "at most 50 are read"),
            (None, "there is no file"),
        ],
    )
    async def test_input_that_cannot_be_read(
        self, platform: Platform, shared: Path, content: bytes | None, said: str
    ) -> None:
        if content is not None:
            (shared / "in.json").write_bytes(content)
        allowing = with_settings(platform, allow_path=str(shared), max_file=50)
        with pytest.raises(InvalidRequest, match=said) as raised:
            await places.find_input(allowing, LOCAL, f"{shared}/in.json")
        assert raised.value.param == "input_data_path"

    async def test_output(self, platform: Platform, shared: Path) -> None:
        allowing = with_settings(platform, allow_path=str(shared))
        found = await places.find_output(allowing, LOCAL, JOB, f"file://{shared}/out.json")
        assert found == Target("path", f"{shared}/out.json", f"path:{shared}/out.json")
        for _ in range(2):
            await places.write_output(allowing, JOB, output("path", found.value), pieces(b"[", b"]"))
        assert (shared / "out.json").read_bytes() == b"[]"
        with pytest.raises(InvalidRequest) as raised:
            await places.find_output(allowing, LOCAL, JOB, f"{shared}/out.json")
        assert raised.value.code == "output_exists"

    async def test_output_that_is_not_allowed_any_more(self, platform: Platform, shared: Path) -> None:
        with pytest.raises(JobFailed, match="--allow-path"):
            await places.write_output(platform, JOB, output("path", f"{shared}/x"), pieces(b"[]"))
        await places.discard(platform, JOB, output("path", f"{shared}/x"))

    async def test_what_was_begun_is_discarded(self, platform: Platform, shared: Path) -> None:
        (shared / f".out.json.{JOB}.01234567").write_bytes(b"[")
        allowing = with_settings(platform, allow_path=str(shared))
        await places.discard(allowing, JOB, output("path", f"{shared}/out.json"))
        await places.discard(allowing, JOB, output("name", "out.json"))
        assert [*shared.iterdir()] == []  # noqa: ASYNC240


class TestS3:
    async def test_there_and_back(self, platform: Platform, bucket: str) -> None:
        address = f"{bucket}/deep/out.json"
        target = await places.find_output(platform, LOCAL, JOB, address)
        assert target == Target("s3", address, address)
        for _ in range(2):
            await places.write_output(platform, JOB, output("s3", address), pieces(CONTENT[:5], CONTENT[5:]))
        source = await places.find_input(platform, LOCAL, address)
        assert source == Source("s3", address, address)
        assert await opened(platform, source, 5) == CONTENT[5:]
        with pytest.raises(InvalidRequest) as raised:
            await places.find_output(platform, LOCAL, JOB, address)
        assert raised.value.code == "output_exists"
        with pytest.raises(JobFailed, match="was made meanwhile"):
            await places.write_output(platform, JOB, output("s3", address), pieces(b"other"))
        assert await opened(platform, source) == CONTENT
        await places.discard(platform, JOB, output("s3", address))

    async def test_what_is_not_there(self, platform: Platform, bucket: str) -> None:
        for address in (f"{bucket}/nothing", "s3://no-such-bucket/nothing"):
            with pytest.raises(InvalidRequest, match="there is no object"):
                await places.find_input(platform, LOCAL, address)
        with pytest.raises(InvalidRequest) as raised:
            await places.find_output(platform, LOCAL, JOB, "s3://no-such-bucket/nothing")
        assert raised.value.code == "output_not_writable"

    async def test_without_what_speaks_it(self, platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "paddock.store.blobs.s3", None)
        with pytest.raises(UnsupportedParameter, match=r"pip install 'paddock\[s3\]'"):
            await places.find_input(platform, LOCAL, "s3://bucket/x")

    async def test_the_servers_own(self, platform: Platform, bucket: str) -> None:
        keeping = with_settings(platform, blobs=f"{bucket}/own")
        with pytest.raises(InvalidRequest, match="may not be named"):
            await places.find_input(keeping, LOCAL, f"{bucket}/own/files/x")
        with pytest.raises(InvalidRequest, match="may not be named"):
            await places.find_output(keeping, LOCAL, JOB, f"{bucket}/own/files/x")

    async def test_a_failure_leaves_nothing(self, platform: Platform, bucket: str, storage: S3) -> None:
        async def broken() -> AsyncIterator[bytes]:
            yield b"["
            raise ZeroDivisionError

        address = f"{bucket}/out.json"
        with pytest.raises(ZeroDivisionError):
            await places.write_output(platform, JOB, output("s3", address), broken())
        with pytest.raises(InvalidRequest, match="there is no object"):
            await places.find_input(platform, LOCAL, address)
        assert storage.unfinished(bucket.removeprefix("s3://")) == 0
