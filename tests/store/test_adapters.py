from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from paddock.errors import InvalidRequest, NotFound
from paddock.gateway.sync import Sync
from paddock.inference.routing import Directory, Routes
from paddock.schemas.own import CreateDeployment
from paddock.services import adapter_files, adapters, commanded, deployments, events, replicas
from paddock.services.adapters import Adapter
from paddock.services.blob_files import StoredFile
from paddock.services.deployments import LOCAL
from paddock.services.platform import Platform, write_nodes
from paddock.services.signing import Signer
from paddock.store.blobs import new_blob
from paddock.store.sessions import ChangeSession, Store
from paddock.store.tables import DeploymentRow, ReplicaRow
from tests.store.fakes import NODE, platform_of
from tests.store.rows import add_deployment

SOURCE = "paddock/foal"


def made(name: str, identity: str = "") -> Adapter:
    return Adapter(
        id=identity or adapters.new_id(),
        name=name,
        model="paddock/foal",
        source=SOURCE,
        job_id="ft_1",
        gguf=f"adapters/x/{name}.gguf",
        gguf_bytes=3,
        files=[StoredFile("adapter_config.json", f"adapters/x/{name}.json", 2, "")],
    )


async def add(platform: Platform, adapter: Adapter, project: str = LOCAL) -> None:
    await platform.change(lambda session: adapters.add(session, project, adapter, time.time()))


async def generation(platform: Platform, identity: str) -> int:
    return await platform.store.read(lambda session: session.get_one(DeploymentRow, identity).generation)


async def ready(platform: Platform, deployment: str, **positions: int) -> str:
    """A new replica that serves these adapters."""

    def work(session: ChangeSession) -> str:
        row = session.get_one(DeploymentRow, deployment)
        one = replicas.add(session, row, 1, 0.0, 60.0)
        replicas.advance(one, "ready", 5, "", 0.0, None)
        one.address, one.key, one.adapters = "http://127.0.0.1:1", "k", positions
        row.revision = session.revision
        return one.id

    return await platform.change(work)


class TestAdapters:
    async def test_every_deployment_of_the_model_gets_new_engines(self, platform: Platform) -> None:
        def rows(session: ChangeSession) -> None:
            add_deployment(session, "one")
            add_deployment(session, "two")
            add_deployment(session, "other", source="another")
            add_deployment(session, "stopped", wanted="stop")
            add_deployment(session, "hidden", origin="job")
            add_deployment(session, "theirs", project="another")

        await platform.change(rows)
        await add(platform, made("foal.shop.1"))
        found = {
            name: await generation(platform, f"dep-{name}")
            for name in ("one", "two", "other", "stopped", "hidden", "theirs")
        }
        assert found == {"one": 2, "two": 2, "other": 1, "stopped": 1, "hidden": 1, "theirs": 1}

    async def test_its_name_is_for_its_own_project(self, platform: Platform) -> None:
        """A deployment of the command line serves every project's, and tells nobody of them."""

        def rows(session: ChangeSession) -> None:
            add_deployment(session, "one", origin=commanded.ORIGIN)
            add_deployment(session, "theirs", project="shop")

        await platform.change(rows)
        adapter = made("foal.secret.1")
        await add(platform, adapter, "shop")
        await adapters.delete(platform, "shop", adapter.id)
        told = {
            project: [
                one.message
                for one in await platform.store.read(
                    lambda session, project=project: events.latest(session, project, limit=9)
                )
            ]
            for project in (LOCAL, "shop")
        }
        assert told == {
            LOCAL: ["generation 2, for an adapter", "generation 3, for an adapter"],
            "shop": ["generation 2, to serve foal.secret.1", "generation 3, without foal.secret.1"],
        }

    async def test_a_name_that_somebody_took_meanwhile(self, platform: Platform) -> None:
        await platform.change(lambda session: add_deployment(session, "foal.shop.1") and None)
        first, second, third = made("foal.shop.1"), made("foal.shop.2"), made("foal.shop.2")
        for one in (first, second, third):
            await add(platform, one)
        assert [one.name for one in await adapters.list_all(platform, LOCAL)] == [
            first.id,
            "foal.shop.2",
            third.id,
        ]
        again = await platform.change(lambda session: adapters.add(session, LOCAL, first, time.time()))
        assert again == first.id

    async def test_said_twice_it_is_there_once(self, platform: Platform) -> None:
        adapter = made("foal.shop.1")
        await add(platform, adapter)
        await add(platform, adapter)
        assert [one.name for one in await adapters.list_all(platform, LOCAL)] == ["foal.shop.1"]

    async def test_by_name_and_id_within_the_project(self, platform: Platform) -> None:
        adapter = made("foal.shop.1")
        await add(platform, adapter)
        assert (await adapters.get(platform, LOCAL, adapter.name)).id == adapter.id
        assert (await adapters.get(platform, LOCAL, adapter.id)).files == adapter.files
        for project, name in (("another", adapter.name), ("another", adapter.id), (LOCAL, "foal")):
            with pytest.raises(NotFound):
                await adapters.get(platform, project, name)

    async def test_deleted_it_takes_its_bytes_along(self, platform: Platform) -> None:
        adapter = made("foal.shop.1")
        # Where a worker stores them.
        where = f"{adapter_files.folder(platform, adapter.id)}/1"
        config = dataclasses.replace(adapter.files[0], blob=f"{where}/adapter_config.json")
        adapter = dataclasses.replace(adapter, gguf=f"{where}/adapter.gguf", files=[config])
        for key in (adapter.gguf, config.blob):
            async with new_blob(platform.blobs, key) as writer:
                await writer.write(b"abc")
        await platform.change(lambda session: add_deployment(session, "one"))
        await add(platform, adapter)
        await adapters.delete(platform, LOCAL, adapter.name)
        assert await generation(platform, "dep-one") == 3
        assert await adapters.list_all(platform, LOCAL) == []
        assert await platform.blobs.list("adapters") == []
        with pytest.raises(NotFound):
            await adapters.delete(platform, LOCAL, adapter.id)

    async def test_its_name_is_taken(self, store: Store, platform: Platform) -> None:
        await store.change(lambda session: write_nodes(session, [NODE], 0.0))
        await add(platform, made("pony"))
        with pytest.raises(InvalidRequest) as raised:
            await deployments.create(platform, LOCAL, CreateDeployment(model="foal", name="pony"))
        assert raised.value.code == "name_taken"

    async def test_its_file_is_brought_here_once(self, platform: Platform, tmp_path: Path) -> None:
        async with new_blob(platform.blobs, "adapters/x") as writer:
            await writer.write(b"abc")
        path = await adapters.bring(platform, "adp-1", "adapters/x", 3)
        assert path.read_bytes() == b"abc"
        await platform.blobs.delete("adapters/x")
        assert await adapters.bring(platform, "adp-1", "adapters/x", 3) == path
        with pytest.raises(NotFound):
            await adapters.bring(platform, "adp-2", "adapters/x", 3)
        assert [one.name for one in path.parent.iterdir()] == [path.name]


class TestRoutes:
    @pytest.fixture
    async def routes(self, platform: Platform) -> AsyncIterator[Routes]:
        await platform.change(lambda session: add_deployment(session, "one", status="ready"))
        directory = Directory()
        sync = Sync(platform, directory, "gateway")
        await sync.catch_up()
        yield directory.of(LOCAL)
        await sync.close()

    async def test_only_engines_that_have_it_answer_for_it(self, platform: Platform, routes: Routes) -> None:
        old = await ready(platform, "dep-one")
        adapter = made("foal.shop.1")
        await add(platform, adapter)
        found = routes.resolve(adapter.name)
        assert found.base is routes.resolve("one")
        assert (found.replicas, found.wakes, found.adapter) == ([], True, adapter.id)
        new = await ready(platform, "dep-one", **{adapter.id: 4})
        assert [one.id for one in found.replicas] == [new]
        assert found.replicas[0].adapters == {adapter.id: 4}
        assert {one.id for one in routes.resolve("one").replicas} == {old, new}
        assert routes.resolve("paddock/foal").name == "one"

    async def test_gone_it_means_nothing(self, platform: Platform, routes: Routes) -> None:
        adapter = made("foal.shop.1")
        await add(platform, adapter)
        waiting = asyncio.ensure_future(routes.resolve(adapter.name).wait())
        await asyncio.sleep(0)
        await adapters.delete(platform, LOCAL, adapter.name)
        with pytest.raises(NotFound):
            routes.resolve(adapter.name)
        with pytest.raises(Exception, match="it was deleted"):
            await waiting

    async def test_a_deployment_keeps_its_name(self, platform: Platform, routes: Routes) -> None:
        """Which somebody gave it while it was learned: the gateway follows the store all the same."""
        await platform.change(lambda session: add_deployment(session, "foal.shop.1"))
        adapter = made("foal.shop.1")
        await add(platform, adapter)
        assert routes.resolve("foal.shop.1").adapter == ""
        assert routes.resolve(adapter.id).adapter == adapter.id
        await platform.change(lambda session: add_deployment(session, "two"))
        assert routes.resolve("two").name == "two"
        await adapters.delete(platform, LOCAL, adapter.id)
        assert routes.resolve("foal.shop.1").adapter == ""

    async def test_a_deployment_keeps_its_name_after_a_restart(self, platform: Platform) -> None:
        """However it came to be so: the base is known first then, and the adapter with it."""
        adapter = made("foal.shop.1")
        await platform.change(lambda session: add_deployment(session, "one", status="ready") and None)
        await add(platform, adapter)
        await platform.change(
            lambda session: add_deployment(session, adapter.name, source="another", created_at=1.0) and None
        )
        directory = Directory()
        sync = Sync(platform, directory, "gateway")
        try:
            await sync.catch_up()
            routes = directory.of(LOCAL)
            assert routes.resolve(adapter.name).adapter == ""
            assert routes.resolve(adapter.id).adapter == adapter.id
            await adapters.delete(platform, LOCAL, adapter.id)
            assert routes.by_id(adapter.id) is None
            assert routes.resolve(adapter.name).name == adapter.name
        finally:
            await sync.close()

    async def test_another_deployment_takes_over(self, platform: Platform, routes: Routes) -> None:
        adapter = made("foal.shop.1")
        await add(platform, adapter)
        await platform.change(lambda session: add_deployment(session, "two"))
        second = await ready(platform, "dep-two", **{adapter.id: 0})
        found = routes.resolve(adapter.name)
        assert [one.id for one in found.replicas] == [second]

        def stop(session: ChangeSession) -> None:
            session.get_one(ReplicaRow, second).state = "ended"
            row = session.get_one(DeploymentRow, "dep-two")
            row.wanted, row.revision = "stop", session.revision

        await platform.change(stop)
        assert found.base is routes.resolve("one")
        assert not found.stopped


async def ready_signer(platform: Platform) -> Signer:
    signer = Signer(platform)
    await signer.ready()
    return signer


class TestSigner:
    async def test_every_process_knows_it_again(self, url: str, platform: Platform) -> None:
        soon = int(time.time()) + 60
        signature = (await ready_signer(platform)).sign("a/b", soon)
        other = Store(url)
        try:
            elsewhere = await ready_signer(platform_of(other, platform.settings.data_dir))
            assert elsewhere.check("a/b", soon, signature)
            assert not elsewhere.check("a/c", soon, signature)
            assert not elsewhere.check("a/b", soon + 1, signature)
            assert not elsewhere.check("a/b", soon, "é")
        finally:
            other.close()

    async def test_its_time_is_over(self, platform: Platform) -> None:
        before = int(time.time()) - 1
        signature = (await ready_signer(platform)).sign("a/b", before)
        assert not (await ready_signer(platform)).check("a/b", before, signature)
