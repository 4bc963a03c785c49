"""Deployments as Cortecs instances."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from paddock.gateway.address import server_address
from paddock.gateway.cortecs.instances import instance, state_of
from paddock.schemas.cortecs import MOST_WORKERS, Instance
from paddock.schemas.own import Deployment, DeploymentStatus, Replica, ReplicaState

ADDRESS = "http://127.0.0.1:8800"
STEPS = {"queued": 1, "reserving": 2, "fetching": 3, "loading": 4, "ready": 5, "draining": 5, "ending": 4}


def replica(state: ReplicaState, **more: Any) -> Replica:
    fields: dict[str, Any] = {
        "id": "rep-1",
        "generation": 1,
        "state": state,
        "node": "here",
        "hardware_type": "CPU_1",
        "step": STEPS[state],
        "description": f"It is {state}",
        "done": 0,
        "total": 0,
        "reason": "",
        "created_at": 0.0,
        "ready_at": 7.0 if state == "ready" else None,
        "ended_at": None,
    }
    return Replica(**{**fields, **more})


def deployment(status: DeploymentStatus, *replicas: Replica, **more: Any) -> Deployment:
    fields: dict[str, Any] = {
        "id": "dep-1",
        "name": "dep-1",
        "project": "local",
        "model": "paddock/foal",
        "engine": "llama.cpp",
        "hardware_type": "CPU_1",
        "context_length": 2048,
        "min_workers": 1,
        "max_workers": 1,
        "per_worker": 4,
        "idle_timeout": 300.0,
        "options": {},
        "status": status,
        "serving": any(one.state == "ready" for one in replicas),
        "reason": "",
        "log": [],
        "generation": 1,
        "replicas": list(replicas),
        "created_at": 0.0,
        "updated_at": 0.0,
        "started_at": None,
        "stopped_at": None,
        "source": "paddock/foal",
    }
    return Deployment(**{**fields, **more})


def shown(status: DeploymentStatus, *replicas: Replica, **more: Any) -> Instance:
    return instance(deployment(status, *replicas, **more), ADDRESS)


def steps(shown: Instance) -> list[int | None]:
    """Where each worker is; None for one that is stopped."""
    return [one.init_progress and one.init_progress["current_step"] for one in shown.worker_statuses]


READY, LOADING = replica("ready"), replica("loading")


class TestState:
    @pytest.mark.parametrize(
        ("status", "replicas", "state"),
        [
            ("pending", (), "pending"),
            ("starting", (LOADING,), "pending"),
            ("starting", (READY, LOADING), "running"),
            ("ready", (READY,), "running"),
            ("ready", (), "running"),
            ("asleep", (), "running"),
            ("failed", (), "stopped"),
            ("failed", (READY,), "running"),
            ("stopped", (), "stopped"),
            ("stopped", (READY,), "stopped"),
            ("deleting", (READY,), "stopped"),
        ],
    )
    def test_each(self, status: DeploymentStatus, replicas: tuple[Replica, ...], state: str) -> None:
        assert state_of(deployment(status, *replicas)) == state

    def test_only_one_that_runs_has_an_address(self) -> None:
        assert shown("ready", READY).base_url == "http://127.0.0.1:8800/instances/dep-1/v1"
        assert shown("starting", LOADING).base_url is None
        assert shown("stopped").base_url is None


class TestProgress:
    """Both clients stop waiting at the last step, so only what runs may show it."""

    @pytest.mark.parametrize("state", ["queued", "reserving", "fetching", "loading"])
    def test_on_the_way(self, state: ReplicaState) -> None:
        found = shown("starting", replica(state))
        progress = {"current_step": STEPS[state], "num_steps": 5, "description": f"It is {state}"}
        assert found.instance_status.init_progress == progress
        assert [one.init_progress for one in found.worker_statuses] == [progress]

    def test_before_there_is_a_worker(self) -> None:
        found = shown("pending", reason="no hardware is free")
        assert found.instance_status.init_progress == {
            "current_step": 1,
            "num_steps": 5,
            "description": "no hardware is free",
        }
        assert steps(found) == [1]

    def test_what_is_ending_is_not_on_its_way(self) -> None:
        assert steps(shown("starting", replica("draining"), replica("ending"))) == [1]

    def test_a_worker_that_says_it_is_ready_is_believed_with_the_status_only(self) -> None:
        assert steps(shown("starting", replica("loading", step=5))) == [4]

    def test_the_furthest_of_several_is_first(self) -> None:
        loading, fetching = replica("loading"), replica("fetching", done=5)
        found = shown("starting", replica("fetching", done=1), fetching, loading, min_workers=4)
        assert steps(found) == [4, 3, 3, 1]
        progress = found.instance_status.init_progress
        assert progress is not None
        assert progress["current_step"] == 4

    def test_while_it_runs(self) -> None:
        found = shown("starting", LOADING, READY, min_workers=3)
        assert steps(found) == [5, 4, 1]
        assert found.instance_status.init_progress == {
            "current_step": 5,
            "num_steps": 5,
            "description": "Running",
        }

    def test_asleep(self) -> None:
        found = shown("asleep", min_workers=0)
        assert steps(found) == [5]
        assert "a request wakes it" in str(found.instance_status.init_progress)

    def test_a_worker_has_just_died(self) -> None:
        assert steps(shown("ready", replica("queued"))) == [5, 1]

    def test_stopped(self) -> None:
        found = shown("stopped", replica("draining"), min_workers=2)
        assert steps(found) == [None, None]
        assert found.instance_status.init_progress is None

    def test_the_list_is_bounded(self) -> None:
        assert len(steps(shown("pending", min_workers=2**31 - 1))) == MOST_WORKERS


class TestStatus:
    def test_times_are_utc(self) -> None:
        running = shown("ready", READY, started_at=1732871147.788).instance_status
        assert running.started_at == datetime(2024, 11, 29, 9, 5, 47, 788000, UTC)
        assert running.stopped_at is None
        stopped = shown("stopped", started_at=1.0, stopped_at=2.0).instance_status
        assert (stopped.started_at, stopped.stopped_at) == (
            datetime.fromtimestamp(1, UTC),
            datetime.fromtimestamp(2, UTC),
        )

    def test_the_first_moment(self) -> None:
        status = shown("starting", READY).instance_status
        assert status.started_at == datetime.fromtimestamp(7, UTC)
        assert shown("starting", LOADING).instance_status.started_at is None

    def test_the_first_moment_after_a_restart(self) -> None:
        before = replica("draining", ready_at=3.0, generation=1)
        status = shown("starting", before, replica("ready", generation=2), generation=2).instance_status
        assert status.started_at == datetime.fromtimestamp(7, UTC)
        before = replica("ready", ready_at=3.0, generation=1)
        status = shown("starting", before, generation=2, updated_at=6.0).instance_status
        assert status.started_at == datetime.fromtimestamp(6, UTC)

    def test_why_it_failed(self) -> None:
        status = shown("failed", reason="its weights are cut short", log=["error: eof"]).instance_status
        assert (status.status, status.reason, status.log) == (
            "stopped",
            "its weights are cut short",
            ["error: eof"],
        )


class TestArguments:
    def test_of_a_deployment_of_another_dialect(self) -> None:
        found = shown("ready", READY, name="my-foal", min_workers=0, max_workers=3, labels={"team": "a"})
        assert found.instance_args.model_dump() == {
            "model_id": "paddock--foal",
            "hardware_type_id": "CPU_1",
            "context_length": 2048,
            "billing_interval": "per_minute",
            "num_workers": 1,
        }
        assert (found.instance_id, found.name, found.labels) == ("dep-1", "my-foal", {"team": "a"})

    def test_what_was_asked_for_is_given_back(self) -> None:
        details = {"billing_interval": "per_hour", "model": "paddock/foal", "model_id": "foal"}
        found = shown("pending", min_workers=2, details={"cortecs": details}).instance_args
        assert (found.model_id, found.billing_interval, found.num_workers) == ("foal", "per_hour", 2)

    def test_another_dialect_changed_the_model(self) -> None:
        details = {"billing_interval": "per_hour", "model": "paddock/foal", "model_id": "foal"}
        found = shown("pending", model="org/other", details={"cortecs": details}).instance_args
        assert (found.model_id, found.billing_interval) == ("org--other", "per_hour")


class TestServerAddress:
    @pytest.mark.parametrize(
        ("public_url", "headers", "address"),
        [
            ("https://models.example.org/paddock/", {b"host": b"a"}, "https://models.example.org/paddock"),
            (None, {b"host": b"models.example.org"}, "http://models.example.org"),
            (None, {b"host": b"[::1]:9000"}, "http://[::1]:9000"),
            (None, {}, "http://0.0.0.0:8800"),
            (None, {b"host": b"a/../b"}, "http://0.0.0.0:8800"),
            (
                None,
                {b"host": b"a:1", b"x-forwarded-host": b"evil", b"x-forwarded-proto": b"https"},
                "http://a:1",
            ),
        ],
    )
    def test_each(self, public_url: str | None, headers: dict[bytes, bytes], address: str) -> None:
        assert server_address(public_url, headers, "0.0.0.0", 8800) == address

    def test_without_a_host_on_ipv6(self) -> None:
        assert server_address(None, {}, "::1", 8800) == "http://[::1]:8800"
