from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from paddock.errors import Conflict, InvalidRequest, ModelNotFound, NotFound, PaddockError
from paddock.schemas.own import CreateDeployment, Deployment, UpdateDeployment
from paddock.services import deployments, events
from paddock.services.deployments import LOCAL, Page
from paddock.services.platform import Platform, write_nodes
from paddock.store.sessions import ChangeSession, Store
from paddock.store.tables import DeploymentRow, EventRow
from tests.store.fakes import NODE, platform_of
from tests.store.rows import add_deployment


@pytest.fixture(autouse=True)
async def nodes(store: Store) -> None:
    await store.change(lambda session: write_nodes(session, [NODE], 0.0))


async def make(platform: Platform, name: str | None = "one", **asked: Any) -> Deployment:
    return await deployments.create(platform, LOCAL, CreateDeployment(model="foal", name=name, **asked))


async def update(platform: Platform, name: str, **asked: Any) -> Deployment:
    return await deployments.update(platform, LOCAL, name, UpdateDeployment(**asked))


async def outcome(what: Awaitable[Deployment]) -> Deployment | PaddockError:
    try:
        return await what
    except PaddockError as error:
        return error


class TestCreate:
    async def test_of_one_name_exactly_one_is_made(self, url: str, platform: Platform) -> None:
        others = [Store(url) for _ in range(3)]
        everywhere = [platform, *(platform_of(store, platform.settings.data_dir) for store in others)]
        try:
            found = await asyncio.gather(*(outcome(make(one)) for one in everywhere for _ in range(3)))
        finally:
            for store in others:
                store.close()
        made = [one for one in found if isinstance(one, Deployment)]
        refused = [one for one in found if isinstance(one, InvalidRequest)]
        assert (len(made), len(refused)) == (1, 11)
        assert {(one.param, one.code) for one in refused} == {("name", "name_taken")}
        assert [one.id for one in (await deployments.list_page(platform, LOCAL)).deployments] == [made[0].id]

    async def test_another_project_may_have_the_name_too_and_is_not_seen(self, platform: Platform) -> None:
        mine = await make(platform)
        asked = CreateDeployment(model="foal", name="one")
        other = await deployments.create(platform, "theirs", asked)
        for verb in (deployments.get, deployments.start, deployments.stop, deployments.delete):
            with pytest.raises(NotFound, match="there is no deployment"):
                await verb(platform, "theirs", mine.id)
        assert (await deployments.get(platform, "theirs", "one")).id == other.id

    @pytest.mark.parametrize(
        ("asked", "param"),
        [
            ({"name": "two words"}, "name"),
            ({"name": "a//b"}, "name"),
            ({"name": "dep-0123456789abcdef"}, "name"),
            ({"min_workers": 2, "max_workers": 1}, "min_workers"),
            ({"context_length": 10**7}, "context_length"),
            ({"hardware_type": "NVIDIA_H100_8"}, "hardware_type"),
            ({"engine": "steam"}, "engine"),
        ],
    )
    async def test_what_cannot_be_is_refused(
        self, platform: Platform, asked: dict[str, Any], param: str
    ) -> None:
        with pytest.raises(InvalidRequest) as caught:
            await make(platform, **{"name": "one", **asked})
        assert caught.value.param == param
        assert (await deployments.list_page(platform, LOCAL)).deployments == []

    async def test_an_unknown_model(self, platform: Platform) -> None:
        with pytest.raises((ModelNotFound, InvalidRequest)):
            await deployments.create(platform, LOCAL, CreateDeployment(model="no such thing"))

    async def test_for_nothing_yet_it_is_stopped(self, platform: Platform) -> None:
        made = await make(platform, min_workers=0, max_workers=0)
        assert (made.status, made.max_workers) == ("stopped", 1)


class TestUpdate:
    async def test_what_needs_no_engine_keeps_the_generation(self, platform: Platform) -> None:
        await make(platform)
        changed = await update(platform, "one", max_workers=3, idle_timeout=1.0, labels={"a": "b"})
        assert (changed.generation, changed.max_workers, changed.labels) == (1, 3, {"a": "b"})
        changed = await update(platform, "one", context_length=128)
        assert (changed.generation, changed.context_length, changed.max_workers) == (2, 128, 3)
        assert (await update(platform, "one", context_length=128)).generation == 2

    async def test_two_at_once_both_count(self, platform: Platform) -> None:
        await make(platform)
        await asyncio.gather(
            update(platform, "one", max_workers=4),
            update(platform, "one", idle_timeout=7.0),
            update(platform, "one", context_length=128),
        )
        one = await deployments.get(platform, LOCAL, "one")
        assert (one.max_workers, one.idle_timeout, one.context_length, one.generation) == (4, 7.0, 128, 2)

    async def test_details_are_kept_key_by_key(self, platform: Platform) -> None:
        asked = CreateDeployment(model="foal", name="one", labels={"team": "a"})
        await deployments.create(platform, LOCAL, asked, details={"first": {"x": 1}})
        one = await deployments.update(
            platform, LOCAL, "one", UpdateDeployment(), details={"second": {"y": 2}}
        )
        assert one.details == {"first": {"x": 1}, "second": {"y": 2}, "labels": {"team": "a"}}

    async def test_a_context_that_the_engine_was_to_find_stays_open(self, platform: Platform) -> None:
        made = await make(platform)

        def unknown(session: ChangeSession) -> None:
            session.get_one(DeploymentRow, made.id).context_length = 0

        await platform.store.change(unknown)
        assert (await update(platform, "one", max_workers=2)).max_workers == 2

    async def test_least_over_most(self, platform: Platform) -> None:
        await make(platform)
        with pytest.raises(InvalidRequest, match="5 is more than 1"):
            await update(platform, "one", min_workers=5)


class TestVerbs:
    async def test_twice_is_a_conflict(self, platform: Platform) -> None:
        await make(platform)
        with pytest.raises(Conflict, match="is not stopped: it is pending"):
            await deployments.start(platform, LOCAL, "one")
        stopped = await deployments.stop(platform, LOCAL, "one")
        assert (stopped.status, stopped.stopped_at is not None) == ("stopped", True)
        with pytest.raises(Conflict, match="stopped already"):
            await deployments.stop(platform, LOCAL, "one")
        started = await deployments.start(platform, LOCAL, stopped.id)
        assert (started.status, started.generation, started.stopped_at) == ("pending", 2, None)
        await deployments.delete(platform, LOCAL, "one")
        for verb in (deployments.start, deployments.stop, deployments.delete):
            with pytest.raises(Conflict, match="is being deleted"):
                await verb(platform, LOCAL, "one")
        with pytest.raises(Conflict, match="is being deleted"):
            await update(platform, "one", max_workers=2)
        with pytest.raises(InvalidRequest, match="is taken"):
            await make(platform)

    async def test_a_dialect_may_forbid_a_deletion(self, platform: Platform) -> None:
        await make(platform)

        def only_stopped(one: Deployment) -> None:
            if one.status != "stopped":
                raise Conflict("stop it first")

        with pytest.raises(Conflict, match="stop it first"):
            await deployments.delete(platform, LOCAL, "one", only_stopped)
        await deployments.stop(platform, LOCAL, "one")
        assert (await deployments.delete(platform, LOCAL, "one", only_stopped)).status == "deleting"

    async def test_of_many_at_once_one_succeeds(self, platform: Platform) -> None:
        await make(platform)
        verbs: list[Callable[..., Awaitable[Deployment]]] = [deployments.stop] * 4
        found = await asyncio.gather(*(outcome(verb(platform, LOCAL, "one")) for verb in verbs))
        assert sum(isinstance(one, Conflict) for one in found) == 3


class TestPages:
    async def test_pages_are_in_order_and_complete(self, platform: Platform) -> None:
        def work(session: ChangeSession) -> None:
            for number in range(25):
                add_deployment(session, f"n{number:02}", created_at=float(number // 3))
            add_deployment(session, "gone", deleted_at=1.0)
            add_deployment(session, "other", project="theirs")

        await platform.store.change(work)
        names: list[str] = []
        page = Page([], None)
        for _ in range(3):
            page = await deployments.list_page(platform, LOCAL, limit=10, after=page.next)
            names += [one.name for one in page.deployments]
        assert names == [f"n{number:02}" for number in range(25)]
        assert page.next is None
        whole = await deployments.list_page(platform, LOCAL, limit=25)
        assert (len(whole.deployments), whole.next) == (25, None)
        with pytest.raises(NotFound):
            await deployments.list_page(platform, LOCAL, after="nobody")

    async def test_a_page_of_ten_thousand_takes_no_longer(self, platform: Platform) -> None:
        await make(platform)

        async def seconds() -> float:
            took = []
            for _ in range(9):
                began = time.perf_counter()
                await deployments.list_page(platform, LOCAL, limit=20)
                await deployments.get(platform, LOCAL, "one")
                took.append(time.perf_counter() - began)
            return min(took)

        def work(session: ChangeSession) -> None:
            session.add_all(
                DeploymentRow(**{**first, "id": f"dep-{number}", "name": f"n{number}"})
                for number in range(10_000)
            )

        def columns(session: ChangeSession) -> dict[str, Any]:
            row = add_deployment(session, "pattern", attention=False, created_at=time.time() + 1)
            return {column.name: getattr(row, column.name) for column in DeploymentRow.__table__.columns}

        first = await platform.store.change(columns)
        before = await seconds()
        await platform.store.change(work)
        # Far more than noise, far less than reading them all.
        assert await seconds() < 3 * before + 0.02


class TestEvents:
    async def test_they_are_read_on_from_where_one_was(self, platform: Platform) -> None:
        made = await make(platform)
        await make(platform, "two")
        await deployments.stop(platform, LOCAL, "one")
        read = platform.store.read
        found = await read(lambda session: events.after(session, LOCAL, 0))
        assert [(one.kind, one.deployment) for one in found] == [
            ("created", "one"),
            ("created", "two"),
            ("stopped", "one"),
        ]
        assert await read(lambda session: events.after(session, LOCAL, found[1].id)) == found[2:]
        assert await read(lambda session: events.latest(session, LOCAL, limit=2)) == found[1:]
        assert await read(lambda session: events.after(session, "theirs", 0)) == []
        own = await read(lambda session: events.latest(session, LOCAL, deployment_id=made.id))
        assert [one.kind for one in own] == ["created", "stopped"]

    async def test_old_ones_are_cleared_away(
        self, platform: Platform, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(events, "KEPT", 500)

        def work(session: ChangeSession) -> int:
            row = add_deployment(session, "one")
            for number in range(2005):
                events.record(session, row, "test", str(number), 0.0)
            return session.query(EventRow).count()

        assert 500 <= await platform.store.change(work) <= 1500

    async def test_of_a_log_the_last_lines_are_kept(
        self, platform: Platform, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(events, "KEPT_LINES", 10)
        made = await make(platform)
        other = await make(platform, "two")
        for start in range(0, 24, 8):
            lines = [f"line {number}" for number in range(start, start + 8)]
            await platform.store.write(
                lambda session, lines=lines: events.add_lines(session, made.id, "r", lines, 1.0)
            )
        await platform.store.write(lambda session: events.add_lines(session, other.id, "r", ["x"], 1.0))
        kept = await platform.store.read(lambda session: list(events.lines_after(session, made.id, 0)))
        assert [line[3] for line in kept] == [f"line {number}" for number in range(14, 24)]
        rest = await platform.store.read(
            lambda session: list(events.lines_after(session, made.id, kept[-2][0], 5))
        )
        assert rest == kept[-1:]
        assert len(await platform.store.read(lambda s: list(events.lines_after(s, other.id, 0)))) == 1
