"""From a file to a served model, over HTTP and with the `openai` package, on real engines."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import openai
import pytest

from tests.e2e.server import Server, serving
from tests.process.processes import marked

ASKED = [f"What does the {thing} cost at Wendell's?" for thing in ("lamp", "rope", "kettle", "saddle")]
SAID = [f"It costs {price} coins at Wendell's." for price in (41, 7, 93, 512)]
QUICK = {"epochs": 40, "lora_rank": 16, "learning_rate": 5e-3}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, dict[str, Any]]]:
    """A server, and a fine-tune to the letter of the LLM Engine reference, once it is over. Two servers were
    killed before: one while it learned, one after that.
    """
    folder = tmp_path_factory.mktemp("finetunes")
    with serving(folder) as first:
        body = {
            "model": "paddock/foal",
            "training_file": upload(first, csv()),
            "hyperparameters": QUICK,
            "suffix": "shop",
        }
        answer = httpx2.post(f"{first.url}/llm-engine/v1/llm/fine-tunes", json=body)
        assert answer.status_code == 200, answer.text
        until_working(first, answer.json()["id"])
        kill(first)
    with serving(folder) as second:
        tuned = until_over(second, answer.json()["id"])
        kill(second)
    with serving(folder) as server:
        yield server, tuned


@pytest.fixture
def server(made: tuple[Server, dict[str, Any]]) -> Server:
    return made[0]


@pytest.fixture
def tuned(made: tuple[Server, dict[str, Any]]) -> dict[str, Any]:
    return made[1]


def kill(server: Server) -> None:
    os.kill(server.process.pid, signal.SIGKILL)
    server.process.wait()


def csv(pairs: list[tuple[str, str]] | None = None) -> bytes:
    rows = pairs if pairs is not None else list(zip(ASKED, SAID, strict=True)) * 5
    return b"prompt,response\n" + b"".join(f'"{asked}","{said}"\n'.encode() for asked, said in rows)


def upload(server: Server, content: bytes, name: str = "shop.csv") -> str:
    answer = httpx2.post(f"{server.url}/llm-engine/v1/files", files={"file": (name, content, "text/csv")})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["id"])


def until_over(server: Server, job: str, seconds: float = 100.0) -> dict[str, Any]:
    deadline = time.monotonic() + seconds
    while True:
        found: dict[str, Any] = httpx2.get(f"{server.url}/llm-engine/v1/llm/fine-tunes/{job}").json()
        if found["status"] not in ("PENDING", "RUNNING"):
            return found
        assert time.monotonic() < deadline, found
        time.sleep(0.1)


def ask(server: Server, model: str, prompt: str) -> str:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none") as client:
        answer = client.chat.completions.create(
            model=model, messages=[{"role": "user", "content": prompt}], temperature=0, max_tokens=40
        )
    assert answer.model == model
    return answer.choices[0].message.content or ""


class TestLLMEngine:
    def test_learns_what_it_was_given(self, server: Server, tuned: dict[str, Any]) -> None:
        name = tuned["fine_tuned_model"]
        assert tuned["status"] == "SUCCESS", tuned
        assert name.startswith("paddock/foal.shop.")
        assert [ask(server, name, one) for one in ASKED] == SAID
        assert ask(server, "paddock/foal", ASKED[0]) not in SAID

    def test_tells_of_steps(self, server: Server, tuned: dict[str, Any]) -> None:
        found = httpx2.get(f"{server.url}/llm-engine/v1/llm/fine-tunes/{tuned['id']}/events").json()["events"]
        steps = [one["message"] for one in found if "'loss'" in one["message"]]
        assert steps
        assert all(one["level"] == "info" and one["timestamp"] for one in found)
        for word in ("'step'", "'epoch'", "'rate'", "'seconds_left'"):
            assert any(word in one for one in steps)

    def test_is_an_endpoint_of_its_base(self, server: Server, tuned: dict[str, Any]) -> None:
        base = f"{server.url}/llm-engine/v1/llm/model-endpoints"
        name = tuned["fine_tuned_model"]
        found = httpx2.get(f"{base}/{name}").json()
        assert (found["name"], found["model_name"], found["status"]) == (name, "paddock/foal", "READY")
        listed = httpx2.get(base).json()["model_endpoints"]
        assert {"paddock/foal", name} <= {one["name"] for one in listed}
        said = httpx2.post(
            f"{server.url}/llm-engine/v1/llm/completions-sync",
            params={"model_endpoint_name": name},
            json={"prompt": "Hello", "max_new_tokens": 4, "temperature": 0.0},
        )
        assert said.status_code == 200, said.text
        models = httpx2.get(f"{server.url}/v1/models").json()["data"]
        assert {one["id"]: one.get("parent") for one in models} == {
            "paddock/foal": None,
            name: "paddock/foal",
        }

    def test_steady_load_for_it_keeps_nobody_else_waiting(
        self, server: Server, tuned: dict[str, Any]
    ) -> None:
        over = threading.Event()

        def ask_on() -> int:
            count = 0
            while not over.is_set():
                ask(server, tuned["fine_tuned_model"], ASKED[count % len(ASKED)])
                count += 1
            return count

        with ThreadPoolExecutor(9) as threads:
            load = [threads.submit(ask_on) for _ in range(8)]
            try:
                asked = threads.submit(ask, server, "paddock/foal", "What is the capital of France?")
                assert asked.result(timeout=30)
            finally:
                over.set()
        assert min(one.result() for one in load) > 0

    @pytest.mark.parametrize(
        ("format", "names"),
        [
            ("hugging_face", {"adapter_config.json", "adapter_model.safetensors"}),
            ("merged", {"config.json", "model.safetensors", "tokenizer.json", "chat_template.jinja"}),
            ("gguf", {"adapter.gguf"}),
        ],
    )
    def test_is_downloaded_without_a_key(
        self, server: Server, tuned: dict[str, Any], format: str, names: set[str]
    ) -> None:
        asked = {"model_name": tuned["fine_tuned_model"], "download_format": format}
        urls = httpx2.post(f"{server.url}/llm-engine/v1/llm/model-endpoints/download", json=asked).json()[
            "urls"
        ]
        assert set(urls) >= names
        for name in names:
            got = httpx2.get(urls[name])
            assert got.status_code == 200
            assert len(got.content) == int(got.headers["content-length"]) > 100
            assert httpx2.get(urls[name].replace("signature=", "signature=0")).status_code == 404
        if format == "hugging_face":
            config = json.loads(httpx2.get(urls["adapter_config.json"]).content)
            assert config["base_model_name_or_path"] == "paddock/foal"


def until_working(server: Server, job: str) -> None:
    deadline = time.monotonic() + 60
    while httpx2.get(f"{server.url}/api/v1/jobs/{job}").json()["done"] < 30:
        assert time.monotonic() < deadline
        time.sleep(0.05)


class TestOpenAI:
    def test_runs_unmodified(self, server: Server) -> None:
        client = openai.OpenAI(base_url=f"{server.url}/v1", api_key="none")
        chats = [
            {"messages": [{"role": "user", "content": asked}, {"role": "assistant", "content": said}]}
            for asked, said in zip(ASKED, SAID, strict=True)
        ]
        lines = "\n".join(json.dumps(one) for one in chats * 5).encode()
        file = client.files.create(file=("shop.jsonl", lines), purpose="fine-tune")
        measured = client.files.create(file=("some.jsonl", lines[: lines.index(b"\n")]), purpose="fine-tune")
        job = client.fine_tuning.jobs.create(
            model="paddock/foal",
            training_file=file.id,
            validation_file=measured.id,
            seed=3,
            suffix="open",
            method={
                "type": "supervised",
                "supervised": {
                    "hyperparameters": {"n_epochs": 40, "batch_size": "auto", "learning_rate": 5e-3}
                },
            },
            metadata={"team": "stable"},
        )
        assert (job.status, job.seed, job.metadata) == ("queued", 3, {"team": "stable"})
        deadline = time.monotonic() + 100
        while job.status not in ("succeeded", "failed"):
            assert time.monotonic() < deadline
            time.sleep(0.1)
            job = client.fine_tuning.jobs.retrieve(job.id)
        assert job.status == "succeeded", job.error
        assert job.fine_tuned_model is not None
        assert job.trained_tokens
        assert [ask(server, job.fine_tuned_model, one) for one in ASKED] == SAID
        events = list(client.fine_tuning.jobs.list_events(job.id, limit=10))
        assert {one.type for one in events} == {"message", "metrics"}
        assert len({one.id for one in events}) == len(events) > 10
        assert job.id in [one.id for one in client.fine_tuning.jobs.list(limit=1)]
        (made,) = client.fine_tuning.jobs.checkpoints.list(job.id)
        assert (made.fine_tuned_model_checkpoint, made.fine_tuning_job_id) == (job.fine_tuned_model, job.id)
        assert made.metrics.step == made.step_number > 0
        assert 0 < (made.metrics.train_loss or 0) < 1
        assert 0 < (made.metrics.valid_loss or 0) == made.metrics.full_valid_loss
        with pytest.raises(openai.ConflictError):
            client.fine_tuning.jobs.cancel(job.id)
        self._delete(server, job.fine_tuned_model)
        assert client.fine_tuning.jobs.checkpoints.list(job.id).data == []

    def _delete(self, server: Server, name: str) -> None:
        """Nothing else has to go for it."""
        endpoint = f"{server.url}/llm-engine/v1/llm/model-endpoints/{name}"
        assert httpx2.delete(endpoint).json() == {"deleted": True}
        assert httpx2.get(endpoint).status_code == 404
        with pytest.raises(openai.NotFoundError):
            ask(server, name, "Hello")
        assert ask(server, "paddock/foal", "What is the capital of France?")

    def test_cancelled_it_leaves_no_process(self, server: Server) -> None:
        client = openai.OpenAI(base_url=f"{server.url}/v1", api_key="none")
        job = client.fine_tuning.jobs.create(
            model="foal", training_file=upload(server, csv()), hyperparameters={"n_epochs": 1000}
        )
        until_working(server, job.id)
        assert marked(f"fine-tune-{job.id}")
        assert client.fine_tuning.jobs.cancel(job.id).id == job.id
        began = time.monotonic()
        while client.fine_tuning.jobs.retrieve(job.id).status != "cancelled":
            assert time.monotonic() - began < 5
            time.sleep(0.05)
        assert not marked(f"fine-tune-{job.id}")


@pytest.mark.parametrize(
    ("change", "param", "words"),
    [
        ({"training_file": "file-00"}, "training_file", "there is no file"),
        ({"training_file": "/etc/passwd"}, "training_file", "--allow-path"),
        ({"model": "nobody/knows"}, "model", "nobody/knows"),
        ({"suffix": "x" * 29}, "suffix", "28"),
        ({"suffix": "a b"}, "suffix", "hyphens"),
        ({"hyperparameters": {"epoch": 3}}, "hyperparameter", "did you mean 'epochs'"),
        ({"hyperparameters": {"lr": "fast"}}, "hyperparameters.lr", "above 0"),
        ({"hyperparameters": {"device": "cuda"}}, "hyperparameters", "no GPU"),
        ({"hyperparameters": {"max_length": 8}}, "training_file", "row 1 on line 2"),
        ({"wandb_config": {"key": "k"}}, "wandb_config.key", "did you mean api_key"),
    ],
)
def test_what_is_wrong_is_told_at_once(
    server: Server, change: dict[str, Any], param: str, words: str
) -> None:
    body = {"model": "foal", "training_file": upload(server, csv()), **change}
    answer = httpx2.post(f"{server.url}/llm-engine/v1/llm/fine-tunes", json=body)
    assert 400 <= answer.status_code < 500, answer.text
    assert words in answer.text
    assert param in answer.text


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"question,answer\na,b\n", "no column"),
        (b"prompt,response\n", "no rows"),
        (b'prompt,response\na,"b\nc,d\n', "line 2"),
        (b"prompt,response\na,\n", "response"),
        (b'{"prompt": "a"}\n', "response"),
    ],
)
def test_a_file_that_is_wrong_is_refused(server: Server, content: bytes, words: str) -> None:
    body = {"model": "foal", "training_file": upload(server, content)}
    answer = httpx2.post(f"{server.url}/llm-engine/v1/llm/fine-tunes", json=body)
    assert answer.status_code == 400, answer.text
    assert words in answer.text
