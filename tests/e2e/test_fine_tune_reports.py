"""Fine-tunes whose rows come from elsewhere, and whose metrics go elsewhere: on real processes."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests import wandb_server
from tests.e2e.server import Server, serving, until
from tests.wandb_server import WandbServer

KEY = "0123456789abcdef0123456789abcdef01234567"
QUICK = {"epochs": 2, "lora_rank": 4}
ROWS = b"prompt,response\n" + b"".join(b"Where is shelf %d?,In row %d.\n" % (i, i % 5) for i in range(12))
OVER = ("SUCCESS", "FAILURE", "CANCELLED", "TIMEOUT")


@pytest.fixture(scope="module")
def wandb() -> Iterator[WandbServer]:
    with wandb_server.running() as server:
        yield server


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("reports")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    allowed = folder / "shared"
    allowed.mkdir()
    (allowed / "measure.csv").write_bytes(ROWS)
    with serving(
        folder,
        "--allow-path",
        str(allowed),
        PADDOCK_ALLOW_PRIVATE_URLS="true",
        WANDB_API_KEY="",
        WANDB_BASE_URL="",
    ) as server:
        yield server


@pytest.fixture(scope="module")
def web() -> Iterator[str]:
    """A server of files: whole ones, and one that breaks off."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(ROWS)))
            self.end_headers()
            self.wfile.write(ROWS[:100] if self.path.startswith("/half") else ROWS)

        def log_message(self, format: str, *args: object) -> None:
            pass

    serving_files = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=serving_files.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{serving_files.server_port}"
    serving_files.shutdown()
    thread.join()
    serving_files.server_close()


def ask(server: Server, body: dict[str, Any]) -> httpx2.Response:
    given = {"model": "paddock/foal", "hyperparameters": QUICK, **body}
    return httpx2.post(f"{server.url}/llm-engine/v1/llm/fine-tunes", json=given, timeout=30)


def over(server: Server, job: str) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        found: dict[str, Any] = httpx2.get(f"{server.url}/llm-engine/v1/llm/fine-tunes/{job}").json()
        return found if found["status"] in OVER else None

    return until(look, 60)


def events(server: Server, job: str) -> list[dict[str, str]]:
    found: list[dict[str, str]] = httpx2.get(
        f"{server.url}/llm-engine/v1/llm/fine-tunes/{job}/events"
    ).json()["events"]
    return found


def arguments() -> bytes:
    found = b""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found += path.read_bytes()
        except OSError:
            continue
    return found


class TestReports:
    def test_from_the_web_to_weights_and_biases(
        self, server: Server, web: str, wandb: WandbServer, folder: Path
    ) -> None:
        wandb_config = {"api_key": KEY, "base_url": wandb.url, "project": "herd", "tags": ["a"]}
        body = {
            "training_file": f"{web}/rows.csv?signature=secret",
            "validation_file": f"{folder}/shared/measure.csv",
            "hyperparameters": {**QUICK, "report_to": "wandb"},
            "wandb_config": wandb_config,
        }
        answer = ask(server, body)
        assert answer.status_code == 200, answer.text
        job = answer.json()["id"]
        seen = bytearray()

        def reported() -> bool:
            seen.extend(arguments())
            return job in wandb.exits

        until(reported, 60)
        assert KEY.encode() not in seen
        assert b"paddock.training.wandb_run" in seen
        assert over(server, job)["status"] == "SUCCESS"
        steps = [row["_step"] for row in wandb.history[job]]
        assert steps == sorted(set(steps))
        assert {"train/loss", "train/learning_rate", "train/rows_per_second"} <= set(wandb.history[job][0])
        assert any("eval/loss" in row for row in wandb.history[job])
        assert (wandb.exits[job], wandb.keys) == (0, {KEY})
        assert any(one["message"].startswith("metrics go to http") for one in events(server, job))

        shown = httpx2.get(f"{server.url}/v1/fine_tuning/jobs/{job}").json()
        assert shown["training_file"] == f"{web}/rows.csv"
        assert shown["integrations"][0]["wandb"]["project"] == "herd"
        assert KEY not in httpx2.get(f"{server.url}/api/v1/jobs/{job}").text
        for path in folder.rglob("*"):
            if path.is_file():
                kept = path.read_bytes()
                assert KEY.encode() not in kept, path
                assert b"signature=secret" not in kept, path

    @pytest.mark.parametrize(
        ("body", "param", "said"),
        [
            ({"training_file": "WEB/half"}, "training_file", "connection failed"),
            ({"training_file": "http://localhost:1/x"}, "training_file", "connection failed"),
            ({"training_file": "/etc/passwd"}, "training_file", "may not be named"),
            ({"wandb_config": KEY}, "wandb_config", "must be an object"),
            ({"wandb_config": {}}, "wandb_config.api_key", "must be given"),
            ({"hyperparameters": {"report_to": "wandb"}}, "wandb_config.api_key", "must be given"),
            ({"hyperparameters": {"report_to": "tensorboard"}}, "hyperparameters.report_to", '"wandb"'),
        ],
    )
    def test_what_is_wrong_is_said_when_it_is_asked_for(
        self, server: Server, web: str, body: dict[str, Any], param: str, said: str
    ) -> None:
        given = {"training_file": "WEB/rows.csv", **body}
        given["training_file"] = given["training_file"].replace("WEB", web)
        answer = ask(server, given)
        assert answer.status_code == 400, answer.text
        assert param in answer.text
        assert said in answer.text.replace('\\"', '"')
        assert KEY not in answer.text

    def test_openais_dialect_has_the_operators_key_only(self, server: Server, web: str) -> None:
        url = f"{server.url}/v1/fine_tuning/jobs"
        body: dict[str, Any] = {"model": "paddock/foal", "training_file": f"{web}/rows.csv"}
        answer = httpx2.post(url, json=body)
        assert answer.status_code == 400
        assert "must be the id of a stored file" in answer.text
        body["integrations"] = [{"type": "wandb", "wandb": {"project": "herd"}}]
        answer = httpx2.post(url, json=body)
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "integrations")
        assert "WANDB_API_KEY" in answer.text
