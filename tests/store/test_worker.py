from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from paddock.control.jobs.shift import Shift
from paddock.control.jobs.worker import Worker
from paddock.control.presence import Presence
from paddock.errors import InvalidRequest, JobFailed, StorageFailed, StoreFailed
from paddock.schemas.jobs import Job
from paddock.services import jobs, work
from paddock.services.deployments import LOCAL
from paddock.services.platform import Platform
from paddock.services.work import LEASE_SECONDS, MOST_STALLS, Ending
from paddock.store.tables import JobRow
from tests.store.fakes import SECONDS
from tests.store.posts import KIND, claim, look, post, take


@dataclass
class Scripted:
    """A kind that does as `script` says, or works until `done` is set.

    Attributes:
        given_up: how those ended that did not complete.
    """

    script: Callable[[Shift], Awaitable[Ending]] | None = None
    done: asyncio.Event = field(default_factory=asyncio.Event)
    begun: list[str] = field(default_factory=list)
    at_once: int = 0
    most: int = 0
    given_up: list[str] = field(default_factory=list)
    cleared: list[str] = field(default_factory=list)

    async def run(self, shift: Shift) -> Ending:
        self.begun.append(shift.held.id)
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        try:
            if self.script is not None:
                return await self.script(shift)
            await self.done.wait()
            return Ending("completed", results={"made": "yes"})
        finally:
            self.at_once -= 1

    async def give_up(self, shift: Shift, ending: Ending) -> Ending:
        assert not self.at_once or self.most > 1
        self.given_up.append(ending.state)
        return Ending(ending.state, ending.reason, ending.errors, {"partly": "yes"})

    async def clear(self, shift: Shift) -> None:
        assert not (await look(shift.platform, shift.held.id)).unfinished
        self.cleared.append(shift.held.id)


@contextlib.asynccontextmanager
async def at_work(
    platform: Platform, kind: Scripted, *knows: str, most: int = 4, folder: Path | None = None
) -> AsyncIterator[Presence]:
    presence = Presence(folder or platform.settings.data_dir)
    worker = Worker(platform, presence, {KIND: kind}, knows, most)
    running = asyncio.create_task(worker.run())
    try:
        yield presence
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        presence.close()


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(SECONDS):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def over(platform: Platform, job: Job, seconds: float = SECONDS) -> Job:
    """The job once it is over."""
    async with asyncio.timeout(seconds):
        while (found := await look(platform, job.id)).unfinished:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    return found


async def fails(shift: Shift, error: Exception) -> Ending:
    raise error


class TestWork:
    async def test_takes_up_what_is_asked_for_and_ends_it(self, platform: Platform) -> None:
        kind = Scripted()
        kind.done.set()
        before = await post(platform)
        async with at_work(platform, kind) as presence:
            after = await post(platform)
            for job in (before, after):
                found = await over(platform, job)
                assert (found.state, found.results, found.attempts) == ("completed", {"made": "yes"}, 1)
            await until(lambda: len(kind.cleared) == 2)
            assert presence.identity
        assert kind.given_up == []

    async def test_no_more_at_once_than_it_may(self, platform: Platform) -> None:
        kind = Scripted()
        made = [await post(platform) for _ in range(5)]
        async with at_work(platform, kind, most=2):
            await until(lambda: kind.at_once == 2)
            await asyncio.sleep(0.2)
            assert kind.begun == [made[0].id, made[1].id]
            kind.done.set()
            for job in made:
                assert (await over(platform, job)).state == "completed"
        assert kind.most == 2

    async def test_two_share_what_there_is(self, platform: Platform) -> None:
        one, two = Scripted(), Scripted()
        one.script = two.script = pause
        made = [await post(platform) for _ in range(10)]
        async with at_work(platform, one, most=2), at_work(platform, two, most=2):
            for job in made:
                assert (await over(platform, job)).attempts == 1
        assert sorted(one.begun + two.begun) == sorted(job.id for job in made)

    async def test_is_alive_for_longer_than_a_lease(
        self, platform: Platform, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(work, "LEASE_SECONDS", 0.5)
        monkeypatch.setattr("paddock.control.jobs.worker.RENEW_SECONDS", 0.1)
        kind = Scripted()
        job = await post(platform)
        async with at_work(platform, kind):
            await until(lambda: kind.begun)
            for _ in range(10):
                await asyncio.sleep(0.1)
                assert await claim(platform, "thief") is None
            kind.done.set()
            assert (await over(platform, job)).attempts == 1

    async def test_says_what_goes_on(self, platform: Platform) -> None:
        async def script(shift: Shift) -> Ending:
            shift.message = "reading"
            await asyncio.Event().wait()
            raise AssertionError

        job = await post(platform)
        async with at_work(platform, Scripted(script)):
            async with asyncio.timeout(5):
                while (await look(platform, job.id)).message != "reading":  # noqa: ASYNC110
                    await asyncio.sleep(0.02)


async def pause(shift: Shift) -> Ending:
    await asyncio.sleep(0.05)
    return Ending("completed")


class TestCancel:
    @pytest.mark.parametrize("turn", range(2))
    async def test_takes_effect_at_once(self, platform: Platform, turn: int) -> None:
        kind = Scripted()
        job = await post(platform)
        async with at_work(platform, kind):
            await until(lambda: kind.begun)
            await jobs.cancel(platform, LOCAL, job.id)
            # Within a second where the machine has nothing else to do.
            found = await over(platform, job, 3.0)
            assert (found.state, found.reason, found.results) == (
                "cancelled",
                "it was cancelled",
                {"partly": "yes"},
            )
            await until(lambda: kind.cleared)
        assert (kind.given_up, kind.at_once) == (["cancelled"], 0)

    async def test_of_a_dead_worker_s_job(self, platform: Platform) -> None:
        job = await post(platform)
        # On another machine, so that only its lease tells that it is dead.
        await take(platform, "elsewhere", later=-LEASE_SECONDS - 1)
        await jobs.cancel(platform, LOCAL, job.id)
        async with at_work(platform, Scripted()):
            assert (await over(platform, job, 3.0)).state == "cancelled"

    async def test_of_what_was_put_back_though_there_is_no_room(self, platform: Platform) -> None:
        kind = Scripted()
        job = await post(platform)
        held = await take(platform, "before")
        await platform.store.change(lambda session: work.put_back(session, held, time.time(), "stopped"))
        await post(platform, priority=9)
        async with at_work(platform, kind, most=1):
            await until(lambda: kind.begun)
            await jobs.cancel(platform, LOCAL, job.id)
            assert (await over(platform, job, 1.5)).state == "cancelled"

    async def test_of_one_does_not_touch_another(self, platform: Platform) -> None:
        kind = Scripted()
        one, two = await post(platform), await post(platform)
        async with at_work(platform, kind):
            await until(lambda: kind.at_once == 2)
            await jobs.cancel(platform, LOCAL, one.id)
            await over(platform, one)
            assert (await look(platform, two.id)).state == "running"
            kind.done.set()
            assert (await over(platform, two)).state == "completed"


class TestDeadline:
    async def test_ends_what_runs(self, platform: Platform) -> None:
        kind = Scripted()
        job = await post(platform, seconds=0.7)
        async with at_work(platform, kind):
            found = await over(platform, job, 3.0)
        assert (found.state, found.results) == ("expired", {"partly": "yes"})
        assert "was over before it was finished" in found.reason
        assert found.finished_at is not None
        assert found.finished_at - found.deadline_at < 1.0
        assert kind.given_up == ["expired"]

    async def test_ends_what_waits(self, platform: Platform) -> None:
        kind = Scripted()
        await post(platform)
        far = await post(platform, needs="far", seconds=0.3)
        late = await post(platform, seconds=0.3)
        async with at_work(platform, kind, most=1):
            for job in (far, late):
                assert (await over(platform, job, 4.0)).state == "expired"


class TestFailure:
    async def test_tells_why(self, platform: Platform) -> None:
        problem = {"code": "c", "message": "m", "param": None, "line": 2}
        kind = Scripted(lambda shift: fails(shift, JobFailed("line 2: m", [problem])))
        job = await post(platform)
        async with at_work(platform, kind):
            found = await over(platform, job)
        assert (found.state, found.reason, found.errors[0].line) == ("failed", "line 2: m", 2)
        assert (found.attempts, kind.given_up) == (1, ["failed"])

    @pytest.mark.parametrize(
        ("error", "reason"),
        [
            (InvalidRequest("it is no file"), "it is no file"),
            (KeyError("bug"), "an error inside Paddock (KeyError); its log tells more"),
        ],
    )
    async def test_of_any_other_kind_too(self, platform: Platform, error: Exception, reason: str) -> None:
        job = await post(platform)
        async with at_work(platform, Scripted(lambda shift: fails(shift, error))):
            found = await over(platform, job)
        assert (found.state, found.reason) == ("failed", reason)

    async def test_while_it_is_given_up(self, platform: Platform) -> None:
        class Broken(Scripted):
            async def give_up(self, shift: Shift, ending: Ending) -> Ending:
                raise KeyError("bug")

        job = await post(platform)
        async with at_work(platform, Broken(lambda shift: fails(shift, JobFailed("no")))):
            found = await over(platform, job)
        assert (found.state, "KeyError" in found.reason) == ("failed", True)

    async def test_of_a_job_that_ends_its_workers(self, platform: Platform) -> None:
        job = await post(platform)

        def stall(session: Any) -> None:
            session.get_one(JobRow, job.id).stalls = MOST_STALLS

        await platform.store.change(stall)
        kind = Scripted()
        async with at_work(platform, kind):
            found = await over(platform, job)
        assert (found.state, kind.given_up) == ("failed", ["failed"])
        assert f"{MOST_STALLS} workers ended with it" in found.reason


class TestStore:
    @pytest.mark.parametrize("error", [StoreFailed("the store is gone"), StorageFailed("the disk is full")])
    async def test_a_kind_that_cannot_go_on_is_paused(
        self, platform: Platform, monkeypatch: pytest.MonkeyPatch, error: Exception
    ) -> None:
        monkeypatch.setattr("paddock.control.jobs.shift.FIRST_PAUSE", 0.6)
        monkeypatch.setattr("paddock.control.jobs.worker.RENEW_SECONDS", 0.05)
        broken = True

        async def script(shift: Shift) -> Ending:
            if broken:
                raise error
            return Ending("completed")

        job = await post(platform)
        async with at_work(platform, Scripted(script)):
            async with asyncio.timeout(SECONDS):
                while not (found := await look(platform, job.id)).message.startswith("paused"):  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            assert str(error) in found.message
            broken = False
            found = await over(platform, job)
        assert (found.state, found.attempts, found.message) == ("completed", 1, "")

    async def test_an_end_that_cannot_be_written_is_written_later(
        self, platform: Platform, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        kind = Scripted()
        job = await post(platform)
        change, write, down = platform.store.change, platform.store.write, False

        async def maybe(real: Any, what: Any, **more: Any) -> Any:
            if down:
                raise StoreFailed("it is gone", retry_after=1)
            return await real(what, **more)

        monkeypatch.setattr(platform.store, "change", lambda what: maybe(change, what))
        monkeypatch.setattr(platform.store, "write", lambda what, **more: maybe(write, what, **more))
        async with at_work(platform, kind):
            await until(lambda: kind.begun)
            down = True
            kind.done.set()
            await asyncio.sleep(1.2)
            assert (await look(platform, job.id)).state == "running"
            down = False
            found = await over(platform, job)
        assert (found.state, found.attempts) == ("completed", 1)

    async def test_a_worker_outlives_a_store_that_cannot_be_read(
        self, platform: Platform, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        kind = Scripted()
        kind.done.set()
        real, failures = (
            platform.store.read,
            iter([StoreFailed("gone"), KeyError("bug"), StoreFailed("gone")]),
        )

        async def read(what: Any) -> Any:
            if (failure := next(failures, None)) is not None:
                raise failure
            return await real(what)

        job = await post(platform)
        monkeypatch.setattr(platform.store, "read", read)
        async with at_work(platform, kind):
            await until(lambda: kind.begun)
            assert (await over(platform, job)).state == "completed"

    async def test_its_own_job_is_never_free_for_it(self, platform: Platform) -> None:
        """As after a pause that was longer than the lease."""
        kind = Scripted()
        job = await post(platform)
        async with at_work(platform, kind):
            await until(lambda: kind.begun)

            def expire(session: Any) -> None:
                session.get_one(JobRow, job.id).lease_expires_at = 1.0

            await platform.store.change(expire)
            await asyncio.sleep(0.3)
            await platform.store.change(expire)
            await asyncio.sleep(1.5)
            assert kind.begun == [job.id]
            await jobs.cancel(platform, LOCAL, job.id)
            assert (await over(platform, job, 1.0)).state == "cancelled"

    async def test_a_sign_of_life_after_its_end_is_no_takeover(
        self, platform: Platform, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The end is committed for a while before the worker knows."""
        kind = Scripted()
        await post(platform)
        real = platform.store.change

        async def slow(what: Any) -> Any:
            result = await real(what)
            await asyncio.sleep(1.3)
            return result

        async with at_work(platform, kind):
            await until(lambda: kind.begun)
            monkeypatch.setattr(platform.store, "change", slow)
            kind.done.set()
            await until(lambda: kind.cleared)


class TestHandOver:
    async def test_what_a_stopped_worker_had_is_free_at_once(self, platform: Platform) -> None:
        one, two = Scripted(), Scripted()
        two.done.set()
        job = await post(platform)
        async with at_work(platform, one):
            await until(lambda: one.begun)
        found = await look(platform, job.id)
        assert (found.state, found.worker, found.message) == ("queued", "", "its worker was stopped")
        assert (one.given_up, one.cleared) == ([], [])
        async with at_work(platform, two):
            found = await over(platform, job, 2.0)
        assert (found.state, found.attempts) == ("completed", 2)

    async def test_who_is_dead_on_this_machine_is_followed_at_once(
        self, platform: Platform, tmp_path: Path
    ) -> None:
        dead = Presence(tmp_path)
        job = await post(platform)
        await take(platform, dead.identity)
        # As the kernel does with the lock of a process that ended.
        dead._file.close()
        kind = Scripted()
        kind.done.set()
        async with at_work(platform, kind, folder=tmp_path):
            found = await over(platform, job, 3.0)
        assert (found.state, found.attempts) == ("completed", 2)

    async def test_who_was_taken_for_dead_lets_go(
        self, platform: Platform, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("paddock.control.jobs.worker.RENEW_SECONDS", 0.05)
        kind = Scripted()
        job = await post(platform)
        async with at_work(platform, kind):
            await until(lambda: kind.at_once)
            heir = await take(platform, "heir", later=LEASE_SECONDS + 1)
            await until(lambda: not kind.at_once)
            await asyncio.sleep(0.1)
            assert (kind.given_up, kind.cleared, kind.begun) == ([], [], [job.id])
            found = await look(platform, job.id)
            assert (found.state, found.worker, heir.fence) == ("running", "heir", 2)
