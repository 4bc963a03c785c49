"""Both published Cortecs clients, unmodified, and our own, against a real server."""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from paddock.clients.cortecs import Cortecs, error
from paddock.clients.langchain import DedicatedLLM
from tests.e2e.server import Server, serving

SCRIPT = Path(__file__).with_name("published_cortecs.py")
OLDER = Path(sys.prefix) / "cortecs-py==0.0.11"
BASE = "/cortecs/api/v1"
CAPITAL = "The capital of France is Paris."


@pytest.fixture(scope="module", params=["0.0.11", "0.1.2"])
def version(request: pytest.FixtureRequest) -> str:
    if request.param == "0.0.11":
        assert (OLDER / "cortecs_py").is_dir(), "`make install` puts the older client there"
    else:
        assert importlib.metadata.version("cortecs-py") == request.param
    return str(request.param)


@pytest.fixture(scope="module")
def found(version: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What each part of the script gave, with this version on a server of its own."""
    with serving(tmp_path_factory.mktemp("cortecs")) as server:
        return run_script(version, server)


def run_script(version: str, server: Server) -> dict[str, Any]:
    environment = {
        **os.environ,
        "CORTECS_API_BASE_URL": server.url + BASE,
        "CORTECS_CLIENT_ID": "me",
        "CORTECS_CLIENT_SECRET": "secret",
        # It warns of itself, and draws bars.
        "PYTHONWARNINGS": "ignore",
    }
    model = "paddock/foal"
    if version == "0.0.11":
        environment["PYTHONPATH"], model = str(OLDER), "paddock--foal"
    process = subprocess.run(
        [sys.executable, str(SCRIPT), model],
        check=False,
        env=environment,
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert process.returncode == 0, process.stderr
    answer: dict[str, Any] = json.loads(process.stdout)
    return answer


def part(found: dict[str, Any], name: str) -> dict[str, Any]:
    """What one function of the script gave."""
    gave = found[name]
    assert isinstance(gave, dict), gave
    return gave


class TestPublished:
    def test_models_and_hardware(self, found: dict[str, Any]) -> None:
        lists = part(found, "lists")
        assert lists["hardware"][0] == "CPU_1"
        assert lists["models"] == {"paddock--foal": lists["hardware"]}
        assert set(lists["available"]) <= set(lists["hardware"])
        assert set(lists["prices"]) == {0}

    def test_start_chat_stop_delete(self, found: dict[str, Any], version: str) -> None:
        chat = part(found, "chat")
        args = {
            "model_id": "paddock--foal",
            "hardware_type_id": "CPU_1",
            "context_length": 2048,
            "billing_interval": "per_minute",
        }
        assert chat["args"] == (args if version == "0.0.11" else {**args, "num_workers": 1})
        assert (chat["status"], chat["started"], chat["hf_name"]) == ("running", True, "paddock/foal")
        assert chat["url"].endswith(f"/instances/{chat['id']}/v1")
        assert chat["id"] in chat["running"]
        assert chat["answer"] == CAPITAL
        assert (chat["stopped"], chat["deleted"]) == ("stopped", chat["id"])
        assert chat["id"] not in chat["left"]

    def test_ensure_instance_finds_the_one_that_there_is(self, found: dict[str, Any]) -> None:
        ensure = part(found, "ensure")
        different = [set(ensure["ids"]), set(ensure["defaults"]), {ensure["other"]}, set(ensure["short"])]
        assert [len(ids) for ids in different] == [1, 1, 1, 1]
        assert len(set.union(*different)) == 4

    def test_restart(self, found: dict[str, Any]) -> None:
        restart = part(found, "restart")
        assert (restart["same"], restart["status"], restart["later"]) == (True, "running", True)
        assert restart["stopped"] == [True, None]
        assert "only a stopped one can be restarted" in restart["refused"][0]
        assert "stop it before deleting it" in restart["refused"][1]

    def test_its_dedicated_llm(self, found: dict[str, Any]) -> None:
        assert part(found, "dedicated") == {"answer": CAPITAL}

    @pytest.mark.parametrize(
        ("what", "said"),
        [
            ("model", "there is no model 'nonsense'"),
            ("hardware", "hardware_type_id 'CPU_999' is not offered"),
            ("billing", "billing_interval must be one of"),
            ("context", "context_length must be at most 2048"),
            ("unknown", "there is no instance 'instance-1'"),
        ],
    )
    def test_refusals(self, found: dict[str, Any], what: str, said: str) -> None:
        assert said in part(found, "refusals")[what]

    def test_all_at_once(self, found: dict[str, Any]) -> None:
        assert part(found, "all") == {
            "all": True,
            "states": ["stopped"],
            "kept": True,
            "forced": True,
            "left": [],
        }


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("cortecs-own")) as server:
        yield server


@pytest.fixture
def cortecs(server: Server) -> Cortecs:
    return Cortecs("me", "secret", server.url + BASE, progress=False)


class TestOurs:
    def test_from_start_to_deletion(self, cortecs: Cortecs) -> None:
        instance = cortecs.start("paddock/foal", context_length=1024, poll_interval=0.2, labels={"a": "b"})
        assert (instance.instance_status.status, instance.labels) == ("running", {"a": "b"})
        assert instance.instance_status.started_at is not None
        same = cortecs.ensure_instance("paddock/foal", context_length=1024)
        assert same.instance_id == instance.instance_id
        with pytest.raises(error.Conflict, match="stop it before deleting it"):
            cortecs.delete(instance.instance_id)
        assert cortecs.stop(instance.instance_id).instance_status.status == "stopped"
        with pytest.raises(error.Conflict, match="stopped already"):
            cortecs.stop(instance.instance_id)
        assert cortecs.delete(instance.instance_id) == instance.instance_id
        with pytest.raises(error.NotFound):
            cortecs.get_instance(instance.instance_id)

    def test_without_credentials(self, server: Server) -> None:
        model = Cortecs(api_base_url=server.url + BASE).get_model("foal")
        assert (model.model_id, model.max_context_length) == ("paddock--foal", 2048)

    def test_several_workers(self, cortecs: Cortecs) -> None:
        instance = cortecs.start("foal", context_length=512, num_workers=2, poll_interval=0.2)
        assert instance.instance_args.num_workers == len(instance.worker_statuses) == 2
        assert instance.worker_statuses[0].init_progress == {
            "current_step": 5,
            "num_steps": 5,
            "description": "Running",
        }
        cortecs.stop(instance.instance_id)
        cortecs.delete(instance.instance_id)

    @pytest.mark.filterwarnings("ignore")  # LangChain's own
    def test_dedicated_llm(self, cortecs: Cortecs) -> None:
        with DedicatedLLM(
            cortecs, "paddock/foal", context_length=1024, poll_interval=0.2, temperature=0
        ) as llm:
            assert llm.invoke("What is the capital of France?").content == CAPITAL
        ids = [one.instance_args.context_length for one in cortecs.get_all_instances()]
        assert 1024 not in ids

    def test_seen_in_the_other_dialects(self, server: Server, cortecs: Cortecs) -> None:
        instance = cortecs.start("foal", context_length=256, poll_interval=0.2)
        models = httpx2.get(f"{server.url}/v1/models").json()["data"]
        assert instance.instance_id in [one["id"] for one in models]
        body = {"model": instance.instance_id, "prompt": "The capital of France is", "max_tokens": 4}
        assert httpx2.post(f"{server.url}/v1/completions", json=body).status_code == 200
        own = f"{server.url}/api/v1/deployments/{instance.instance_id}"
        assert httpx2.get(own).json()["model"] == "paddock/foal"
        assert httpx2.post(f"{own}/stop").status_code == 200
        assert cortecs.get_instance_status(instance.instance_id).status == "stopped"
        cortecs.delete(instance.instance_id)
        assert httpx2.get(own).status_code in (200, 404)

    def test_a_model_that_cannot_be_loaded(self, server: Server, cortecs: Cortecs, tmp_path: Path) -> None:
        broken = tmp_path / "broken.gguf"
        broken.write_bytes(b"GGUF" + bytes(100))
        with pytest.raises(error.InstanceStopped) as raised:
            cortecs.start(str(broken), poll_interval=0.2)
        assert "broken" in raised.value.message
        instance = raised.value.instance
        assert instance is not None
        assert instance.instance_status.reason
        cortecs.delete(instance.instance_id)
