from __future__ import annotations

import pytest

from paddock.errors import StartupError
from paddock.inference import deployment as deployment_module
from paddock.inference.routing import Deployment, Replica, Routes
from paddock.inference.upstream import Upstream


class TestRoutes:
    def test_a_name_is_given_once(self) -> None:
        first = Deployment("org/foal", "attached", "foal")
        routes = Routes([first])
        with pytest.raises(StartupError, match="two models are called 'org/foal'"):
            routes.add(Deployment("org/foal", "llama.cpp", "org/foal"))
        assert routes.resolve("foal") is first


class TestBusy:
    def test_requests_that_share_time_count_each(self, monkeypatch: pytest.MonkeyPatch) -> None:
        now = [10.0]
        monkeypatch.setattr(deployment_module.time, "perf_counter", lambda: now[0])
        replica = Replica(Upstream("http://127.0.0.1:1/v1", None, 1))
        idle = Replica(Upstream("http://127.0.0.1:2/v1", None, 1))
        deployment = Deployment("a", "attached", "a", replicas=[replica, idle])
        for change in (replica.begin, replica.begin, replica.end, replica.end):
            change()
            now[0] += 2.0
        assert (replica.in_flight, replica.busy(), deployment.busy()) == (0, 2 + 4 + 2, 4.0)

    def test_nothing_is_busy_without_replicas(self) -> None:
        assert Deployment("a", "attached", "a").busy() == 0
