from __future__ import annotations

import asyncio
import sqlite3
import time

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.orm import Session

from paddock.errors import StoreFailed
from paddock.services import gateways, replicas
from paddock.services.gateways import Report
from paddock.store import sessions
from paddock.store.sessions import ATTEMPTS, ChangeSession, ReadSession, Store, WriteSession
from paddock.store.tables import EventRow, LeaseRow, ReplicaRow, RevisionRow
from tests.store.rows import add_deployment


def event(session: ChangeSession, message: str) -> int:
    """Records the change itself. Returns its revision."""
    row = EventRow(
        project="local",
        at=float(session.revision),
        kind="test",
        deployment_id="d",
        deployment="d",
        message=message,
    )
    session.add(row)
    return session.revision


def events(session: Session) -> list[tuple[int, float]]:
    return [(row.id, row.at) for row in session.scalars(select(EventRow).order_by(EventRow.id))]


class TestChange:
    async def test_changes_of_many_processes_are_one_after_the_other(self, url: str, store: Store) -> None:
        others = [Store(url) for _ in range(3)]
        try:
            made = await asyncio.gather(
                *(
                    one.change(lambda session, one=one: event(session, str(one)))
                    for one in (store, *others)
                    for _ in range(15)
                )
            )
        finally:
            for one in others:
                one.close()
        assert sorted(made) == list(range(min(made), min(made) + 60))
        found = await store.read(events)
        # Who has seen a revision has seen all that came before it.
        assert [at for _, at in found] == sorted(at for _, at in found)
        assert await store.revision() == max(made)

    async def test_nothing_of_a_change_that_fails_is_kept(self, store: Store) -> None:
        before = await store.revision()

        def work(session: ChangeSession) -> None:
            event(session, "never")
            session.flush()
            raise ValueError("no")

        with pytest.raises(ValueError, match="no"):
            await store.change(work)
        assert await store.revision() == before
        assert await store.read(events) == []

    async def test_a_reader_sees_one_moment(self, store: Store) -> None:
        def work(session: ReadSession) -> tuple[int, int]:
            first = session.scalars(select(RevisionRow.value)).one()
            store.change_now(lambda session: event(session, "meanwhile"))
            return first, session.scalar(select(func.count()).select_from(EventRow)) or 0

        before = await store.revision()
        assert await store.read(work) == (before, 0)
        assert len(await store.read(events)) == 1

    async def test_what_may_pass_is_tried_again(self, store: Store) -> None:
        tries: list[int] = []

        def work(session: WriteSession) -> str:
            tries.append(1)
            if len(tries) < ATTEMPTS:
                raise OperationalError("UPDATE", None, sqlite3.OperationalError("database is locked"))
            return "done"

        assert await store.write(work) == "done"
        assert len(tries) == ATTEMPTS

    async def test_what_does_not_pass_is_an_error(self, store: Store) -> None:
        def locked(session: WriteSession) -> None:
            raise OperationalError("UPDATE", None, sqlite3.OperationalError("database is locked"))

        def full(session: WriteSession) -> None:
            raise OperationalError("UPDATE", None, sqlite3.OperationalError("database or disk is full"))

        for work, said in ((locked, "locked"), (full, "disk is full")):
            with pytest.raises(StoreFailed, match=said) as caught:
                await store.write(work)
            assert caught.value.retry_after

    async def test_a_mistake_of_ours_is_not_the_stores(self, store: Store) -> None:
        def work(session: WriteSession) -> None:
            session.add_all(LeaseRow(name="twice", holder="", fence=0, expires_at=0) for _ in range(2))

        with pytest.raises(IntegrityError):
            await store.write(work)


class TestLocked:
    async def test_a_writer_waits_for_another_process(self, url: str, store: Store) -> None:
        if not url.startswith("sqlite"):
            pytest.skip("PostgreSQL lets both write")
        other = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        writing = asyncio.create_task(store.change(lambda session: event(session, "waits")))
        await asyncio.sleep(0.2)
        assert not writing.done()
        assert await store.read(events) == []
        other.execute("ROLLBACK")
        other.close()
        await writing

    async def test_the_slow_change_of_a_step_is_not_overwritten(self, loading: str, store: Store) -> None:
        """A step and the progress before it are written at the same time, the progress last."""

        def to_ready(session: ChangeSession) -> None:
            row = session.get_one(ReplicaRow, loading)
            replicas.advance(row, "ready", 5, "Ready", 1.0, None)
            session.flush()
            time.sleep(0.3)

        step = asyncio.create_task(store.change(to_ready))
        await asyncio.sleep(0.1)
        await store.write(lambda session: replicas.progress(session, loading, 1, {"state": "fetching"}))
        await step
        row = await store.read(lambda session: session.get_one(ReplicaRow, loading).state)
        assert row == "ready"


@pytest.fixture
async def loading(store: Store) -> str:
    """The id of a replica that is loading."""

    def work(session: ChangeSession) -> str:
        row = replicas.add(session, add_deployment(session, "one"), 1, 0.0, 60.0)
        replicas.advance(row, "loading", 4, "", 0.0, None)
        return row.id

    return await store.change(work)


class TestRing:
    @pytest.mark.parametrize("change", ["change", "report"])
    async def test_of_other_processes_too(self, url: str, store: Store, change: str) -> None:
        other = Store(url)
        bell = asyncio.Event()
        unlisten = store.on_change(bell.set)
        try:
            async with asyncio.timeout(5):
                await bell.wait()
                bell.clear()
                began = time.monotonic()
                if change == "change":
                    await other.change(lambda session: event(session, "elsewhere"))
                else:
                    await other.write(
                        lambda session: gateways.report(session, "g", time.time(), Report(1), news=True)
                    )
                await bell.wait()
            assert time.monotonic() - began < 1.0
        finally:
            unlisten()
            other.close()

    async def test_a_change_rings_at_once_and_others_do_not_listen_for_ever(self, store: Store) -> None:
        rung: list[str] = []
        ends = [store.on_change(lambda: rung.append("a")), store.on_change(lambda: rung.append("b"))]
        rung.clear()
        await store.change(lambda session: event(session, "one"))
        assert set(rung) == {"a", "b"}
        for end in ends:
            end()
        rung.clear()
        await store.change(lambda session: event(session, "two"))
        await asyncio.sleep(3 * sessions.POSTGRESQL_SECONDS)
        assert rung == []

    async def test_a_heartbeat_without_news_rings_nobody_on_postgresql(self, store: Store) -> None:
        def work(session: WriteSession) -> None:
            gateways.report(session, "g", time.time(), Report(1), news=False)

        await store.write(work)
        before = await store.read(sessions.pulse)
        await store.write(work)
        assert await store.read(sessions.pulse) == before
        await store.write(lambda session: gateways.leave(session, "g"))
        assert await store.read(sessions.pulse) != before


class TestPing:
    async def test_it_goes_on_after_the_connections_were_cut(self, url: str, store: Store) -> None:
        if url.startswith("sqlite"):
            pytest.skip("there is no server that could cut them")
        cut = text(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        await asyncio.gather(*(store.revision() for _ in range(4)))
        other = Store(url)
        await other.write(lambda session: session.execute(cut).all())
        other.close()
        await store.change(lambda session: event(session, "after"))
        assert len(await store.read(events)) == 1
