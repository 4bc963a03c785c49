from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from paddock.errors import Fenced
from paddock.services import jobs, work
from paddock.services.batches import journal
from paddock.services.batches.journal import Entry, Segment
from paddock.services.deployments import LOCAL
from paddock.services.platform import Platform
from paddock.services.work import LEASE_SECONDS, MOST_STALLS, Ending, Held
from paddock.store.sessions import Store
from paddock.store.tables import JobRow
from tests.store.fakes import platform_of
from tests.store.posts import claim, look, offer, post, take

WRITES: dict[str, Callable[[Any, Held], Any]] = {
    "keep": lambda session, held: journal.keep(session, held, [Entry(0, False, b"{}")]),
    "seal": lambda session, held: journal.seal(session, held, Segment(0, 1, 2, "blob")),
    "enter": lambda session, held: work.enter(session, held, "working", 1.0, total=1),
    "renew": lambda session, held: work.renew(session, held, time.time(), "late"),
    "end": lambda session, held: work.end(session, held, Ending("completed"), 1.0),
}


async def columns(platform: Platform, identity: str) -> dict[str, Any]:
    def read(session: Any) -> dict[str, Any]:
        row = session.get_one(JobRow, identity)
        return {one.key: getattr(row, one.key) for one in JobRow.__table__.columns}

    return await platform.store.read(read)


class TestClaim:
    async def test_the_highest_priority_then_the_oldest(self, platform: Platform) -> None:
        made = [(await post(platform, priority=priority)).id for priority in (0, 5, 0, 5, -5)]
        order = [(await take(platform)).id for _ in made]
        assert order == [made[1], made[3], made[0], made[2], made[4]]
        assert await claim(platform) is None

    async def test_owners_take_turns(self, platform: Platform) -> None:
        greedy = [(await post(platform, project="greedy")).id for _ in range(3)]
        modest = (await post(platform, project="modest")).id
        assert [(await take(platform)).id for _ in range(4)] == [greedy[0], modest, *greedy[1:]]

    async def test_who_died_counts_for_nobody(self, platform: Platform) -> None:
        await post(platform, project="greedy")
        await take(platform, "dead")
        again = await post(platform, project="greedy")
        await post(platform, project="modest")
        late = LEASE_SECONDS + 1
        # One of the dead worker's own, which is the oldest, then the other owner's.
        first = await take(platform, later=late)
        second = await take(platform, later=late)
        third = await take(platform, later=late)
        assert [first.job.project, second.job.project, third.id] == ["greedy", "modest", again.id]

    async def test_only_what_a_worker_can_do(self, platform: Platform) -> None:
        await post(platform, kind="tune")
        needy = await post(platform, needs="far")
        assert await claim(platform) is None
        assert await claim(platform, offer("w", "near")) is None
        assert (await take(platform, offer("w", "near", "far"))).id == needy.id
        assert (await take(platform, offer("w", kinds=("tune",)))).job.kind == "tune"

    async def test_says_whether_there_is_one(self, platform: Platform) -> None:
        def now(later: float = 0.0) -> Any:
            return platform.store.read(
                lambda session: work.claimable(session, time.time() + later, offer("other"))
            )

        assert not await now()
        await post(platform)
        assert await now()
        await take(platform)
        assert not await now()
        assert await now(LEASE_SECONDS + 1)

    async def test_what_is_held_says_who_and_since_when(self, platform: Platform) -> None:
        job = await post(platform)
        before = time.time()
        held = await take(platform)
        assert (held.job.state, held.job.worker, held.job.attempts, held.fence) == ("running", "worker", 1, 1)
        assert held.checkpoint == {}
        row = await columns(platform, job.id)
        assert before + LEASE_SECONDS <= row["lease_expires_at"] <= time.time() + LEASE_SECONDS
        assert row["stalls"] == 1


class TestMany:
    async def test_no_job_has_two_workers(self, platform: Platform, url: str) -> None:
        wanted = {(await post(platform)).id for _ in range(12)}
        stores = [Store(url) for _ in range(3)]
        try:
            places = [platform_of(one, platform.settings.data_dir) for one in stores]

            async def greedy(place: Platform, name: str) -> list[Held]:
                found = []
                while (held := await claim(place, name)) is not None:
                    found.append(held)
                return found

            took = await asyncio.gather(
                *(greedy(place, f"{number}-{one}") for number, place in enumerate(places) for one in range(3))
            )
        finally:
            for one in stores:
                one.close()
        every = [held for each in took for held in each]
        assert sorted(held.id for held in every) == sorted(wanted)
        assert {held.fence for held in every} == {1}

    async def test_an_expired_lease_has_one_heir(self, platform: Platform, url: str) -> None:
        await post(platform)
        await take(platform, "dead")
        stores = [Store(url) for _ in range(2)]
        try:
            places = [platform_of(one, platform.settings.data_dir) for one in stores]
            late = LEASE_SECONDS + 1
            heirs = await asyncio.gather(
                *(claim(places[one % 2], f"heir-{one}", later=late) for one in range(6))
            )
        finally:
            for one in stores:
                one.close()
        assert [one.fence for one in heirs if one is not None] == [2]


class TestLease:
    async def test_lasts_as_long_as_it_is_renewed(self, platform: Platform) -> None:
        await post(platform)
        held = await take(platform)
        soon = LEASE_SECONDS - 1
        assert await claim(platform, "other", later=soon) is None
        await platform.store.write(lambda session: work.renew(session, held, time.time() + 5, "at it"))
        assert (await look(platform, held.id)).message == "at it"
        assert await claim(platform, "other", later=LEASE_SECONDS + 1) is None
        assert (await take(platform, "other", later=LEASE_SECONDS + 6)).fence == 2

    async def test_who_is_surely_gone_has_none(self, platform: Platform) -> None:
        await post(platform)
        await take(platform, "dead")
        assert await claim(platform, offer("other", gone="somebody")) is None
        heir = await take(platform, offer("other", gone="dead"))
        assert (heir.fence, heir.job.attempts) == (2, 2)

    async def test_a_worker_is_never_gone_to_itself(self, platform: Platform) -> None:
        await post(platform)
        await take(platform, "me")
        assert await claim(platform, offer("me", gone="me")) is None

    async def test_the_next_one_goes_on_from_the_checkpoint(self, platform: Platform) -> None:
        await post(platform)
        held = await take(platform, "dead")

        def enter(session: Any) -> None:
            work.enter(session, held, "working", 7.0, checkpoint={"total": 3}, total=3, model="foal")

        await platform.store.change(enter)
        heir = await take(platform, "heir", later=LEASE_SECONDS + 1)
        assert heir.checkpoint == {"total": 3}
        assert (heir.job.phase, heir.job.total, heir.job.model) == ("working", 3, "foal")
        assert heir.job.times["working"] == 7.0
        assert heir.job.started_at == held.job.started_at


class TestFence:
    @pytest.mark.parametrize("what", WRITES)
    async def test_nothing_can_be_written_by_who_was_taken_for_dead(
        self, platform: Platform, what: str
    ) -> None:
        await post(platform)
        old = await take(platform, "old")
        heir = await take(platform, "heir", later=LEASE_SECONDS + 1)
        before = await columns(platform, heir.id)
        with pytest.raises(Fenced):
            await platform.store.change(lambda session: WRITES[what](session, old))
        assert await columns(platform, heir.id) == before
        kept = await platform.store.read(lambda session: journal.load(session, heir.id))
        assert (list(kept.segments), kept.answered) == ([], set())
        await platform.store.change(lambda session: WRITES[what](session, heir))

    @pytest.mark.parametrize("what", WRITES)
    async def test_nothing_can_be_written_once_it_is_over(self, platform: Platform, what: str) -> None:
        await post(platform)
        held = await take(platform)
        await platform.store.change(lambda session: work.end(session, held, Ending("failed", "so"), 1.0))
        before = await columns(platform, held.id)
        with pytest.raises(Fenced):
            await platform.store.change(lambda session: WRITES[what](session, held))
        assert await columns(platform, held.id) == before

    @pytest.mark.parametrize("what", WRITES)
    async def test_nothing_can_be_written_after_it_was_put_back(self, platform: Platform, what: str) -> None:
        await post(platform)
        held = await take(platform)
        await platform.store.change(lambda session: work.put_back(session, held, 1.0, "its worker stops"))
        with pytest.raises(Fenced):
            await platform.store.change(lambda session: WRITES[what](session, held))

    async def test_who_was_taken_for_dead_cannot_put_back(self, platform: Platform) -> None:
        await post(platform)
        old = await take(platform, "old")
        heir = await take(platform, "heir", later=LEASE_SECONDS + 1)
        await platform.store.change(lambda session: work.put_back(session, old, 1.0, "late"))
        found = await look(platform, heir.id)
        assert (found.state, found.worker) == ("running", "heir")

    async def test_a_write_beside_a_claim_is_before_it_or_refused(self, platform: Platform, url: str) -> None:
        """Whichever comes first, nothing of the old worker's comes after the new one has looked."""
        other = Store(url)
        try:
            there = platform_of(other, platform.settings.data_dir)
            await post(platform)
            held = await take(platform, "0")
            for turn in range(1, 8):
                entry = Entry(turn, False, b"{}")
                now, old = turn * (LEASE_SECONDS + 1), held

                def keep(session: Any, old: Held = old, entry: Entry = entry) -> None:
                    journal.keep(session, old, [entry])

                async def heir(turn: int = turn, now: float = now) -> tuple[Held, set[int]]:
                    found = await take(there, str(turn), later=now)
                    seen = await other.read(lambda session: journal.load(session, found.id))
                    return found, seen.answered

                outcome, (held, seen) = await asyncio.gather(
                    platform.store.write(keep), heir(), return_exceptions=True
                )  # type: ignore[misc]
                after = await platform.store.read(lambda session, one=held: journal.load(session, one.id))
                assert after.answered == seen
                assert (turn in seen) is (outcome is None)
                assert outcome is None or isinstance(outcome, Fenced)
        finally:
            other.close()


class TestPutBack:
    async def test_another_takes_it_at_once(self, platform: Platform) -> None:
        job = await post(platform)
        held = await take(platform)
        await platform.store.change(lambda session: work.put_back(session, held, 1.0, "its worker stops"))
        found = await look(platform, job.id)
        assert (found.state, found.worker, found.message) == ("queued", "", "its worker stops")
        heir = await take(platform, "heir")
        assert (heir.fence, heir.job.attempts) == (2, 2)
        # It was no stall.
        assert (await columns(platform, job.id))["stalls"] == 1


class TestStalls:
    async def test_a_job_that_ends_its_workers_fails(self, platform: Platform) -> None:
        job = await post(platform)
        for turn in range(MOST_STALLS):
            assert (await take(platform, later=turn * (LEASE_SECONDS + 1))).id == job.id
        late = MOST_STALLS * (LEASE_SECONDS + 1)
        held = await take(platform, later=late)
        # Its worker fails it: see `control.jobs.worker`.
        assert (held.id, held.stalls) == (job.id, MOST_STALLS + 1)

    async def test_progress_clears_them(self, platform: Platform) -> None:
        await post(platform)
        for turn in range(3):
            held = await take(platform, later=turn * (LEASE_SECONDS + 1))
        assert (await columns(platform, held.id))["stalls"] == 3
        await platform.store.write(lambda session: WRITES["keep"](session, held))
        row = await columns(platform, held.id)
        assert (row["stalls"], row["done"], row["failed"]) == (0, 1, 0)


class TestEnd:
    async def test_tells_how_and_when(self, platform: Platform) -> None:
        await post(platform, results={"given": "1"})
        held = await take(platform)
        problem = {"code": "c", "message": "m", "param": None, "line": 3}
        ending = Ending("failed", "it was wrong", [problem], {"output_file_id": "file-1"})
        await platform.store.change(lambda session: work.end(session, held, ending, 9.0))
        found = await look(platform, held.id)
        assert (found.state, found.phase, found.reason, found.worker) == ("failed", "", "it was wrong", "")
        assert (found.finished_at, found.times["failed"]) == (9.0, 9.0)
        assert found.results == {"given": "1", "output_file_id": "file-1"}
        assert found.errors[0].line == 3
        assert not (await jobs.list_page(platform, LOCAL, states=("running",))).jobs

    async def test_is_written_with_what_belongs_to_it_or_not_at_all(self, platform: Platform) -> None:
        await post(platform)
        held = await take(platform)

        def write(session: Any, row: JobRow) -> None:
            row.message = "half"
            raise KeyError("no")

        with pytest.raises(KeyError):
            await platform.store.change(
                lambda session: work.end(session, held, Ending("completed", write=write), 1.0)
            )
        found = await look(platform, held.id)
        assert (found.state, found.message) == ("running", "")
