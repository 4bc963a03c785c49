"""Merged models in the blobs: made once, whole or not at all, and gone with their adapter."""

from __future__ import annotations

import asyncio
import dataclasses
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from paddock.errors import NotFound, StorageFailed, UnsupportedParameter
from paddock.services import adapter_files, adapters, blob_files, jobs
from paddock.services.adapters import Adapter
from paddock.services.blob_files import StoredFile
from paddock.services.deployments import LOCAL
from paddock.services.finetunes.spec import KIND
from paddock.services.jobs import NewJob
from paddock.services.merging import Merger, merged_files
from paddock.services.platform import Platform
from paddock.store.blobs import Blobs, BlobWriter
from paddock.weights.merging import MergedFile
from tests.unit.engines.lora import write_lora
from tests.unit.engines.tiny import write_llama

FILES = ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]


@pytest.fixture
async def adapter(platform: Platform, tmp_path: Path) -> Adapter:
    """Of a small base, as a fine-tune leaves it."""
    identity = adapters.new_id()
    files = []
    for path in sorted(write_lora(tmp_path / "lora").iterdir()):
        blob = f"{adapter_files.folder(platform, identity)}/1/{path.name}"
        files.append(StoredFile(path.name, blob, *await blob_files.keep(platform.blobs, path, blob)))
    made = Adapter(
        id=identity,
        name="base.shop.1",
        model="base",
        source=str(write_llama(tmp_path / "base")),
        job_id="ft_1",
        gguf=files[0].blob,
        gguf_bytes=files[0].bytes,
        files=files,
    )
    await platform.change(lambda session: adapters.add(session, LOCAL, made, time.time()))
    return made


class Making:
    """
    Attributes:
        names: the files whose bytes were made, in that order.
        begun: set with the first of them.
    """

    def __init__(self) -> None:
        self.names: list[str] = []
        self.begun = asyncio.Event()


@pytest.fixture
def making(monkeypatch: pytest.MonkeyPatch) -> Making:
    making, read = Making(), MergedFile.read

    def watched(file: MergedFile) -> Iterator[bytes]:
        making.names.append(file.name)
        making.begun.set()
        return read(file)

    monkeypatch.setattr(MergedFile, "read", watched)
    return making


async def merged_blobs(platform: Platform, adapter: Adapter) -> list[str]:
    found = await platform.blobs.list(adapter_files.folder(platform, adapter.id))
    return [blob.key for blob in found if "/merged" in blob.key]


class Full:
    """Blobs on a disk that has no room for a model's weights; without an end to the writing if it `hangs`."""

    def __init__(self, blobs: Blobs, hangs: asyncio.Event | None = None) -> None:
        self._blobs = blobs
        self._hangs = hangs

    def __getattr__(self, name: str) -> object:
        return getattr(self._blobs, name)

    async def writer(self, key: str) -> BlobWriter:
        if key.endswith("model.safetensors"):
            if self._hangs is None:
                raise StorageFailed("no space left on the disk")
            self._hangs.set()
            await asyncio.Event().wait()
        return await self._blobs.writer(key)


async def test_it_is_made_once(platform: Platform, adapter: Adapter, making: Making) -> None:
    """By two processes, of which each is asked twice."""
    one, other = Merger(platform), Merger(platform)
    asked = [merger.files(LOCAL, adapter) for merger in (one, other, one, other)]
    found = await asyncio.gather(*asked)
    assert all(files == found[0] for files in found)
    assert making.names == [file.name for file in found[0]] == FILES
    assert await one.files(LOCAL, adapter) == await merged_files(platform, adapter.id) == found[0]
    for file in found[0]:
        assert await platform.blobs.size(file.blob) == file.bytes


async def test_who_asked_may_leave(platform: Platform, adapter: Adapter, making: Making) -> None:
    merger = Merger(platform)
    asking = asyncio.ensure_future(merger.files(LOCAL, adapter))
    await making.begun.wait()
    asking.cancel()
    await merger.files(LOCAL, adapter)
    assert making.names == FILES


async def test_cut_off_in_the_middle_it_is_made_again(
    platform: Platform, adapter: Adapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("paddock.store.leases.SECONDS", 0.2)
    hangs = asyncio.Event()
    blobs: Blobs = Full(platform.blobs, hangs)  # type: ignore[assignment]
    killed = Merger(dataclasses.replace(platform, blobs=blobs))
    asking = asyncio.ensure_future(killed.files(LOCAL, adapter))
    await hangs.wait()
    assert await merged_files(platform, adapter.id) is None
    (task,) = killed._making.values()
    task.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    assert await merged_files(platform, adapter.id) is None
    assert [file.name for file in await Merger(platform).files(LOCAL, adapter)] == FILES


async def test_a_full_disk(platform: Platform, adapter: Adapter) -> None:
    blobs: Blobs = Full(platform.blobs)  # type: ignore[assignment]
    with pytest.raises(StorageFailed, match="no space left"):
        await Merger(dataclasses.replace(platform, blobs=blobs)).files(LOCAL, adapter)
    assert await merged_blobs(platform, adapter) == []
    assert await Merger(platform).files(LOCAL, adapter)


async def test_what_cannot_be_merged(platform: Platform, adapter: Adapter) -> None:
    shutil.rmtree(adapter.source)
    write_llama(Path(adapter.source), hidden_size=128)
    with pytest.raises(
        UnsupportedParameter, match=r"base\.shop\.1 cannot be merged.*the base and rank 4 imply"
    ) as raised:
        await Merger(platform).files(LOCAL, adapter)
    assert raised.value.param == "download_format"
    assert await merged_blobs(platform, adapter) == []


class TestDeleting:
    async def test_it_goes_with_the_adapter(self, platform: Platform, adapter: Adapter) -> None:
        await Merger(platform).files(LOCAL, adapter)
        await adapters.delete(platform, LOCAL, adapter.name)
        assert await platform.blobs.list(adapter_files.everything(platform)) == []

    async def test_deleted_while_it_is_made_nothing_stays(
        self, platform: Platform, adapter: Adapter, making: Making
    ) -> None:
        asking = asyncio.ensure_future(Merger(platform).files(LOCAL, adapter))
        await making.begun.wait()
        await adapters.delete(platform, LOCAL, adapter.name)
        with pytest.raises(NotFound, match="there is no adapter"):
            await asking
        assert await merged_blobs(platform, adapter) == []


class TestSweep:
    """What is old is removed if nobody needs it; the clock is turned on to make it old."""

    @pytest.fixture
    def later(self, monkeypatch: pytest.MonkeyPatch) -> None:
        now = time.time()
        monkeypatch.setattr("paddock.services.adapter_files.time.time", lambda: now + 2 * 24 * 3600)

    async def store(self, platform: Platform, tmp_path: Path, key: str) -> str:
        path = tmp_path / "bytes"
        path.write_bytes(b"abc")
        await blob_files.keep(platform.blobs, path, key)
        return key

    async def keys(self, platform: Platform) -> set[str]:
        return {blob.key for blob in await platform.blobs.list(adapter_files.everything(platform))}

    async def test_what_is_needed_stays(self, platform: Platform, adapter: Adapter, later: None) -> None:
        files = await Merger(platform).files(LOCAL, adapter)
        before = await self.keys(platform)
        await adapter_files.sweep(platform)
        assert await self.keys(platform) == before >= {file.blob for file in files}

    async def test_what_killed_processes_left_goes(
        self, platform: Platform, adapter: Adapter, tmp_path: Path, later: None
    ) -> None:
        before = await self.keys(platform)
        for key in (
            f"{adapter_files.folder(platform, 'adp-never')}/1/adapter.gguf",
            f"{adapter_files.folder(platform, adapter.id)}/0/adapter.gguf",
            f"{adapter_files.merged(platform, adapter.id)}/config.json",
        ):
            await self.store(platform, tmp_path, key)
        await adapter_files.sweep(platform)
        assert await self.keys(platform) == before

    async def test_what_is_new_stays(self, platform: Platform, adapter: Adapter, tmp_path: Path) -> None:
        key = f"{adapter_files.folder(platform, 'adp-soon')}/1/adapter.gguf"
        await self.store(platform, tmp_path, key)
        merged = f"{adapter_files.merged(platform, adapter.id)}/config.json"
        await self.store(platform, tmp_path, merged)
        await adapter_files.sweep(platform)
        assert {key, merged} < await self.keys(platform)

    async def test_a_job_that_is_not_over_keeps_its_own(
        self, platform: Platform, tmp_path: Path, later: None
    ) -> None:
        job = await jobs.create(
            platform, LOCAL, NewJob("ft_1", KIND, "openai", {"adapter_id": "adp-soon"}, seconds=60.0)
        )
        key = f"{adapter_files.folder(platform, 'adp-soon')}/1/adapter.gguf"
        await self.store(platform, tmp_path, key)
        await adapter_files.sweep(platform)
        assert await self.keys(platform) == {key}
        await jobs.cancel(platform, LOCAL, job.id)
        await adapter_files.sweep(platform)
        assert await self.keys(platform) == set()

    async def test_files_for_llama_cpp_on_this_machine(
        self, platform: Platform, adapter: Adapter, later: None
    ) -> None:
        folder = adapter_files.on_this_machine(platform)
        folder.mkdir(parents=True)
        for name in (f"{adapter.id}.gguf", "adp-gone.gguf", f"{adapter.id}.gguf.1a2b.part"):
            (folder / name).write_bytes(b"abc")
        await adapter_files.sweep(platform)
        assert [path.name for path in folder.iterdir()] == [f"{adapter.id}.gguf"]
        await adapters.delete(platform, LOCAL, adapter.id)
        await adapter_files.sweep(platform)
        assert list(folder.iterdir()) == []
