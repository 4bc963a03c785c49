from __future__ import annotations

import asyncio
import time
from functools import partial

import pytest
from sqlalchemy.orm import Session

from paddock.errors import Conflict, InvalidRequest, NotFound
from paddock.services import events, jobs, work
from paddock.services.deployments import LOCAL
from paddock.services.platform import Platform
from paddock.services.work import Ending
from paddock.store.sessions import Store
from tests.store.fakes import platform_of
from tests.store.posts import claim, look, post, take


async def kinds(platform: Platform, identity: str) -> list[str]:
    found = await platform.store.read(lambda session: events.latest(session, LOCAL, job_id=identity))
    return [one.kind for one in found]


class TestCreate:
    async def test_is_queued_with_its_deadline(self, platform: Platform) -> None:
        before = time.time()
        job = await post(platform, seconds=60.0, labels={"team": "a"}, model="foal", priority=3)
        assert (job.state, job.phase, job.labels, job.model, job.priority) == (
            "queued",
            "",
            {"team": "a"},
            "foal",
            3,
        )
        assert before + 60 <= job.deadline_at <= time.time() + 60
        assert job.unfinished
        assert await look(platform, job.id) == job
        assert "created" in await kinds(platform, job.id)

    async def test_nothing_is_written_where_its_check_refuses(self, platform: Platform) -> None:
        def check(_: Session) -> None:
            raise NotFound("there is no such file")

        asked = jobs.NewJob("batch_1", "batch", "openai", {}, 10.0)
        with pytest.raises(NotFound, match="no such file"):
            await jobs.create(platform, LOCAL, asked, check)
        assert (await jobs.list_page(platform, LOCAL)).jobs == []

    async def test_two_unfinished_ones_never_write_to_one_place(self, platform: Platform) -> None:
        first = await post(platform, output="name:out")
        with pytest.raises(InvalidRequest, match=first.id) as refused:
            await post(platform, output="name:out")
        assert (refused.value.code, refused.value.param) == ("output_exists", "output_data_path")
        await post(platform, output="name:other")
        await post(platform, project="another", output="name:out")
        await jobs.cancel(platform, LOCAL, first.id)
        await post(platform, output="name:out")

    async def test_of_many_at_once_one_gets_the_place(self, platform: Platform) -> None:
        outcomes = await asyncio.gather(
            *(post(platform, output="name:out") for _ in range(8)), return_exceptions=True
        )
        assert sorted(type(one).__name__ for one in outcomes) == ["InvalidRequest"] * 7 + ["Job"]

    async def test_those_without_an_output_do_not_meet(self, platform: Platform) -> None:
        assert (await post(platform)).id != (await post(platform)).id


class TestGet:
    async def test_is_only_found_in_its_project_and_dialect(self, platform: Platform) -> None:
        job = await post(platform, dialect="llm_engine.v2")
        assert (await jobs.get(platform, LOCAL, job.id, ("llm_engine.v1", "llm_engine.v2"))).id == job.id
        with pytest.raises(NotFound) as unknown:
            await jobs.get(platform, LOCAL, job.id, ("openai",))
        assert unknown.value.code == "job_not_found"
        with pytest.raises(NotFound):
            await jobs.get(platform, "another", job.id)


class TestList:
    async def test_pages_hold_each_once_with_the_newest_first(self, platform: Platform) -> None:
        made = [(await post(platform)).id for _ in range(7)]
        found: list[str] = []
        after = None
        while True:
            page = await jobs.list_page(platform, LOCAL, limit=3, after=after)
            found += [one.id for one in page.jobs]
            if not page.more:
                break
            after = found[-1]
        assert found == made[::-1]

    async def test_a_page_that_ends_with_the_last_one_has_no_more(self, platform: Platform) -> None:
        for _ in range(3):
            await post(platform)
        assert (await jobs.list_page(platform, LOCAL, limit=3)).more is False
        assert (await jobs.list_page(platform, LOCAL, limit=2)).more is True
        assert len((await jobs.list_page(platform, LOCAL)).jobs) == 3

    async def test_those_of_one_moment_have_an_order_too(
        self, platform: Platform, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("paddock.services.jobs.time.time", lambda: 1234.5)
        made = sorted([(await post(platform)).id for _ in range(5)], reverse=True)
        first = await jobs.list_page(platform, LOCAL, limit=2)
        second = await jobs.list_page(platform, LOCAL, limit=3, after=first.jobs[-1].id)
        assert [one.id for one in (*first.jobs, *second.jobs)] == made

    async def test_of_some_dialects_states_and_kinds(self, platform: Platform) -> None:
        old = await post(platform, dialect="llm_engine.v1", priority=5)
        held = await take(platform)
        tune = await post(platform, kind="tune")
        new = await post(platform)
        assert held.id == old.id

        async def found(**asked: object) -> set[str]:
            page = await jobs.list_page(platform, LOCAL, **asked)  # type: ignore[arg-type]
            return {one.id for one in page.jobs}

        assert await found(dialects=("openai",)) == {tune.id, new.id}
        assert await found(states=("running",)) == {old.id}
        assert await found(states=("queued", "running"), kind="batch") == {old.id, new.id}
        assert await found(states=()) == set()

    async def test_after_one_that_there_is_not(self, platform: Platform) -> None:
        with pytest.raises(NotFound):
            await jobs.list_page(platform, LOCAL, after="batch_0")


class TestCancel:
    async def test_one_that_nobody_began_is_over_at_once(self, platform: Platform) -> None:
        job = await post(platform)
        over = await jobs.cancel(platform, LOCAL, job.id)
        assert (over.state, over.reason) == ("cancelled", "it was cancelled before it began")
        assert over.finished_at == over.cancel_requested_at == over.times["cancelled"]
        assert await claim(platform) is None
        assert {"cancelling", "cancelled"} <= set(await kinds(platform, job.id))

    async def test_one_that_runs_is_its_worker_s_to_end(self, platform: Platform) -> None:
        held = await take(platform) if await post(platform) else None
        assert held is not None
        asked = await jobs.cancel(platform, LOCAL, held.id)
        assert (asked.state, asked.finished_at) == ("running", None)
        assert asked.cancel_requested_at == asked.times["cancelling"]
        assert await platform.store.read(lambda session: work.unwanted(session, [held.id, "x"])) == [held.id]

    async def test_twice_changes_nothing(self, platform: Platform) -> None:
        job = await post(platform)
        await take(platform)
        first = await jobs.cancel(platform, LOCAL, job.id)
        assert await jobs.cancel(platform, LOCAL, job.id) == first
        assert (await kinds(platform, job.id)).count("cancelling") == 1

    async def test_the_next_worker_of_a_dead_one_s_job_is_told(self, platform: Platform) -> None:
        job = await post(platform)
        await take(platform, "dead")
        await jobs.cancel(platform, LOCAL, job.id)
        held = await take(platform, "alive", later=work.LEASE_SECONDS + 1)
        assert held.job.cancel_requested_at is not None

    async def test_one_that_is_over_cannot_be(self, platform: Platform) -> None:
        job = await post(platform)
        held = await take(platform)
        await platform.store.change(lambda session: work.end(session, held, Ending("completed"), 5.0))
        with pytest.raises(Conflict, match="it is completed") as over:
            await jobs.cancel(platform, LOCAL, job.id)
        assert over.value.code == "job_is_over"

    async def test_against_a_claim_there_is_one_outcome(self, platform: Platform, url: str) -> None:
        other = Store(url)
        try:
            there = platform_of(other, platform.settings.data_dir)
            for _ in range(5):
                job = await post(platform)
                held, asked = await asyncio.gather(claim(there), jobs.cancel(platform, LOCAL, job.id))
                found = await look(platform, job.id)
                if held is None:
                    assert (asked.state, found.state) == ("cancelled", "cancelled")
                else:
                    assert (found.state, found.cancel_requested_at is not None) == ("running", True)
                    await other.change(partial(work.end, one=held, ending=Ending("cancelled"), now=1.0))
        finally:
            other.close()


class TestPriority:
    async def test_decides_who_is_next(self, platform: Platform) -> None:
        await post(platform)
        late = await post(platform)
        changed = await jobs.set_priority(platform, LOCAL, late.id, 7, None)
        assert changed.priority == 7
        assert (await take(platform)).id == late.id

    async def test_of_one_that_is_over_is_refused(self, platform: Platform) -> None:
        job = await post(platform)
        await jobs.cancel(platform, LOCAL, job.id)
        with pytest.raises(Conflict, match="it is cancelled"):
            await jobs.set_priority(platform, LOCAL, job.id, 1, None)

    @pytest.mark.parametrize(
        ("text", "number"),
        [(None, 0), ("low", -10), ("Normal", 0), ("HIGH", 10), ("1000", 1000), ("-1000", -1000)],
    )
    def test_reads(self, text: str | None, number: int) -> None:
        assert jobs.read_priority(text) == number

    @pytest.mark.parametrize("text", ["", "urgent", "1001", "-1001", "1.5", "9" * 5000, "0x10"])
    def test_refuses(self, text: str) -> None:
        with pytest.raises(InvalidRequest) as refused:
            jobs.read_priority(text)
        assert refused.value.param == "priority"
        assert len(refused.value.message) < 300
