"""Two people with a key each, in two projects, on one server of two processes that answers nobody else."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import fireworks.client
import fireworks.client.error
import httpx2
import openai
import pytest
from langchain_openai import ChatOpenAI

import paddock.clients.fireworks
import paddock.clients.fireworks.error
from tests.e2e.server import Server, serving

SCRIPT = Path(__file__).with_name("published_with_key.py")
LLM_ENGINE = Path(sys.prefix) / "scale-llm-engine==0.0.0b45"
OLDER_CORTECS = Path(sys.prefix) / "cortecs-py==0.0.11"
FRANCE: Any = [{"role": "user", "content": "What is the capital of France?"}]
CHAT: Any = "/v1/chat/completions"
PARIS = "The capital of France is Paris."
CONNECTIONS = 12
"""New ones in a row: that all of them meet the same one of two processes is rare."""
ROW = {"messages": [*FRANCE, {"role": "assistant", "content": PARIS}]}


@dataclass
class Person:
    id: str
    secret: str
    project: str


@dataclass
class Team:
    server: Server
    folder: Path
    admin: Person
    ann: Person
    bob: Person

    def key(self, name: str, project: str, *options: str) -> Person:
        """A new one, made by the admin's."""
        where = ("--base-url", self.server.url, "--api-key", self.admin.secret)
        return create(name, project, *options, *where)

    def status(self, person: Person, path: str = "/v1/models") -> int:
        """Over a new connection."""
        with contextlib.closing(HTTPConnection("127.0.0.1", self.server.port, timeout=10)) as connection:
            connection.request("GET", path, headers={"x-api-key": person.secret})
            return connection.getresponse().status

    def settle(self, person: Person, status: int) -> None:
        """Within a second every process says so, and goes on to."""
        began = last = time.monotonic()
        met = 0
        while met < CONNECTIONS:
            met = met + 1 if self.status(person) == status else 0
            last = last if met else time.monotonic()
            assert last - began < 1

    def openai(self, person: Person) -> openai.OpenAI:
        return openai.OpenAI(base_url=f"{self.server.url}/v1", api_key=person.secret, max_retries=0)

    def script(self, client: str, who: Person, other: Any, *more: str, **environment: str) -> Any:
        done = subprocess.run(
            [sys.executable, str(SCRIPT), client, who.project, json.dumps(other), *more],
            check=False,
            env={**os.environ, "PYTHONWARNINGS": "ignore", **environment},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


def paddock_keys(*arguments: str) -> str:
    command = [sys.executable, "-m", "paddock", "keys", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=30).stdout


def create(name: str, project: str, *options: str) -> Person:
    made = json.loads(paddock_keys("create", "--name", name, "--project", project, "--json", *options))
    return Person(made["id"], made["secret"], project)


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    folder = tmp_path_factory.mktemp("team")
    # Before there is a server, or even the folder.
    admin = create("admin", "ops", "--scope", "admin", "--data-dir", str(folder / "data"))
    with serving(folder, "--require-keys", "--workers", "2", "--jobs", "0") as server:
        where = ("--base-url", server.url, "--api-key", admin.secret)
        ann, bob = create("Ann", "shop", *where), create("Bob", "farm", *where)
        made = Team(server, folder, admin, ann, bob)
        for person in (ann, bob):
            made.settle(person, 200)
        yield made


class TestOpenAI:
    def test_both_ask_the_model_for_all(self, team: Team) -> None:
        for person in (team.ann, team.bob):
            with team.openai(person) as client:
                answer = client.chat.completions.create(model="foal", messages=FRANCE, temperature=0)
                assert answer.choices[0].message.content == PARIS
                assert [model.id for model in client.models.list()] == ["paddock/foal"]

    def test_each_has_files_batches_and_fine_tunes_of_his_own(self, team: Team) -> None:
        with team.openai(team.ann) as ann, team.openai(team.bob) as bob:
            made = [make(client) for client in (ann, bob)]
            for client, (files, batch, tune) in zip((ann, bob), made, strict=True):
                assert {one.id for one in client.files.list()} == files
                assert [one.id for one in client.batches.list()] == [batch]
                assert [one.id for one in client.fine_tuning.jobs.list()] == [tune]
            (file, *_), batch, tune = made[1]
            for call in (
                lambda: ann.files.retrieve(file),
                lambda: ann.files.content(file),
                lambda: ann.files.delete(file),
                lambda: ann.batches.retrieve(batch),
                lambda: ann.batches.cancel(batch),
                lambda: ann.fine_tuning.jobs.retrieve(tune),
                lambda: ann.fine_tuning.jobs.cancel(tune),
            ):
                with pytest.raises(openai.NotFoundError, match="there is no"):
                    call()
            with pytest.raises(openai.BadRequestError, match="there is no file"):
                ann.fine_tuning.jobs.create(model="paddock/foal", training_file=file)
            assert bob.batches.retrieve(batch).status in ("validating", "in_progress")

    def test_errors(self, team: Team) -> None:
        narrow = team.key("ci", "shop", "--scope", "inference", "--model", "pony*")
        team.settle(narrow, 200)
        with team.openai(narrow) as client:
            with pytest.raises(openai.PermissionDeniedError, match="is not for model 'paddock/foal'") as no:
                client.chat.completions.create(model="foal", messages=FRANCE)
            assert (no.value.code, no.value.param) == ("model_not_allowed", "model")
            assert list(client.models.list()) == []
            with pytest.raises(openai.PermissionDeniedError, match="needs the scope 'manage'"):
                client.fine_tuning.jobs.create(model="paddock/foal", training_file="file-0")
        with team.openai(Person("", "paddock_wrong", "")) as client:
            with pytest.raises(openai.AuthenticationError, match="mistyped") as refused:
                client.models.list()
            assert refused.value.code == "invalid_api_key"
        answer = httpx2.get(f"{team.server.url}/v1/models")
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")


def make(client: openai.OpenAI) -> tuple[set[str], str, str]:
    """Files, a batch and a fine-tune; nobody runs the jobs."""
    rows = "\n".join([json.dumps(ROW)] * 4).encode()
    prompt = {"custom_id": "1", "method": "POST", "url": CHAT, "body": {"model": "foal", "messages": FRANCE}}
    file = client.files.create(file=("rows.jsonl", rows), purpose="fine-tune").id
    prompts = client.files.create(file=("in.jsonl", json.dumps(prompt).encode()), purpose="batch").id
    batch = client.batches.create(input_file_id=prompts, endpoint=CHAT, completion_window="24h")
    tune = client.fine_tuning.jobs.create(model="paddock/foal", training_file=file)
    return {file, prompts}, batch.id, tune.id


@pytest.mark.parametrize("client", [fireworks.client, paddock.clients.fireworks], ids=["published", "ours"])
def test_fireworks(team: Team, client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "base_url", f"{team.server.url}/inference/v1")
    for key, raises in ((team.ann.secret, None), ("paddock_wrong", client.error.AuthenticationError)):
        monkeypatch.setattr(client, "api_key", key)
        if raises is None:
            answer = client.ChatCompletion.create("accounts/any/models/foal", FRANCE, temperature=0)
            assert answer.choices[0].message.content == PARIS
        else:
            with pytest.raises(raises, match="mistyped"):
                client.ChatCompletion.create("accounts/any/models/foal", FRANCE)


def test_langchain(team: Team) -> None:
    model = ChatOpenAI(model="foal", base_url=f"{team.server.url}/v1", api_key=team.bob.secret, temperature=0)  # type: ignore[arg-type]
    assert model.invoke("What is the capital of France?").content == PARIS


def test_llm_engine(team: Team, tmp_path: Path) -> None:
    rows = tmp_path / "rows.csv"
    rows.write_text("prompt,response\n" + "a,b\n" * 4)
    narrow = team.key("ci", "shop", "--scope", "inference")
    team.settle(narrow, 200)
    environment = {
        "LLM_ENGINE_BASE_PATH": f"{team.server.url}/llm-engine/",
        "PYTHONPATH": str(LLM_ENGINE),
        "LLM_ENGINE_DISABLE_VERSION_CHECK": "1",
        "ONLY_INFERENCE": narrow.secret,
    }
    seen: list[Any] = [None]
    for person in (team.ann, team.bob):
        found = team.script(
            "llm_engine", person, seen[-1], str(rows), SCALE_API_KEY=person.secret, **environment
        )
        made = found["made"]
        assert found["text"].startswith(" Paris")
        assert {made["endpoint"], "paddock/foal"} <= {*found["endpoints"]}
        assert made["file"] in found["files"]
        assert made["job"] in found["jobs"]
        assert found["wrong"][0] == "UnauthorizedError"
        # The client has no word for 403.
        assert found["inference"][0] == "UnknownError"
        assert "needs the scope 'manage'" in found["inference"][1]
        seen.append(found)
    ann, bob = seen[1:]
    assert not {*ann["made"].values()} & {*bob["endpoints"], *bob["files"], *bob["jobs"]}
    assert {name: error[0] for name, error in bob["refused"].items()} == dict.fromkeys(
        ("get", "change", "delete", "ask", "read", "tune", "cancel"), "NotFoundError"
    )


def test_cortecs(team: Team) -> None:
    """One has the older client, the other the newer one."""
    base = {"CORTECS_API_BASE_URL": f"{team.server.url}/cortecs/api/v1"}
    older = {"PYTHONPATH": str(OLDER_CORTECS), "MODEL": "paddock--foal"}
    seen: list[Any] = [None]
    for person, version in ((team.ann, older), (team.bob, {"MODEL": "paddock/foal"})):
        credentials = {"CORTECS_CLIENT_ID": person.id, "CORTECS_CLIENT_SECRET": person.secret}
        found = team.script("cortecs", person, seen[-1], **base, **credentials, **version)
        assert found["text"].startswith(" Paris")
        assert found["made"]["instance"] in found["instances"]
        assert "client_id must be the id of a key" in found["wrong"][1]
        seen.append(found)
    ann, bob = seen[1:]
    assert ann["made"]["instance"] not in bob["instances"]
    assert {name: error[0] for name, error in bob["refused"].items()} == {
        **dict.fromkeys(("get", "stop", "delete", "restart"), "HTTPError"),
        "ask": "NotFoundError",
    }


class TestEnds:
    def test_a_revoked_key_stops_on_every_process_within_a_second(self, team: Team) -> None:
        gone = team.key("Cy", "shop")
        team.settle(gone, 200)
        # Over one connection that stays open too.
        with httpx2.Client(base_url=team.server.url, headers={"x-api-key": gone.secret}) as kept:
            assert kept.get("/v1/models").status_code == 200
            paddock_keys("revoke", gone.id, "--base-url", team.server.url, "--api-key", team.admin.secret)
            team.settle(gone, 401)
            answer = kept.get("/v1/models")
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "api_key_revoked")

    def test_on_the_store_beside_the_running_server(self, team: Team) -> None:
        where = ("--data-dir", str(team.folder / "data"))
        made = create("Di", "shop", *where)
        team.settle(made, 200)
        again = Person(made.id, paddock_keys("rotate", made.id, *where).strip(), made.project)
        team.settle(again, 200)
        assert team.status(made) == 401
        paddock_keys("revoke", made.id, *where)
        team.settle(again, 401)
