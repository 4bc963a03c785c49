"""The Cortecs dialect over a real store, with a hand that plays the controller's part."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from paddock.gateway.app import App
from paddock.gateway.cortecs.routes import mount
from paddock.gateway.keyring import Keyring
from paddock.gateway.metrics import Metrics
from paddock.gateway.server import HttpServer
from paddock.schemas.hardware import Node, NodeHardware, Placement
from paddock.schemas.own import CreateDeployment
from paddock.services import deployments, replicas
from paddock.services.deployments import LOCAL, find
from paddock.services.hardware import HardwareConfig, TypeConfig
from paddock.services.models import Catalogue
from paddock.services.platform import Platform, write_nodes
from paddock.settings import Settings
from paddock.store.blobs import open_blobs
from tests.sqlite import ledger_in, store_in

BASE = "/cortecs/api/v1"
NODE = Node("here", NodeHardware(cores=4, memory=8 * 2**30))
PRICES = HardwareConfig(core_sharing=1, currency="USD", types={"CPU_2": TypeConfig(price_per_hour=0.6)})
DEFAULTS = {
    "model_id": "paddock--foal",
    "hardware_type_id": "CPU_1",
    "context_length": 2048,
    "billing_interval": "per_minute",
    "num_workers": 1,
}


@dataclass
class Cortecs:
    """What a test drives and reads."""

    port: int
    client: httpx2.AsyncClient
    platform: Platform

    async def ask(self, method: str, path: str, body: Any = None, status: int = 200) -> Any:
        """The JSON of an answer that has this status."""
        response = await self.client.request(method, BASE + path, json=body)
        assert response.status_code == status, response.text
        return response.json()

    async def refused(self, method: str, path: str, body: Any = None, status: int = 409) -> dict[str, Any]:
        answer = await self.ask(method, path, body, status)
        assert set(answer) == {"error"}
        assert set(answer["error"]) == {"message", "type", "code", "param"}
        error: dict[str, Any] = answer["error"]
        return error

    async def start(self, **more: Any) -> dict[str, Any]:
        answer = await self.ask("POST", "/instances/start", {"model_id": "paddock--foal", **more})
        instance: dict[str, Any] = answer["instance"]
        return instance

    async def get(self, instance_id: str) -> dict[str, Any]:
        instance: dict[str, Any] = (await self.ask("GET", f"/instances/{instance_id}"))["instance"]
        return instance

    async def ids(self) -> list[str]:
        return [one["instance_id"] for one in (await self.ask("GET", "/instances/"))["instances"]]

    async def run(self, instance_id: str) -> None:
        """What the controller does for an instance that starts."""

        def work(session: Any) -> None:
            now = time.time()
            row = find(session, LOCAL, instance_id)
            one = replicas.add(session, row, 1, now, now + 60)
            kind = row.hardware_type
            replicas.reserve(session, one, Placement("here", kind, int(kind[4:]), 2**20), now, now + 60)
            replicas.advance(one, "ready", 5, "Ready", now, None)
            row.status, row.started_at = "ready", now

        await self.platform.store.change(work)

    async def fail(self, instance_id: str, reason: str) -> None:
        def work(session: Any) -> None:
            row = find(session, LOCAL, instance_id)
            row.status, row.reason, row.log = "failed", reason, ["the last line"]

        await self.platform.store.change(work)


@contextlib.asynccontextmanager
async def serving(folder: Path, **settings: Any) -> AsyncIterator[Cortecs]:
    """The dialect over an empty store in `folder`, while the block lasts."""
    store = store_in(folder)
    chosen = Settings(data_dir=folder, access_log=False, **settings)
    platform = Platform(
        store,
        chosen,
        Catalogue(folder),
        PRICES,
        open_blobs(chosen),
        allowed=(),
        ledger=ledger_in(folder),
    )
    await store.change(lambda session: write_nodes(session, [NODE], time.time()))
    keyring = Keyring()
    app = App([mount(platform, keyring)], Metrics(lambda: ()), None, keyring)
    http = HttpServer(app, app.refuse, chosen.max_body, app.receives)
    port = await http.listen("127.0.0.1", 0)
    try:
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
            yield Cortecs(port, client, platform)
    finally:
        await http.close()
        platform.close()


@pytest.fixture
async def cortecs(tmp_path: Path) -> AsyncIterator[Cortecs]:
    async with serving(tmp_path) as found:
        yield found


class TestTokens:
    async def test_a_token(self, cortecs: Cortecs) -> None:
        body = {"grant_type": "client_credentials", "client_id": "a", "client_secret": "b"}
        answer = await cortecs.ask("POST", "/oauth2/token", body)
        assert answer["expires_in"] == 3600
        assert (answer["token_type"], len(answer["access_token"])) == ("Bearer", 43)

    async def test_by_form_and_basic(self, cortecs: Cortecs) -> None:
        response = await cortecs.client.post(
            f"{BASE}/oauth2/token", data={"grant_type": "client_credentials"}, auth=("a", "b")
        )
        assert response.status_code == 200
        assert response.headers["cache-control"] == "no-store"

    async def test_bad_input(self, cortecs: Cortecs) -> None:
        error = await cortecs.refused("POST", "/oauth2/token", {"grant_type": "password"}, 400)
        assert error["param"] == "grant_type"


class TestModels:
    async def test_all(self, cortecs: Cortecs) -> None:
        [model] = (await cortecs.ask("GET", "/models/"))["models"]
        assert (model["model_id"], model["hf_name"]) == ("paddock--foal", "paddock/foal")
        assert model["creator"] == {"name": "paddock"}
        assert model["instant_provisioned"] is True
        assert model["size"] == 2_164_416
        assert model["hardware_configs"] == ["CPU_1", "CPU_2", "CPU_4"]

    @pytest.mark.parametrize("name", ["paddock--foal", "paddock/foal", "paddock%2Ffoal", "foal"])
    async def test_one(self, cortecs: Cortecs, name: str) -> None:
        model = (await cortecs.ask("GET", f"/models/{name}"))["model"]
        assert (model["model_id"], model["recommended_config"]) == ("paddock--foal", "CPU_1")
        assert model["max_context_length"] == 2048
        for kind, config in model["hardware_configs"].items():
            assert config["hardware_type_id"] == kind
            assert config["params"] == {"--max-model-len": 2048, "max_context_length": 2048}
            assert config["requirements"]["memory"] > 2**20

    async def test_unknown(self, cortecs: Cortecs) -> None:
        error = await cortecs.refused("GET", "/models/nonsense", status=404)
        assert (error["param"], error["code"]) == ("model_id", "model_not_found")
        assert "known here: paddock/foal" in error["message"]


class TestHardwareTypes:
    async def test_all(self, cortecs: Cortecs) -> None:
        found = (await cortecs.ask("GET", "/hardware-types/"))["hardware_types"]
        assert [one["hardware_type_id"] for one in found] == ["CPU_1", "CPU_2", "CPU_4"]
        prices = found[1]["price_info"]
        assert prices == {"price_per_hour": 0.6, "price_per_minute": pytest.approx(0.01), "currency": "USD"}
        assert found[1]["hardware_info"]["cores"] == 2

    async def test_available_means_free_now(self, cortecs: Cortecs) -> None:
        instance = await cortecs.start(hardware_type_id="CPU_2")
        await cortecs.run(instance["instance_id"])
        found = (await cortecs.ask("GET", "/hardware-types/available"))["hardware_types"]
        assert [one["hardware_type_id"] for one in found] == ["CPU_1", "CPU_2"]


class TestStart:
    async def test_what_is_left_open_is_resolved(self, cortecs: Cortecs) -> None:
        nothing = dict.fromkeys(("hardware_type_id", "context_length", "billing_interval", "num_workers"))
        instance = await cortecs.start(**nothing)
        assert instance["instance_args"] == DEFAULTS
        assert instance["base_url"] is None
        status = instance["instance_status"]
        assert (status["status"], status["started_at"], status["stopped_at"]) == ("pending", None, None)
        assert status["init_progress"]["current_step"] == 1
        assert len(instance["worker_statuses"]) == 1
        assert instance == await cortecs.get(instance["instance_id"])

    async def test_everything_can_be_said(self, cortecs: Cortecs) -> None:
        asked = {
            "model_id": "paddock/foal",
            "hardware_type_id": "CPU_2",
            "context_length": 512,
            "billing_interval": "per_hour",
            "num_workers": 2,
        }
        instance = await cortecs.start(**asked, labels={"a": "b"})
        assert instance["instance_args"] == {**asked, "model_id": "paddock--foal"}
        assert len(instance["worker_statuses"]) == 2
        assert instance["labels"] == {"a": "b"}

    async def test_it_is_a_deployment_under_its_id(self, cortecs: Cortecs) -> None:
        instance = await cortecs.start(num_workers=2)
        found = await deployments.get(cortecs.platform, LOCAL, instance["instance_id"])
        assert found.name == found.id == instance["instance_id"]
        assert (found.model, found.min_workers, found.max_workers) == ("paddock/foal", 2, 2)
        assert await cortecs.start()
        assert len(await cortecs.ids()) == 2

    @pytest.mark.parametrize(
        ("body", "param", "said"),
        [
            ({"model_id": None}, "model_id", "is required"),
            ({"model_id": ""}, "model_id", "must not be an empty string"),
            ({"model_id": "/etc"}, "model_id", "--allow-path"),
            ({"hardware_type_id": "CPU_99"}, "hardware_type_id", "offered are CPU_1, CPU_2, CPU_4"),
            ({"hardware_type_id": 5}, "hardware_type_id", "must be a string"),
            ({"billing_interval": "per_day"}, "billing_interval", '"per_minute" or "per_hour"'),
            ({"context_length": 4096}, "context_length", "at most 2048 for paddock/foal on CPU_1, not 4096"),
            ({"context_length": 0}, "context_length", "at least 1"),
            ({"context_length": "2048"}, "context_length", "must be an integer"),
            ({"num_workers": 0}, "num_workers", "at least 1"),
            ({"num_workers": 65}, "num_workers", "at most 64"),
            ({"workers": 2}, "workers", "known fields are: model_id, hardware_type_id"),
            ({"labels": ["a"]}, "labels", "must be an object"),
        ],
    )
    async def test_bad_input(self, cortecs: Cortecs, body: Any, param: str, said: str) -> None:
        body = {"model_id": "paddock--foal", **body}
        error = await cortecs.refused("POST", "/instances/start", body, 400)
        assert error["param"] == param
        assert param in error["message"]
        assert said in error["message"]
        assert await cortecs.ids() == []

    async def test_an_unknown_model(self, cortecs: Cortecs) -> None:
        error = await cortecs.refused("POST", "/instances/start", {"model_id": "nonsense"}, 404)
        assert (error["param"], error["code"]) == ("model_id", "model_not_found")

    async def test_no_object(self, cortecs: Cortecs) -> None:
        error = await cortecs.refused("POST", "/instances/start", [1], 400)
        assert error["message"] == "the body must be an object, not [1]"


class TestBaseUrl:
    async def test_where_the_request_was_sent_to(self, cortecs: Cortecs) -> None:
        instance_id = (await cortecs.start())["instance_id"]
        await cortecs.run(instance_id)
        url = (await cortecs.get(instance_id))["base_url"]
        assert url == f"http://127.0.0.1:{cortecs.port}/instances/{instance_id}/v1"
        forged = {"host": "models.example.org", "x-forwarded-host": "evil", "x-forwarded-proto": "https"}
        answer = await cortecs.client.get(f"{BASE}/instances/{instance_id}", headers=forged)
        assert answer.json()["instance"]["base_url"].startswith("http://models.example.org/instances/")

    async def test_the_public_url(self, tmp_path: Path) -> None:
        async with serving(tmp_path, public_url="https://models.example.org/paddock") as cortecs:
            instance_id = (await cortecs.start())["instance_id"]
            await cortecs.run(instance_id)
            [instance] = (await cortecs.ask("GET", "/instances/"))["instances"]
            assert instance["base_url"] == f"https://models.example.org/paddock/instances/{instance_id}/v1"


class TestLife:
    async def test_from_start_to_deletion(self, cortecs: Cortecs) -> None:
        instance_id = (await cortecs.start())["instance_id"]
        body = {"instance_id": instance_id}
        await cortecs.run(instance_id)
        running = await cortecs.get(instance_id)
        status = running["instance_status"]
        assert (status["status"], status["init_progress"]["current_step"]) == ("running", 5)
        assert running["worker_statuses"][0]["init_progress"]["current_step"] == 5
        assert status["started_at"].endswith("Z")

        stopped = (await cortecs.ask("POST", "/instances/stop", body))["instance"]
        status = stopped["instance_status"]
        assert (status["status"], status["init_progress"], stopped["base_url"]) == ("stopped", None, None)
        assert status["started_at"] <= status["stopped_at"]
        assert stopped["worker_statuses"] == [{"init_progress": None}]
        assert await cortecs.ask("DELETE", f"/instances/{instance_id}") == {"instance_id": instance_id}
        assert await cortecs.ids() == []

    async def test_a_restart_begins_anew(self, cortecs: Cortecs) -> None:
        instance_id = (await cortecs.start(billing_interval="per_hour", context_length=512))["instance_id"]
        body = {"instance_id": instance_id}
        before = (await cortecs.ask("POST", "/instances/stop", body))["instance"]
        after = (await cortecs.ask("POST", "/instances/restart", body))["instance"]
        assert after["instance_args"] == before["instance_args"]
        status = after["instance_status"]
        assert (status["status"], status["started_at"], status["stopped_at"]) == ("pending", None, None)

    async def test_one_that_failed(self, cortecs: Cortecs) -> None:
        instance_id = (await cortecs.start())["instance_id"]
        await cortecs.fail(instance_id, "its weights are cut short")
        status = (await cortecs.get(instance_id))["instance_status"]
        assert (status["status"], status["reason"]) == ("stopped", "its weights are cut short")
        assert status["log"] == ["the last line"]
        restarted = await cortecs.ask("POST", "/instances/restart", {"instance_id": instance_id})
        assert restarted["instance"]["instance_status"]["status"] == "pending"
        await cortecs.fail(instance_id, "again")
        await cortecs.ask("DELETE", f"/instances/{instance_id}")

    async def test_what_its_state_does_not_allow(self, cortecs: Cortecs) -> None:
        instance_id = (await cortecs.start())["instance_id"]
        body = {"instance_id": instance_id}
        for state in ("pending", "running"):
            error = await cortecs.refused("POST", "/instances/restart", body)
            assert (
                error["message"] == f"instance {instance_id} is {state}; only a stopped one can be restarted"
            )
            error = await cortecs.refused("DELETE", f"/instances/{instance_id}")
            assert error["message"] == f"instance {instance_id} is {state}; stop it before deleting it"
            await cortecs.run(instance_id)
        await cortecs.ask("POST", "/instances/stop", body)
        error = await cortecs.refused("POST", "/instances/stop", body)
        assert (error["code"], error["message"]) == ("already_stopped", f"{instance_id} is stopped already")

    @pytest.mark.parametrize("gone", ["never", "deleted"])
    async def test_unknown(self, cortecs: Cortecs, gone: str) -> None:
        instance_id = "instance-1"
        if gone == "deleted":
            instance_id = (await cortecs.start())["instance_id"]
            await cortecs.ask("POST", "/instances/stop", {"instance_id": instance_id})
            await cortecs.ask("DELETE", f"/instances/{instance_id}")
        body = {"instance_id": instance_id}
        for method, path, sent in (
            ("GET", f"/instances/{instance_id}", None),
            ("DELETE", f"/instances/{instance_id}", None),
            ("POST", "/instances/stop", body),
            ("POST", "/instances/restart", body),
        ):
            error = await cortecs.refused(method, path, sent, 404)
            assert (error["param"], error["code"]) == ("instance_id", "instance_not_found")

    async def test_an_id_is_required(self, cortecs: Cortecs) -> None:
        for verb in ("stop", "restart"):
            error = await cortecs.refused("POST", f"/instances/{verb}", {}, 400)
            assert error["message"] == "instance_id is required"


class TestOtherDialects:
    async def test_every_deployment_is_an_instance(self, cortecs: Cortecs) -> None:
        asked = CreateDeployment(model="foal", name="my-foal")
        made = await deployments.create(cortecs.platform, LOCAL, asked)
        [instance] = (await cortecs.ask("GET", "/instances/"))["instances"]
        assert (instance["instance_id"], instance["name"]) == (made.id, "my-foal")
        assert instance["instance_args"] == DEFAULTS
        await cortecs.refused("GET", "/instances/my-foal", status=404)


class TestAll:
    async def three(self, cortecs: Cortecs) -> list[str]:
        """One that runs, one that is pending, and one that is stopped."""
        found = [(await cortecs.start())["instance_id"] for _ in range(3)]
        await cortecs.run(found[0])
        await cortecs.ask("POST", "/instances/stop", {"instance_id": found[2]})
        return found

    async def test_stop_all(self, cortecs: Cortecs) -> None:
        running, pending, _ = await self.three(cortecs)
        response = await cortecs.client.post(f"{BASE}/instances/stop-all")
        assert response.json() == {"instance_ids": [running, pending]}
        assert (await cortecs.ask("POST", "/instances/stop-all")) == {"instance_ids": []}

    @pytest.mark.parametrize("query", ["", "?force_deletion=False", "?force_deletion=false"])
    async def test_delete_all_that_are_stopped(self, cortecs: Cortecs, query: str) -> None:
        running, pending, stopped = await self.three(cortecs)
        answer = await cortecs.ask("DELETE", f"/instances/delete-all{query}")
        assert answer == {"instance_ids": [stopped]}
        assert await cortecs.ids() == [running, pending]

    @pytest.mark.parametrize("value", ["True", "true", "1"])
    async def test_delete_all(self, cortecs: Cortecs, value: str) -> None:
        found = await self.three(cortecs)
        answer = await cortecs.ask("DELETE", f"/instances/delete-all?force_deletion={value}")
        assert answer == {"instance_ids": found}
        assert await cortecs.ids() == []

    async def test_bad_input(self, cortecs: Cortecs) -> None:
        error = await cortecs.refused("DELETE", "/instances/delete-all?force_deletion=maybe", status=400)
        assert error["message"] == "force_deletion must be true or false, not 'maybe'"
        error = await cortecs.refused("DELETE", "/instances/delete-all?force=true", status=400)
        assert error["param"] == "force"
