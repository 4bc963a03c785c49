from __future__ import annotations

import pytest

from paddock.services import gateways, replicas, serving
from paddock.services.gateways import ALIVE_SECONDS, Gateways, Report
from paddock.services.serving import changed_since
from paddock.store.sessions import ChangeSession, Store, WriteSession
from paddock.store.tables import DeploymentRow, ReplicaRow
from tests.store.rows import add_deployment

NOW = 1000.0


class TestReports:
    async def test_what_all_of_them_have_to_do(self, store: Store) -> None:
        def work(session: WriteSession) -> Gateways:
            first = Report(5, {"r": 2}, {"d": 3}, {"d": 990.0})
            gateways.report(session, "a", NOW, first, news=True)
            gateways.report(session, "b", NOW, Report(4, {"r": 1}, {"d": 1, "e": 0}), news=True)
            session.flush()
            return gateways.alive(session, NOW)

        found = await store.write(work)
        assert (found.demand("d"), found.in_flight("r"), found.used_at("d")) == (4, 3, 990.0)
        assert (found.demand("x"), found.in_flight("x"), found.used_at("x")) == (0, 0, 0.0)
        assert found.waiting() == {"d"}

    async def test_the_dead_are_not_counted_and_forgotten_later(self, store: Store) -> None:
        def work(session: WriteSession) -> tuple[int, int]:
            gateways.report(session, "a", NOW, Report(1, {"r": 1}), news=True)
            session.flush()
            alive = gateways.alive(session, NOW + ALIVE_SECONDS - 0.1).in_flight("r")
            return alive, gateways.alive(session, NOW + ALIVE_SECONDS).in_flight("r")

        assert await store.write(work) == (1, 0)
        for later, left in ((20 * ALIVE_SECONDS, 1), (20 * ALIVE_SECONDS + 1, 0)):
            await store.write(lambda session, now=NOW + later: gateways.clear_dead(session, now))
            found = await store.read(lambda session: gateways.alive(session, NOW))
            assert len(found.reports) == left

    @pytest.mark.parametrize(
        ("reports", "let_go"),
        [
            ([], True),
            ([Report(7)], True),
            ([Report(6)], False),
            ([Report(7, {"r": 1})], False),
            ([Report(7, {"r": 0, "other": 5})], True),
            ([Report(8), Report(6)], False),
            ([Report(8), Report(9, {"r": 1})], False),
        ],
    )
    def test_a_replica_is_let_go_by_all_or_not(self, reports: list[Report], let_go: bool) -> None:
        assert Gateways(reports).let_go("r", 7) is let_go


class TestServing:
    async def test_what_changed_since_a_revision(self, store: Store) -> None:
        await store.change(lambda session: add_deployment(session, "old") and None)
        start, found = await store.read(lambda session: changed_since(session, -1))
        assert [one.name for one in found] == ["old"]
        assert await store.read(lambda session: changed_since(session, start)) == (start, [])

        def make(session: ChangeSession) -> None:
            add_deployment(session, "new", created_at=1.0)

        await store.change(make)
        newest, found = await store.read(lambda session: changed_since(session, start))
        assert (newest, [one.name for one in found]) == (start + 1, ["new"])

    async def test_the_deleted_are_told_of_to_who_knew_them(self, store: Store) -> None:
        await store.change(lambda session: add_deployment(session, "one") and None)
        known = await store.revision()

        def delete(session: ChangeSession) -> None:
            row = session.get_one(DeploymentRow, "dep-one")
            row.deleted_at, row.revision = NOW, session.revision
            add_deployment(session, "one", id="dep-again", created_at=NOW)

        await store.change(delete)
        _, found = await store.read(lambda session: changed_since(session, known))
        assert [(one.id, one.gone) for one in found] == [("dep-one", True), ("dep-again", False)]
        _, found = await store.read(lambda session: changed_since(session, -1))
        assert [one.id for one in found] == ["dep-again"]

    async def test_only_ready_replicas_are_served(self, store: Store) -> None:
        def work(session: ChangeSession) -> str:
            row = add_deployment(session, "one")
            made = [replicas.add(session, row, 1, NOW + number, NOW) for number in range(4)]
            for one, state in zip(made, ("ready", "draining", "loading", "ready"), strict=True):
                replicas.advance(one, state, 5, "", NOW, None)
            replicas.end(session, row, made[3], "stopped", "", NOW)
            made[0].address, made[0].key = "http://127.0.0.1:1", "k"
            return made[0].id

        ready = await store.change(work)
        _, (served,) = await store.read(lambda session: changed_since(session, -1))
        assert served.replicas == (serving.ServedReplica(ready, "http://127.0.0.1:1", "k", {}),)


class TestRemembered:
    async def test_of_the_ended_replicas_the_last_ones(self, store: Store) -> None:
        def work(session: ChangeSession) -> list[str]:
            row = add_deployment(session, "one")
            for number in range(replicas.KEPT + 5):
                one = replicas.add(session, row, 1, NOW + number, NOW)
                one.id = f"rep-{number:02}"
                replicas.end(session, row, one, "stopped", "", NOW + number)
            session.flush()
            return sorted(session.scalars(ReplicaRow.__table__.select().with_only_columns(ReplicaRow.id)))

        assert await store.change(work) == [f"rep-{number:02}" for number in range(5, replicas.KEPT + 5)]
