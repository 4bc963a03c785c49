"""Paddock's own API: deployments, replicas, hardware, models; bad input."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from paddock.errors import StoreFailed
from paddock.services.usage.record import Interval, record_instances
from tests.api.own import OwnApi, serving_own


@pytest.fixture
async def own(tmp_path: Path) -> AsyncIterator[OwnApi]:
    async with serving_own(tmp_path) as api:
        yield api


class TestCreate:
    async def test_what_is_not_given_is_chosen(self, own: OwnApi) -> None:
        made = await own.ask("POST", "/deployments", {"model": "foal"}, 201)
        assert (made["name"], made["model"], made["engine"]) == ("paddock/foal", "paddock/foal", "llama.cpp")
        assert (made["status"], made["min_workers"], made["max_workers"]) == ("pending", 1, 1)
        assert made["hardware_type"].startswith("CPU_")
        assert made["replicas"] == []
        assert made == await own.ask("GET", "/deployments/paddock/foal")
        assert made == await own.ask("GET", "/deployments/paddock%2Ffoal/")
        assert made == await own.ask("GET", f"/deployments/{made['id']}")

    async def test_what_others_need_not_know_is_not_shown(self, own: OwnApi) -> None:
        assert not {"source", "details"} & set(await own.deploy("one"))

    async def test_everything_can_be_said(self, own: OwnApi) -> None:
        asked = {
            "engine": "llama.cpp",
            "hardware_type": "CPU_2",
            "context_length": 256,
            "min_workers": 0,
            "max_workers": 3,
            "per_worker": 2,
            "idle_timeout": 1.5,
            "quantize": "Q8_0",
            "labels": {"team": "a"},
        }
        made = await own.deploy("one", **asked)
        assert made["options"]["weights_type"] == asked.pop("quantize")
        assert asked.items() <= made.items()

    @pytest.mark.parametrize(
        ("body", "param", "said"),
        [
            ({}, "model", "model is required"),
            ({"model": ""}, "model", "must not be an empty string"),
            ({"model": "foal", "colour": 1}, "colour", "known fields are: model, name"),
            ({"model": "foal", "name": "a b"}, "name", "letters, digits and"),
            ({"model": "foal", "name": "taken"}, "name", "is taken in this project"),
            ({"model": "foal", "min_workers": 2, "max_workers": 1}, "min_workers", "2 is more than 1"),
            ({"model": "foal", "min_workers": "1"}, "min_workers", "must be an integer"),
            ({"model": "foal", "context_length": 10**9}, "context_length", "longer than the"),
            ({"model": "foal", "engine": "magic"}, "engine", "must be one of llama.cpp"),
            ({"model": "foal", "hardware_type": "CPU_99"}, "hardware_type", "offered are CPU_1, CPU_2"),
            ({"model": "foal", "quantize": "Q1"}, "quantize", "must be one of"),
            ({"model": "/etc"}, "model", "--allow-path"),
        ],
    )
    async def test_bad_input(self, own: OwnApi, body: Any, param: str, said: str) -> None:
        await own.deploy("taken")
        error = (await own.ask("POST", "/deployments", body, 400))["error"]
        assert error["param"] == param
        assert said in error["message"]

    async def test_an_unknown_model(self, own: OwnApi) -> None:
        error = (await own.ask("POST", "/deployments", {"model": "nonsense"}, 404))["error"]
        assert (error["param"], error["code"]) == ("model", "model_not_found")

    async def test_no_json(self, own: OwnApi) -> None:
        response = await own.client.post("/api/v1/deployments", content=b"{")
        assert (response.status_code, response.json()["error"]["code"]) == (400, "invalid_json")


class TestList:
    async def test_page_by_page_in_the_order_of_making(self, own: OwnApi) -> None:
        made = [(await own.deploy(f"d{number}"))["id"] for number in range(5)]
        seen: list[str] = []
        after = ""
        for _ in range(3):
            page = await own.ask("GET", f"/deployments?limit=2{after}")
            seen += [one["id"] for one in page["data"]]
            after = f"&after={page['next']}"
        assert seen == made
        assert page["next"] is None

    async def test_all_fit_on_a_page(self, own: OwnApi) -> None:
        assert await own.ask("GET", "/deployments") == {"data": [], "next": None}
        await own.deploy("one")
        assert (await own.ask("GET", "/deployments?limit=1000"))["next"] is None

    @pytest.mark.parametrize(
        ("query", "param"),
        [
            ("limit=0", "limit"),
            ("limit=1001", "limit"),
            ("limit=x", "limit"),
            ("after=no", "after"),
            ("x=1", "x"),
        ],
    )
    async def test_bad_query(self, own: OwnApi, query: str, param: str) -> None:
        error = (await own.ask("GET", f"/deployments?{query}", status=400))["error"]
        assert error["param"] == param


class TestUpdate:
    async def test_only_what_is_given_changes(self, own: OwnApi) -> None:
        before = await own.deploy("one", per_worker=2)
        after = await own.ask("PATCH", "/deployments/one", {"context_length": 128})
        assert (after["context_length"], after["generation"]) == (128, before["generation"] + 1)
        assert (after["per_worker"], after["max_workers"]) == (2, 1)

    async def test_null_is_the_default_again(self, own: OwnApi) -> None:
        before = await own.deploy("one")
        asked = {"min_workers": 0, "max_workers": 4, "idle_timeout": 1.5, "labels": {"a": "b"}}
        assert asked.items() <= (await own.ask("PATCH", "/deployments/one", asked)).items()
        after = await own.ask("PATCH", "/deployments/one", dict.fromkeys(asked))
        assert [after[name] for name in asked] == [before[name] for name in asked]

    @pytest.mark.parametrize(
        ("body", "param"), [({}, None), ({"model": None}, "model"), ({"name": "x"}, "name")]
    )
    async def test_bad_input(self, own: OwnApi, body: Any, param: str | None) -> None:
        await own.deploy("one")
        error = (await own.ask("PATCH", "/deployments/one", body, 400))["error"]
        assert error["param"] == param

    @pytest.mark.parametrize("name", ["context_length", "per_worker", "slots", "threads"])
    async def test_numbers_that_no_database_takes(self, own: OwnApi, name: str) -> None:
        before = await own.deploy("one")
        for method, path, more in (
            ("PATCH", "/deployments/one", {}),
            ("POST", "/deployments", {"model": before["model"], "name": "two"}),
        ):
            error = (await own.ask(method, path, {name: 2**70, **more}, 400))["error"]
            assert error["param"] == name
            assert "at most 2147483647" in error["message"]

    async def test_not_while_it_is_deleted(self, own: OwnApi) -> None:
        await own.deploy("one")
        assert (await own.ask("DELETE", "/deployments/one"))["status"] == "deleting"
        error = (await own.ask("PATCH", "/deployments/one", {"per_worker": 1}, 409))["error"]
        assert error["code"] == "deleting"


class TestScale:
    async def test_one_bound_or_both(self, own: OwnApi) -> None:
        await own.deploy("org/one")
        path = "/deployments/org/one/scale"
        first = await own.ask("POST", path, {"max_workers": 3})
        assert (first["min_workers"], first["max_workers"]) == (1, 3)
        second = await own.ask("POST", path, {"min_workers": 0, "max_workers": 2})
        assert (second["min_workers"], second["max_workers"]) == (0, 2)

    async def test_to_nothing_stops_and_to_something_starts(self, own: OwnApi) -> None:
        await own.deploy("one")
        nothing = {"min_workers": 0, "max_workers": 0}
        assert (await own.ask("POST", "/deployments/one/scale", nothing))["status"] == "stopped"
        assert (await own.ask("POST", "/deployments/one/scale", {"max_workers": 1}))["status"] == "pending"

    @pytest.mark.parametrize(
        "body",
        [{}, {"min_workers": None}, {"min_workers": 2}, {"min_workers": -1}, {"min_workers": 1001}],
    )
    async def test_bad_input(self, own: OwnApi, body: Any) -> None:
        await own.deploy("one")
        error = (await own.ask("POST", "/deployments/one/scale", body, 400))["error"]
        assert error["param"] == "min_workers"


class TestVerbs:
    async def test_stop_and_start(self, own: OwnApi) -> None:
        await own.deploy("org/one")
        stopped = await own.ask("POST", "/deployments/org/one/stop")
        assert (stopped["status"], bool(stopped["stopped_at"])) == ("stopped", True)
        again = await own.ask("POST", "/deployments/org/one/stop", status=409)
        assert again["error"]["code"] == "already_stopped"
        assert (await own.ask("POST", "/deployments/org/one/start"))["status"] == "pending"
        assert (await own.ask("POST", "/deployments/org/one/start", status=409))["error"][
            "code"
        ] == "not_stopped"

    @pytest.mark.parametrize(
        ("method", "path"),
        [("GET", ""), ("DELETE", ""), ("POST", "/stop"), ("POST", "/start"), ("GET", "/logs")],
    )
    async def test_of_one_that_is_not_there(self, own: OwnApi, method: str, path: str) -> None:
        error = (await own.ask(method, f"/deployments/no/such{path}", status=404))["error"]
        assert "no/such" in error["message"]
        assert error["code"] == "deployment_not_found"

    async def test_a_query_that_means_nothing_is_refused(self, own: OwnApi) -> None:
        await own.deploy("one")
        assert (await own.ask("DELETE", "/deployments/one?force=true", status=400))["error"][
            "param"
        ] == "force"

    async def test_a_method_that_a_path_does_not_take(self, own: OwnApi) -> None:
        error = (await own.ask("GET", "/deployments/one/stop", status=405))["error"]
        assert "takes POST" in error["message"]


class TestCost:
    async def test_it_is_that_of_all_replicas_so_far(self, own: OwnApi) -> None:
        made = await own.deploy("one", hardware_type="CPU_2")
        assert made["cost"] == {"amount": 0, "currency": "USD"}
        begun = [
            Interval(
                "rep-1",
                60.0 * n,
                60.0 * n + 60,
                "local",
                "",
                made["id"],
                "one",
                "m",
                "CPU_2",
                "per_minute",
                5000,
            )
            for n in range(3)
        ]
        await own.platform.ledger.write(lambda session: record_instances(session, begun))
        await own.deploy("two")
        cost = {"amount": 0.000015, "currency": "USD"}
        assert (await own.ask("GET", "/deployments/one"))["cost"] == cost
        listed = (await own.ask("GET", "/deployments"))["data"]
        assert [one["cost"]["amount"] for one in listed] == [0.000015, 0]

    async def test_without_the_ledger_it_is_not_told(
        self, own: OwnApi, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await own.deploy("one")

        async def refuse(work: Any) -> None:
            raise StoreFailed("the ledger is gone")

        monkeypatch.setattr(own.platform.ledger, "read", refuse)
        assert (await own.ask("GET", "/deployments/one"))["cost"] is None
        assert [one["cost"] for one in (await own.ask("GET", "/deployments"))["data"]] == [None]


class TestReplicas:
    async def test_those_that_live_with_their_deployments(self, own: OwnApi) -> None:
        first, second = await own.deploy("a/one"), await own.deploy("two")
        ended = await own.start_replica("two")
        await own.end_replica("two", ended)
        ids = [await own.start_replica(name) for name in ("a/one", "two")]
        found = (await own.ask("GET", "/replicas"))["data"]
        assert [(one["id"], one["deployment"], one["deployment_id"]) for one in found] == [
            (ids[0], "a/one", first["id"]),
            (ids[1], "two", second["id"]),
        ]
        assert (found[0]["state"], found[0]["step"], found[0]["node"]) == ("reserving", 2, "here")
        assert "key" not in found[0]
        some = (await own.ask("GET", "/replicas?deployment=a/one"))["data"]
        assert [one["id"] for one in some] == ids[:1]

    async def test_of_a_deployment_that_is_not_there(self, own: OwnApi) -> None:
        await own.ask("GET", "/replicas?deployment=no", status=404)


class TestHardware:
    async def test_types_nodes_and_what_is_held(self, own: OwnApi) -> None:
        await own.deploy("one", hardware_type="CPU_2")
        replica = await own.start_replica("one")
        found = await own.ask("GET", "/hardware")
        types = {one["id"]: one for one in found["types"]}
        assert list(types) == ["CPU_1", "CPU_2", "CPU_4"]
        assert (types["CPU_2"]["price_per_hour"], types["CPU_2"]["price_per_minute"]) == (0.6, 0.01)
        assert (types["CPU_2"]["currency"], types["CPU_2"]["available"]) == ("USD", True)
        (node,) = found["nodes"]
        assert (node["name"], node["cores"], node["held"]) == (
            "here",
            4,
            {"cores": 2, "memory": 2**20, "gpus": []},
        )
        (held,) = found["held"]
        assert (held["deployment"], held["replica"], held["node"]) == ("one", replica, "here")
        await own.end_replica("one", replica)
        assert (await own.ask("GET", "/hardware"))["held"] == []


class TestModels:
    async def test_the_catalogue(self, own: OwnApi) -> None:
        (foal,) = (await own.ask("GET", "/models"))["data"]
        assert (foal["name"], foal["generates"]) == ("paddock/foal", True)
        assert foal["size"] > 2**20
        assert "source" not in foal
