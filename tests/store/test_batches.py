from __future__ import annotations

import asyncio
import contextlib
import math
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest
from sqlalchemy import func, select

from paddock.control.batches import keeper as keeping
from paddock.control.batches import output
from paddock.control.batches import run as running
from paddock.control.batches.keeper import Keeper
from paddock.control.batches.run import Run
from paddock.control.batches.traffic import Traffic
from paddock.control.batches.window import Window
from paddock.control.jobs.shift import Shift
from paddock.errors import (
    ContextLengthExceeded,
    EngineFailed,
    EngineLost,
    Fenced,
    InvalidRequest,
    JobFailed,
    PaddockError,
    RateLimited,
    StorageFailed,
    StoreFailed,
    Unavailable,
)
from paddock.inference.deployment import Deployment, Replica, in_background
from paddock.inference.rows import Answer
from paddock.inference.upstream import Upstream
from paddock.services.batches import journal
from paddock.services.batches.journal import Entry, Kept
from paddock.services.lines import rows
from paddock.services.platform import Platform
from paddock.services.work import LEASE_SECONDS
from paddock.store.tables import JobAnswerRow, JobRow
from tests.store.posts import look, post, take

Ask = Callable[[int, Deployment], Any]
FULL = Window(8, 1024).limit(0.0, 0, -math.inf)
"""Rows at once at a model that has eight slots."""


def model(slots: int = 8) -> Deployment:
    replica = Replica(Upstream("http://127.0.0.1:9/v1", "", 1.0))
    return Deployment("foal", "llama.cpp", "foal", slots=slots, replicas=[replica])


def text_of(count: int) -> bytes:
    """A batch's input, with blank lines here and there."""
    return b"".join(b"row %d\n" % number + b"\n" * (number % 3 == 0) for number in range(count))


async def in_pieces(text: bytes, size: int = 17) -> AsyncIterator[bytes]:
    for begin in range(0, len(text), size):
        yield text[begin : begin + size]


@dataclass
class There:
    """The place, which is always there unless `deployment` is told to fail."""

    found: Deployment
    failure: PaddockError | None = None

    async def deployment(self) -> Deployment:
        if self.failure is not None:
            raise self.failure
        while not self.found.replicas:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        return self.found


@dataclass
class Scripted:
    """A dialect whose rows are answered by `script`, which may raise; and what was asked, in order."""

    script: Ask | None = None
    asked: list[int] = field(default_factory=list)
    at_once: int = 0
    most: int = 0

    async def ask(self, spec: Any, deployment: Deployment, row: bytes, number: int) -> Answer:
        assert in_background.get()
        assert row == b"row %d" % number
        self.asked.append(number)
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        try:
            if self.script is not None:
                await self.script(number, deployment)
            return Answer(b"answer %d" % number, tokens=10)
        finally:
            self.at_once -= 1

    def error(self, spec: Any, row: bytes, number: int, error: PaddockError) -> Answer:
        return Answer(b"%s %d: %s" % (error.code.encode(), number, error.message.encode()), failed=True)


@dataclass
class Bench:
    """One batch on its way."""

    platform: Platform
    shift: Shift
    count: int
    place: There = field(default_factory=lambda: There(model()))

    async def kept(self) -> Kept:
        return await self.platform.store.read(lambda session: journal.load(session, self.shift.held.id))

    async def run(self, dialect: Scripted) -> None:
        """As a worker does with what it took up."""
        kept = await self.kept()
        keeper = Keeper(self.shift, kept)
        run = Run(dialect, {}, self.place, Traffic(self.platform, "here"), keeper)  # type: ignore[arg-type]
        async with contextlib.aclosing(in_pieces(text_of(self.count)[kept.offset :])) as pieces:
            await run.run(rows(pieces, kept.end, kept.offset))

    async def answers(self) -> list[tuple[bool, bytes]]:
        found = output.answers(self.platform, self.shift.held.id, await self.kept(), self.count)
        return [one async for one in found]

    async def columns(self) -> tuple[int, int]:
        job = await look(self.platform, self.shift.held.id)
        return job.done, job.failed

    async def hand_over(self, turn: int) -> Bench:
        """The next worker's, which takes this one for dead."""
        held = await take(self.platform, f"worker-{turn}", later=turn * (LEASE_SECONDS + 1))
        assert held.id == self.shift.held.id
        return Bench(self.platform, Shift(self.platform, held), self.count, self.place)


async def bench(platform: Platform, count: int) -> Bench:
    await post(platform)
    return Bench(platform, Shift(platform, await take(platform, "worker-0")), count)


def right(count: int) -> list[tuple[bool, bytes]]:
    return [(False, b"answer %d" % number) for number in range(count)]


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Segments of a few rows, pages of fewer, and little that is read ahead."""
    monkeypatch.setattr(keeping, "SEGMENT_ROWS", 12)
    monkeypatch.setattr(keeping, "MOST_AHEAD", 25)
    monkeypatch.setattr(keeping, "FLUSH_SECONDS", 0.001)
    monkeypatch.setattr(keeping, "LONGEST_WAIT", 0.002)
    monkeypatch.setattr(journal, "PAGE", 5)


class TestJournal:
    async def test_says_what_is_answered_behind_the_last_segment(self, platform: Platform) -> None:
        await post(platform)
        held = await take(platform)
        entries = [Entry(number, number == 2, b"%d" % number) for number in (2, 0, 1, 5)]
        await platform.store.write(lambda session: journal.keep(session, held, entries))
        segment = journal.Segment(0, 3, 30, "blob")
        await platform.store.write(lambda session: journal.seal(session, held, segment))
        kept = await platform.store.read(lambda session: journal.load(session, held.id))
        assert (kept.end, kept.offset, kept.answered, list(kept.segments)) == (3, 30, {5}, [segment])
        job = await look(platform, held.id)
        assert (job.done, job.failed) == (4, 1)

    async def test_what_is_said_twice_counts_once(self, platform: Platform) -> None:
        await post(platform)
        held = await take(platform)
        entries = [Entry(0, True, b"a"), Entry(1, False, b"b")]
        for count in (1, 2, 2):
            await platform.store.write(lambda session, n=count: journal.keep(session, held, entries[:n]))
        job = await look(platform, held.id)
        assert (job.done, job.failed) == (2, 1)

    async def test_forgets(self, platform: Platform) -> None:
        await post(platform)
        held = await take(platform)

        def work(session: Any) -> None:
            journal.keep(session, held, [Entry(0, False, b"")])
            journal.seal(session, held, journal.Segment(0, 1, 1, "blob"))
            journal.keep(session, held, [Entry(1, False, b"")])
            journal.forget(session, session.get_one(JobRow, held.id))

        await platform.store.change(work)
        assert await platform.store.read(lambda session: journal.load(session, held.id)) == Kept([], set())


@pytest.mark.usefixtures("short")
class TestKeeper:
    async def test_answers_come_in_any_order(self, platform: Platform) -> None:
        here = await bench(platform, 60)
        chance = random.Random(5)

        async def ask(number: int, _: Deployment) -> None:
            await asyncio.sleep(chance.choice((0, 0, 0.002, 0.01)))

        await here.run(Scripted(ask))
        assert await here.answers() == right(60)
        assert await here.columns() == (60, 0)
        kept = await here.kept()
        assert kept.segments
        ends = [0, *(one.end for one in kept.segments)]
        assert [one.first for one in kept.segments] == ends[:-1]

    async def test_reads_no_further_than_it_may(self, platform: Platform) -> None:
        here = await bench(platform, 80)
        may = asyncio.Event()
        here.place.found = model(slots=64)

        async def ask(number: int, _: Deployment) -> None:
            if number == 0:
                await may.wait()

        dialect = Scripted(ask)
        going = asyncio.create_task(here.run(dialect))
        while (await here.columns())[0] < 23:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        assert max(dialect.asked) == 23
        may.set()
        await going
        assert await here.answers() == right(80)

    @pytest.mark.parametrize("seed", range(4))
    async def test_goes_on_after_the_end_of_any_worker(self, platform: Platform, seed: int) -> None:
        """Workers end anywhere; only what they had not written yet is asked again."""
        chance = random.Random(seed)
        count = 70
        here = await bench(platform, count)
        asked: Counter[int] = Counter()
        turn = 0

        async def ask(number: int, _: Deployment) -> None:
            await asyncio.sleep(chance.choice((0, 0.001, 0.003)))

        while True:
            dialect = Scripted(ask)
            there = await here.kept()
            known = {*range(there.end), *there.answered}
            going = asyncio.create_task(here.run(dialect))
            if turn < 12:
                # So many turns of the loop, which is anywhere between two of its steps.
                for _ in range(chance.randrange(1, 120)):
                    await asyncio.sleep(0 if chance.random() < 0.8 else 0.001)
                going.cancel()
            outcome = (await asyncio.gather(going, return_exceptions=True))[0]
            assert outcome is None or isinstance(outcome, asyncio.CancelledError)
            asked.update(dialect.asked)
            assert not known & set(dialect.asked)
            assert len(set(dialect.asked)) == len(dialect.asked)
            if outcome is None:
                break
            turn += 1
            here = await here.hand_over(turn)
        assert await here.answers() == right(count)
        assert await here.columns() == (count, 0)
        assert set(asked) == set(range(count))

    @pytest.mark.parametrize("seed", range(4))
    async def test_a_worker_that_was_taken_for_dead_spoils_nothing(
        self, platform: Platform, seed: int
    ) -> None:
        chance = random.Random(seed)
        here = await bench(platform, 60)
        goings = []

        async def ask(number: int, _: Deployment) -> None:
            await asyncio.sleep(chance.choice((0.001, 0.003)))

        for turn in range(1, 5):
            goings.append(asyncio.create_task(here.run(Scripted(ask))))
            await asyncio.sleep(chance.uniform(0.01, 0.05))
            if goings[-1].done():
                break
            here = await here.hand_over(turn)
        await here.run(Scripted(ask))
        for outcome in await asyncio.gather(*goings, return_exceptions=True):
            assert outcome is None or isinstance(outcome, Fenced)
        assert await here.answers() == right(60)
        assert await here.columns() == (60, 0)

    @pytest.mark.parametrize("name", ["write", "read"])
    async def test_nothing_is_lost_while_the_store_fails(
        self, platform: Platform, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        here = await bench(platform, 40)
        real, chance, failed = getattr(platform.store, name), random.Random(3), 0

        async def flaky(what: Any, **more: Any) -> Any:
            nonlocal failed
            if chance.random() < 0.3:
                failed += 1
                raise StoreFailed("it is gone", retry_after=1)
            result = await real(what, **more)
            if chance.random() < 0.2:
                failed += 1
                raise StoreFailed("it was committed, but who knows", retry_after=1)
            return result

        for pause in ("FIRST_PAUSE", "LONGEST_PAUSE"):
            monkeypatch.setattr(f"paddock.control.jobs.shift.{pause}", 0.001)
        monkeypatch.setattr(platform.store, name, flaky)
        # As the worker does with what is raised out of a kind.
        dialect = Scripted()
        await here.shift.insist(lambda: here.run(dialect))
        monkeypatch.undo()
        assert failed
        assert await here.answers() == right(40)
        assert await here.columns() == (40, 0)

    async def test_nothing_is_lost_while_the_disk_is_full(
        self, platform: Platform, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        here = await bench(platform, 40)
        real, failures = platform.blobs.writer, iter([True] * 3)

        async def full(key: str) -> Any:
            if next(failures, False):
                raise StorageFailed("no space left on the disk", retry_after=1)
            return await real(key)

        monkeypatch.setattr("paddock.control.jobs.shift.FIRST_PAUSE", 0.001)
        monkeypatch.setattr(platform.blobs, "writer", full)
        dialect = Scripted()
        await here.run(dialect)
        assert next(failures, None) is None
        assert sorted(dialect.asked) == list(range(40))
        assert await here.answers() == right(40)

    async def test_a_segment_that_takes_long_keeps_no_answer_waiting(
        self, platform: Platform, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        here, real, may = await bench(platform, 80), platform.blobs.writer, asyncio.Event()

        async def slow(key: str) -> Any:
            await may.wait()
            return await real(key)

        monkeypatch.setattr(platform.blobs, "writer", slow)
        going = asyncio.create_task(here.run(Scripted()))
        while (await here.columns())[0] < 4 * keeping.SEGMENT_ROWS:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        # It does not go on for ever: all of that lies in the store.
        await asyncio.sleep(0.05)
        assert (await here.columns())[0] < 80
        assert not (await here.kept()).segments
        may.set()
        await going
        assert await here.answers() == right(80)

    async def test_few_are_asked_again_however_slow_the_store_is(
        self, platform: Platform, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        here, real = await bench(platform, 200), platform.store.write
        stuck, may = asyncio.Event(), asyncio.Event()

        async def write(what: Any, **more: Any) -> Any:
            stuck.set()
            await may.wait()
            return await real(what, **more)

        monkeypatch.setattr(platform.store, "write", write)
        dialect = Scripted()
        going = asyncio.create_task(here.run(dialect))
        await stuck.wait()
        await asyncio.sleep(0.05)
        assert len(dialect.asked) <= keeping.MOST_UNKEPT + FULL
        may.set()
        await going
        assert await here.answers() == right(200)

    async def test_large_answers_make_short_segments(
        self, platform: Platform, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(keeping, "SEGMENT_BYTES", 40)
        here = await bench(platform, 10)
        await here.run(Scripted())
        assert (await here.kept()).segments
        assert await here.answers() == right(10)

    async def test_what_is_sealed_lies_in_the_store_no_more(self, platform: Platform) -> None:
        here = await bench(platform, 30)
        await here.run(Scripted())
        end = (await here.kept()).end
        count = select(func.count()).select_from(JobAnswerRow)
        assert end
        assert await platform.store.read(lambda session: session.scalar(count)) == 30 - end


class TestRun:
    async def test_as_many_at_once_as_the_engine_digests(self, platform: Platform) -> None:
        here = await bench(platform, 60)

        async def ask(*_: Any) -> None:
            await asyncio.sleep(0.01)

        dialect = Scripted(ask)
        await here.run(dialect)
        assert dialect.most == FULL
        assert dialect.asked == list(range(60))

    async def test_what_the_engine_has_no_room_for_is_asked_again(
        self, platform: Platform, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(running, "FIRST_PAUSE", 0.002)
        here = await bench(platform, 20)
        refused: Counter[int] = Counter()

        async def ask(number: int, _: Deployment) -> None:
            refused[number] += 1
            if refused[number] <= number % 3:
                raise (RateLimited if number % 2 else Unavailable)("there is too much to do", retry_after=0)

        await here.run(Scripted(ask))
        assert await here.answers() == right(20)
        assert refused == {number: 1 + number % 3 for number in range(20)}

    async def test_what_is_wrong_with_a_row_stands_in_its_place(self, platform: Platform) -> None:
        here = await bench(platform, 6)
        faults: dict[int, Exception] = {
            1: ContextLengthExceeded("too long"),
            2: InvalidRequest("no such field"),
            4: EngineFailed("nobody understands it"),
            5: KeyError("a bug"),
        }

        async def ask(number: int, _: Deployment) -> None:
            if number in faults:
                raise faults[number]

        await here.run(Scripted(ask))
        found = await here.answers()
        assert [failed for failed, _ in found] == [False, True, True, False, True, True]
        assert found[1][1] == b"context_length_exceeded 1: too long"
        assert b"an error inside Paddock (KeyError)" in found[5][1]
        assert await here.columns() == (6, 4)

    @pytest.mark.parametrize("culprits", [{3}, {3, 5}, {0, 1, 2, 3}, set()])
    async def test_who_kills_the_engine_gets_the_error_and_no_other(
        self, platform: Platform, culprits: set[int]
    ) -> None:
        here = await bench(platform, 30)
        here.place.found = deployment = model(slots=8)
        whole = deployment.replicas
        at: set[int] = set()
        died = asyncio.Event()

        async def ask(number: int, there: Deployment) -> None:
            nonlocal died
            at.add(number)
            dies = died
            try:
                if number in culprits:
                    await asyncio.sleep(0.005)
                    there.replicas, died = [], asyncio.Event()
                    asyncio.get_running_loop().call_later(0.03, setattr, there, "replicas", whole)
                    dies.set()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.02):
                        await dies.wait()
                if dies.is_set():
                    raise EngineLost("the engine died")
            finally:
                at.discard(number)

        await here.run(Scripted(ask))
        found = await here.answers()
        assert {number for number, (failed, _) in enumerate(found) if failed} == culprits
        assert len(found) == 30

    async def test_a_suspect_is_asked_alone(self, platform: Platform) -> None:
        """Though its place is found by others first: a row that was answered made room for one."""
        here = await bench(platform, 30)
        here.place.found = deployment = model(slots=8)
        whole = deployment.replicas
        at: set[int] = set()
        beside: list[tuple[int, set[int]]] = []
        lost, last = False, FULL - 1

        async def ask(number: int, there: Deployment) -> None:
            nonlocal lost
            at.add(number)
            beside.append((number, set(at)))
            try:
                if lost or number > last:
                    await asyncio.sleep(0.01)
                    return
                await asyncio.sleep(0.01)
                if number == 0:
                    there.replicas = []
                    asyncio.get_running_loop().call_later(0.1, setattr, there, "replicas", whole)
                await asyncio.sleep(0.01)
                if number == last:
                    return
                await asyncio.sleep(0.02)
                asyncio.get_running_loop().call_soon(end)
                raise EngineLost("the engine died")
            finally:
                at.discard(number)

        def end() -> None:
            nonlocal lost
            lost = True

        await here.run(Scripted(ask))
        assert await here.answers() == right(30)
        seen: set[int] = set()
        for number, others in beside:
            if number in seen:
                assert others == {number}
            elif number > last:
                assert all(other > last for other in others)
            seen.add(number)

    @pytest.mark.parametrize("asks", [0, 5])
    async def test_what_the_place_lacks_ends_it(self, platform: Platform, asks: int) -> None:
        here = await bench(platform, 20)

        async def ask(number: int, _: Deployment) -> None:
            if number == asks:
                here.place.failure = JobFailed("the model went away")

        if not asks:
            here.place.failure = JobFailed("the model went away")
        with pytest.raises(JobFailed, match="went away"):
            await here.run(Scripted(ask))

    @pytest.mark.usefixtures("short")
    async def test_a_failure_ends_it_though_nothing_may_be_read_any_more(self, platform: Platform) -> None:
        here = await bench(platform, 80)

        async def ask(number: int, _: Deployment) -> None:
            if number == 0:
                await asyncio.sleep(0.3)
                raise JobFailed("the model went away")

        async with asyncio.timeout(10):
            with pytest.raises(JobFailed):
                await here.run(Scripted(ask))

    async def test_leaves_nothing_behind_when_it_is_cancelled(self, platform: Platform) -> None:
        here = await bench(platform, 50)
        traffic, kept = Traffic(platform, "here"), await here.kept()
        dialect = Scripted(lambda *_: asyncio.sleep(60))
        run = Run(dialect, {}, here.place, traffic, Keeper(here.shift, kept))  # type: ignore[arg-type]
        going = asyncio.create_task(run.run(rows(in_pieces(text_of(50)), 0, 0)))
        while dialect.at_once < FULL:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        assert not traffic.room(here.place.found)
        going.cancel()
        await asyncio.gather(going, return_exceptions=True)
        await asyncio.sleep(0)
        assert dialect.at_once == 0
        assert traffic.room(here.place.found)


class TestOutput:
    async def pieces(self, found: list[tuple[bool, bytes]]) -> AsyncIterator[tuple[bool, bytes]]:
        for one in found:
            yield one

    @pytest.mark.parametrize("count", [0, 1, 2, 40])
    async def test_as_a_list(self, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(output, "PIECE", 50)
        found = [(number % 2 == 0, b'{"n":%d}' % number) for number in range(count)]
        text = b"".join([piece async for piece in output.as_list(self.pieces(found), count)])
        assert orjson.loads(text) == [{"n": number} for number in range(count)]
        assert text.endswith(b"]\n")

    async def test_a_list_is_whole_or_not_there(self) -> None:
        with pytest.raises(AssertionError, match="1 of 2"):
            [piece async for piece in output.as_list(self.pieces([(False, b"{}")]), 2)]

    async def test_as_lines(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(output, "PIECE", 5)
        found = [(number % 3 == 0, b"%d" % number) for number in range(7)]
        good = [piece async for piece in output.as_lines(self.pieces(found), False)]
        assert b"".join(good) == b"1\n2\n4\n5\n"
        bad = [piece async for piece in output.as_lines(self.pieces(found), True)]
        assert b"".join(bad) == b"0\n3\n6\n"
        assert b"".join([piece async for piece in output.as_lines(self.pieces([]), True)]) == b""
