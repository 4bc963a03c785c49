"""What there is of replicas, jobs and messages, in whole stores."""

from __future__ import annotations

from paddock.services import census, replicas
from paddock.services.census import Census, JobCount
from paddock.services.holds import ORIGIN
from paddock.store.sessions import ChangeSession, Store
from paddock.store.tables import HardwareLeaseRow, JobRow, ReplicaRow
from tests.store.rows import add_deployment


def add_replica(
    session: ChangeSession, deployment_id: str, name: str, state: str, hardware_type: str
) -> None:
    made = {"id": name, "deployment_id": deployment_id, "generation": 1, "fence": 1, "state": state}
    session.add(ReplicaRow(**made, created_at=1.0, state_at=1.0))
    session.flush()
    if hardware_type:
        held = {"replica_id": name, "node": "node", "hardware_type": hardware_type, "gpus": []}
        session.add(HardwareLeaseRow(**held, cores=1, memory=1, since=1.0))


def add_job(session: ChangeSession, name: str, kind: str, state: str, *counts: int) -> None:
    total, done, failed = counts
    made = {"id": name, "kind": kind, "state": state, "total": total, "done": done, "failed": failed}
    session.add(
        JobRow(
            **made, project="local", dialect="openai", model="foal", spec={}, deadline_at=9e9, created_at=1.0
        )
    )


class TestCensus:
    async def test_an_empty_store(self, store: Store) -> None:
        assert await store.read(census.take) == Census()

    async def test_replicas_of_all_projects_by_what_they_are_called(self, store: Store) -> None:
        def work(session: ChangeSession) -> None:
            for project in ("a", "b"):
                row = add_deployment(session, "foal", id=f"dep-{project}", project=project)
                add_replica(session, row.id, f"rep-{project}", "ready", "CPU_2")
            add_replica(session, row.id, "rep-new", "queued", "")
            add_replica(session, row.id, "rep-old", "ready", "CPU_2")
            replicas.end(session, row, session.get_one(ReplicaRow, "rep-old"), "stopped", "", 2.0)
            own = add_deployment(session, "for-batch_1", origin=ORIGIN)
            add_replica(session, own.id, "rep-own", "loading", "CPU_1")

        await store.change(work)
        assert (await store.read(census.take)).replicas == {
            ("foal", "ready", "CPU_2"): 2,
            ("foal", "queued", "CPU_1"): 1,
            ("paddock/foal", "loading", "CPU_1"): 1,
        }

    async def test_jobs_and_how_far_they_are(self, store: Store) -> None:
        def work(session: ChangeSession) -> None:
            add_job(session, "batch_1", "batch", "running", 100, 40, 3)
            add_job(session, "batch_2", "batch", "running", 50, 0, 0)
            add_job(session, "batch_3", "batch", "completed", 10, 10, 1)
            add_job(session, "ft_1", "ft", "queued", 0, 0, 0)

        await store.change(work)
        assert (await store.read(census.take)).jobs == {
            ("batch", "running"): JobCount(2, 40, 3, 110),
            ("batch", "completed"): JobCount(1, 10, 1, 0),
            ("ft", "queued"): JobCount(1, 0, 0, 0),
        }
