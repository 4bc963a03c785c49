from __future__ import annotations

import dataclasses
import os
import time
from pathlib import Path
from typing import Any

import pytest

from paddock.errors import Conflict, InvalidRequest, ModelNotFound, NotFound, StartupError
from paddock.schemas.own import CreateDeployment, Deployment, UpdateDeployment
from paddock.services import adapters, deployments, jobs, tuned_deployments, tuned_files, tuned_models
from paddock.services.adapters import Adapter
from paddock.services.blob_files import StoredFile
from paddock.services.deployments import LOCAL
from paddock.services.jobs import NewJob
from paddock.services.platform import Platform, write_nodes
from paddock.services.tuned_models import TunedModel
from paddock.store.blobs import new_blob
from paddock.store.tables import JobRow
from paddock.weights.facts import describe
from paddock.weights.resolve import resolve, tuned_folder
from tests.store.fakes import NODE

NAME = "paddock/foal.shop.20261128-120000-000"
FILES = {"config.json": b"{}", "model.safetensors": b"weights"}


@pytest.fixture
async def here(platform: Platform) -> Platform:
    await platform.change(lambda session: write_nodes(session, [NODE], 0.0))
    return platform


async def stored(platform: Platform, name: str = NAME, job: str = "ft_1") -> TunedModel:
    """A model whose bytes lie in the blobs, and of which nothing tells yet."""
    identity = tuned_models.new_id()
    facts = dataclasses.replace(
        describe(resolve("foal")), name=name, source=tuned_models.source(identity), parent="paddock/foal"
    )
    files = []
    for file, content in FILES.items():
        key = f"{tuned_models.folder(platform, job)}/1/{file}"
        async with new_blob(platform.blobs, key) as writer:
            await writer.write(content)
        files.append(StoredFile(file, key, len(content), ""))
    return TunedModel(identity, name, "paddock/foal", job, files, facts)


async def announce(platform: Platform, model: TunedModel) -> None:
    """As the end of its fine-tune does."""
    new = await tuned_deployments.plan(platform, LOCAL, model, "paddock/foal")
    for _ in range(2):  # Whoever is killed may say it again.
        await platform.change(lambda session: tuned_deployments.add(session, LOCAL, model, new, time.time()))


async def deployed(platform: Platform, **asked: Any) -> Deployment:
    return await deployments.create(platform, LOCAL, CreateDeployment(**asked))


async def names(platform: Platform) -> list[str]:
    return [one.name for one in (await deployments.list_page(platform, LOCAL)).deployments]


def folder_of(platform: Platform, model: TunedModel) -> Path:
    return tuned_folder(platform.settings.data_dir / "models", model.id)


class TestAdd:
    async def test_it_is_deployed_as_its_parent_is(self, here: Platform) -> None:
        wish: dict[str, Any] = {
            "hardware_type": "CPU_1",
            "context_length": 128,
            "min_workers": 1,
            "max_workers": 3,
            "per_worker": 7,
            "idle_timeout": 11.0,
            "quantize": "Q8_0",
            "slots": 2,
            "threads": 1,
            "labels": {"team": "stable"},
        }
        await deployed(here, model="foal", **wish)
        model = await stored(here)
        await announce(here, model)
        found = await deployments.get(here, LOCAL, NAME)
        assert deployments.settings_of(found) == {
            "model": model.source,
            "engine": "llama.cpp",
            "embeddings": False,
            **{name: value for name, value in wish.items() if name != "labels"},
        }
        assert (found.model, found.parent, found.labels) == (NAME, "paddock/foal", wish["labels"])
        assert (await tuned_models.get(here, LOCAL, NAME)).files == model.files

    async def test_without_a_parents_deployment_it_sleeps(self, here: Platform) -> None:
        await announce(here, await stored(here))
        found = await deployments.get(here, LOCAL, NAME)
        assert (found.min_workers, found.max_workers) == (0, 1)

    async def test_a_parent_that_was_stopped_starts_nothing(self, here: Platform) -> None:
        await deployed(here, model="foal", min_workers=2)
        await deployments.stop(here, LOCAL, "paddock/foal")
        await announce(here, await stored(here))
        found = await deployments.get(here, LOCAL, NAME)
        assert (found.min_workers, found.max_workers, found.status) == (0, 2, "pending")

    async def test_a_name_that_was_taken_meanwhile_costs_no_model(self, here: Platform) -> None:
        model = await stored(here)
        new = await tuned_deployments.plan(here, LOCAL, model, "paddock/foal")
        await deployed(here, model="foal", name=NAME)
        await here.change(lambda session: tuned_deployments.add(session, LOCAL, model, new, 0.0))
        assert (await deployments.get(here, LOCAL, NAME)).model == "paddock/foal"
        assert (await deployed(here, model=model.source, name="mine")).model == NAME


class TestKnown:
    async def test_it_is_deployed_by_its_names(self, here: Platform) -> None:
        model = await stored(here)
        await announce(here, model)
        for number, spelling in enumerate((NAME, NAME.rpartition("/")[2], model.source)):
            found = await deployed(here, model=spelling, name=f"mine-{number}")
            assert (found.model, found.source, found.parent) == (NAME, model.source, "paddock/foal")

    async def test_its_name_is_its_own(self, here: Platform) -> None:
        await announce(here, await stored(here))
        await deployments.delete(here, LOCAL, NAME)
        await here.change(lambda session: setattr(deployments.find(session, LOCAL, NAME), "deleted_at", 1.0))
        with pytest.raises(InvalidRequest) as raised:
            await deployed(here, model="foal", name=NAME)
        assert raised.value.code == "name_taken"
        assert (await deployed(here, model=NAME)).name == NAME

    async def test_another_project_knows_nothing(self, here: Platform) -> None:
        model = await stored(here)
        await announce(here, model)
        for spelling in (NAME.rpartition("/")[2], model.source):
            with pytest.raises(ModelNotFound):
                await deployments.create(here, "another", CreateDeployment(model=spelling))
        with pytest.raises(NotFound):
            await tuned_models.get(here, "another", model.id)
        with pytest.raises(NotFound):
            await tuned_deployments.delete(here, "another", NAME)

    async def test_a_deployment_of_it_can_be_changed(self, here: Platform) -> None:
        await announce(here, await stored(here))
        changed = await deployments.update(here, LOCAL, NAME, UpdateDeployment(max_workers=4))
        assert (changed.max_workers, changed.parent) == (4, "paddock/foal")
        with pytest.raises(InvalidRequest, match="serves that one only"):
            await deployments.update(here, LOCAL, NAME, UpdateDeployment(model="foal"))


class TestDelete:
    async def test_all_of_it_goes(self, here: Platform) -> None:
        model = await stored(here)
        await announce(here, model)
        await tuned_files.bring(here, model.source)
        await tuned_deployments.delete(here, LOCAL, NAME)
        assert (await deployments.get(here, LOCAL, NAME)).status == "deleting"
        assert await here.blobs.list("tuned-models") == []
        assert not folder_of(here, model).exists()
        with pytest.raises(ModelNotFound):
            await deployed(here, model=NAME.rpartition("/")[2], name="mine")
        with pytest.raises(NotFound):
            await tuned_deployments.delete(here, LOCAL, NAME)

    async def test_what_needs_it_is_told(self, here: Platform) -> None:
        model = await stored(here)
        await announce(here, model)
        adapter = Adapter(adapters.new_id(), f"{NAME}.more", NAME, model.source, "ft_2", "a", 1)
        await here.change(lambda session: adapters.add(session, LOCAL, adapter, 0.0))
        with pytest.raises(Conflict, match=r"the base of the adapter .*\.more"):
            await tuned_deployments.delete(here, LOCAL, NAME)
        await adapters.delete(here, LOCAL, adapter.id)
        await deployed(here, model=NAME, name="mine")
        with pytest.raises(Conflict, match="deployed as mine"):
            await tuned_deployments.delete(here, LOCAL, NAME)
        await deployments.delete(here, LOCAL, "mine")
        batch = NewJob("batch_1", "batch", "openai", {}, 60.0, model=NAME.rpartition("/")[2])
        await jobs.create(here, LOCAL, batch)
        with pytest.raises(Conflict, match="used by batch_1"):
            await tuned_deployments.delete(here, LOCAL, NAME)
        await jobs.cancel(here, LOCAL, batch.id)
        await tuned_deployments.delete(here, LOCAL, NAME)

    async def test_what_engines_made_of_it_goes_too(self, here: Platform) -> None:
        model = await stored(here)
        await announce(here, model)
        made = here.settings.data_dir / "gguf" / f"{model.id}-0123.gguf"
        made.parent.mkdir()
        made.touch()
        await tuned_deployments.delete(here, LOCAL, NAME)
        assert not made.exists()

    async def test_whose_it_is(self, here: Platform) -> None:
        model = await stored(here)
        await announce(here, model)
        own = await deployments.get(here, LOCAL, NAME)
        await deployed(here, model=NAME, name="mine")
        await deployed(here, model="foal")
        for name, owner in {
            NAME: model.id,
            own.id: model.id,
            model.id: model.id,
            "mine": "",
            "x": "",
        }.items():
            found = await tuned_deployments.owner(here, LOCAL, name)
            assert (found.id if found else "") == owner


class TestFiles:
    async def test_they_are_brought_once(self, here: Platform) -> None:
        model = await stored(here)
        await announce(here, model)
        folder, told = folder_of(here, model), []
        await tuned_files.bring(here, model.source, lambda done, total: told.append((done, total)))
        assert {one.name: one.read_bytes() for one in folder.iterdir()} == FILES
        assert told[-1] == (9, 9)
        assert resolve(model.source, models=here.settings.data_dir / "models").path == folder
        for file in model.files:
            await here.blobs.delete(file.blob)
        await tuned_files.bring(here, model.source)
        (folder / "config.json").write_bytes(b"{")
        with pytest.raises(StartupError, match="lacks a file"):
            await tuned_files.bring(here, model.source)

    async def test_a_half_is_completed(self, here: Platform) -> None:
        model = await stored(here)
        await announce(here, model)
        folder = folder_of(here, model)
        folder.mkdir(parents=True)
        (folder / "model.safetensors").write_bytes(b"wei")
        with pytest.raises(StartupError, match="is not on this machine"):
            resolve(model.source, models=here.settings.data_dir / "models")
        await tuned_files.bring(here, model.source)
        assert {one.name: one.read_bytes() for one in folder.iterdir()} == FILES

    async def test_of_a_model_that_is_gone_nothing_is_brought(self, here: Platform) -> None:
        model = await stored(here)
        await announce(here, model)
        await tuned_deployments.delete(here, LOCAL, NAME)
        with pytest.raises(StartupError, match=f"{NAME} was deleted"):
            await tuned_files.bring(here, model.source)
        assert not folder_of(here, model).exists()

    async def test_what_is_of_no_model_is_swept(
        self, here: Platform, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(tuned_files, "FORGOTTEN", -60.0)
        model, _ = await stored(here), await stored(here, "cut.off", "ft_cut")
        working = await stored(here, "working", "ft_working")

        def begin(session: Any) -> None:
            row = JobRow(
                id="ft_working",
                project=LOCAL,
                kind="ft",
                dialect="openai",
                state="running",
                model="",
                spec={},
                deadline_at=0.0,
                created_at=0.0,
            )
            session.add(row)

        await here.change(begin)
        await announce(here, model)
        await tuned_files.bring(here, model.source)
        lost = folder_of(here, working)
        os.makedirs(lost)
        await tuned_files.sweep(here)
        kept = {one.key.split("/")[2] for one in await here.blobs.list("tuned-models")}
        assert kept == {"ft_1", "ft_working"}
        assert folder_of(here, model).exists()
        assert not lost.exists()
