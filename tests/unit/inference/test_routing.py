from __future__ import annotations

import timeit
from typing import Any

import pytest

from paddock.errors import InvalidRequest, ModelNotFound, StartupError
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


def one(name: str, model: str = "", id: str = "", **more: Any) -> Deployment:
    return Deployment(name, "llama.cpp", name, id=id, model=model, **more)


class TestResolve:
    def test_in_this_order(self) -> None:
        by_model = one("mine", "paddock/foal", "dep-1")
        by_segment = one("org/pony", "org/weights", "dep-2")
        routes = Routes([by_model, by_segment])
        assert routes.resolve("mine") is by_model
        assert routes.resolve("dep-2") is by_segment
        assert routes.resolve("paddock/foal") is by_model
        assert routes.resolve("pony") is by_segment
        assert routes.resolve("weights") is by_segment
        assert routes.resolve("accounts/any/models/foal") is by_model

    def test_a_name_wins_over_an_id_a_model_and_a_segment(self) -> None:
        first, second, third = one("x", "m", "dep-1"), one("m", "y", "dep-2"), one("org/x", "z", "dep-3")
        routes = Routes([first, second, third])
        assert routes.resolve("m") is second
        assert routes.resolve("x") is first

    def test_of_two_nobody_is_guessed(self) -> None:
        routes = Routes([one("a", "paddock/foal", "dep-1"), one("b", "paddock/foal", "dep-2")])
        for name in ("paddock/foal", "foal"):
            with pytest.raises(InvalidRequest, match="ambiguous; use one of a, b") as caught:
                routes.resolve(name)
            assert caught.value.param == "model"

    def test_the_stopped_do_not_make_it_ambiguous(self) -> None:
        running, stopped = one("a", "paddock/foal", "dep-1"), one("b", "paddock/foal", "dep-2", stopped=True)
        routes = Routes([running, stopped])
        assert routes.resolve("foal") is running
        assert routes.resolve("b") is stopped
        running.stopped = True
        with pytest.raises(InvalidRequest, match="ambiguous"):
            routes.resolve("foal")

    def test_another_organisations_model_is_another_model(self) -> None:
        routes = Routes([one("paddock/foal", "paddock/foal", "dep-1")])
        with pytest.raises(ModelNotFound, match="served models: paddock/foal"):
            routes.resolve("other/foal")

    @pytest.mark.parametrize("name", ["", "/", "accounts/", "accounts/x/models/", "a" * 5000, "\x00"])
    def test_what_is_no_name(self, name: str) -> None:
        with pytest.raises(ModelNotFound) as caught:
            Routes([one("foal", "paddock/foal", "dep-1")]).resolve(name)
        assert len(caught.value.message) < 500

    def test_what_was_removed_is_found_by_no_name(self) -> None:
        gone = one("org/a", "paddock/foal", "dep-1")
        routes = Routes([gone])
        routes.remove(gone)
        routes.remove(gone)
        for name in ("org/a", "a", "dep-1", "paddock/foal", "foal"):
            with pytest.raises(ModelNotFound, match="served models: none"):
                routes.resolve(name)
        routes.add(gone)
        assert routes.resolve("foal") is gone

    def test_a_namesake_is_not_removed_for_another(self) -> None:
        mine = one("a", "m", "dep-1")
        routes = Routes([mine])
        routes.remove(one("a", "m", "dep-2"))
        assert routes.resolve("a") is mine

    def test_the_error_lists_some_of_many(self) -> None:
        routes = Routes(one(f"n{number:05}", "m", f"dep-{number}") for number in range(10_000))
        with pytest.raises(ModelNotFound, match=r"n00019 and 9980 more$"):
            routes.resolve("nothing")
        with pytest.raises(InvalidRequest) as caught:
            routes.resolve("m")
        assert len(caught.value.message) < 500

    def test_among_ten_thousand_it_takes_no_longer(self) -> None:
        few, many = (
            Routes(one(f"org/n{number}", f"org/m{number}", f"dep-{number}") for number in range(count))
            for count in (10, 10_000)
        )
        names = ["org/n7", "dep-7", "org/m7", "n7", "m7"]

        def seconds(routes: Routes) -> float:
            return min(timeit.repeat(lambda: [routes.resolve(name) for name in names], number=200, repeat=5))

        assert [many.resolve(name).name for name in names] == ["org/n7"] * 5
        assert seconds(many) < 3 * seconds(few)
