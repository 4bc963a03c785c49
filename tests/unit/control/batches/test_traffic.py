from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from paddock.control.batches.traffic import Traffic
from paddock.inference.deployment import Deployment, Replica
from paddock.inference.upstream import Upstream


def _deployments() -> tuple[Deployment, Deployment]:
    """A base and its adapter, with an engine that decodes 8 requests at once."""
    replica = Replica(Upstream("http://127.0.0.1:1/v1", None, 1), id="r")
    base, adapted = (
        Deployment(name, "llama.cpp", "foal", id=name, slots=8, replicas=[replica])
        for name in ("base", "shop")
    )
    adapted.base = base
    base.adapted.append(adapted)
    return base, adapted


def _rows(traffic: Traffic, deployment: Deployment) -> int:
    """That find room."""
    count = 0
    while traffic.room(deployment):
        traffic.enter(deployment)
        count += 1
    return count


class TestRoom:
    def test_is_an_engine_full_where_nobody_waits(self) -> None:
        platform: Any = SimpleNamespace(store=None)
        base, adapted = _deployments()
        assert _rows(Traffic(platform, "me"), base) == _rows(Traffic(platform, "me"), adapted) == 10

    def test_is_less_beside_people_who_ask_for_another_adapter_of_the_engine(self) -> None:
        platform: Any = SimpleNamespace(store=None)
        base, adapted = _deployments()
        for batch, people in ((base, adapted), (adapted, base)):
            replica = people.take()
            assert replica is not None
            assert _rows(Traffic(platform, "me"), batch) == 1
            people.leave(replica)
