"""Fine-tunes of all weights, which make models of their own, with the `openai` package on real engines."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
from openai.types.fine_tuning import FineTuningJob

from tests.e2e.server import Server, serving, until

ASKED = [f"What does the {thing} cost at Wendell's?" for thing in ("lamp", "rope", "kettle", "saddle")]
SAID = [f"It costs {price} coins at Wendell's." for price in (41, 7, 93, 512)]
SCALE = {"min_workers": 0, "max_workers": 3, "per_worker": 5}


@dataclass
class Tuned:
    server: Server
    job: FineTuningJob
    name: str
    folder: Path


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tuned]:
    """A server, and a model that it has made. The server that made it was killed."""
    folder = tmp_path_factory.mktemp("full")
    with serving(folder) as first:
        httpx2.patch(f"{first.url}/api/v1/deployments/paddock/foal", json=SCALE).raise_for_status()
        with client(first) as asked:
            job = succeeded(asked, begun(asked, "paddock/foal", "shop", {"method": "full", "n_epochs": 12}))
        os.kill(first.process.pid, signal.SIGKILL)
        first.process.wait()
    assert job.fine_tuned_model is not None
    with serving(folder) as second:
        yield Tuned(second, job, job.fine_tuned_model, folder)


def client(server: Server) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key="none")


def begun(asked: openai.OpenAI, base: str, suffix: str, hyperparameters: dict[str, Any]) -> FineTuningJob:
    chats = [
        {"messages": [{"role": "user", "content": asked}, {"role": "assistant", "content": said}]}
        for asked, said in zip(ASKED, SAID, strict=True)
    ]
    lines = "\n".join(json.dumps(one) for one in chats * 5).encode()
    file = asked.files.create(file=("shop.jsonl", lines), purpose="fine-tune")
    return asked.fine_tuning.jobs.create(
        model=base,
        training_file=file.id,
        suffix=suffix,
        hyperparameters=hyperparameters,  # type: ignore[arg-type]  # it knows three of them
    )


def succeeded(asked: openai.OpenAI, job: FineTuningJob) -> FineTuningJob:
    deadline = time.monotonic() + 100
    while job.status not in ("succeeded", "failed"):
        assert time.monotonic() < deadline
        time.sleep(0.1)
        job = asked.fine_tuning.jobs.retrieve(job.id)
    assert job.status == "succeeded", job.error
    return job


def ask(server: Server, model: str, prompt: str) -> str:
    with client(server) as asked:
        answer = asked.chat.completions.create(
            model=model, messages=[{"role": "user", "content": prompt}], temperature=0, max_tokens=40
        )
    assert answer.model == model
    return answer.choices[0].message.content or ""


def test_it_is_served_after_all_that(tuned: Tuned) -> None:
    assert tuned.name.startswith("paddock/foal.shop.")
    assert [ask(tuned.server, tuned.name, one) for one in ASKED] == SAID
    assert ask(tuned.server, "paddock/foal", ASKED[0]) not in SAID


def test_it_is_deployed_as_its_base_is(tuned: Tuned) -> None:
    found = httpx2.get(f"{tuned.server.url}/api/v1/deployments/{tuned.name}").json()
    assert {name: found[name] for name in SCALE} == SCALE
    assert (found["model"], found["parent"]) == (tuned.name, "paddock/foal")


def test_every_dialect_knows_it(tuned: Tuned) -> None:
    url = tuned.server.url
    models = {one["id"]: one.get("parent") for one in httpx2.get(f"{url}/v1/models").json()["data"]}
    assert models == {"paddock/foal": None, tuned.name: "paddock/foal"}
    endpoint = httpx2.get(f"{url}/llm-engine/v1/llm/model-endpoints/{tuned.name}").json()
    assert (endpoint["name"], endpoint["model_name"]) == (tuned.name, "paddock/foal")
    said = httpx2.post(
        f"{url}/llm-engine/v1/llm/completions-sync",
        params={"model_endpoint_name": tuned.name},
        json={"prompt": "Hello", "max_new_tokens": 4, "temperature": 0.0},
    )
    assert said.status_code == 200, said.text
    known = {one["name"]: one["parent"] for one in httpx2.get(f"{url}/api/v1/models").json()["data"]}
    assert known == {"paddock/foal": "", tuned.name: "paddock/foal"}
    offered = httpx2.get(f"{url}/cortecs/api/v1/models").json()["models"]
    assert tuned.name in [one["hf_name"] for one in offered]


def test_it_is_downloaded(tuned: Tuned) -> None:
    where = f"{tuned.server.url}/llm-engine/v1/llm/model-endpoints/download"
    for format in ("hugging_face", "merged"):
        asked = {"model_name": tuned.name, "download_format": format}
        urls = httpx2.post(where, json=asked).json()["urls"]
        assert {"config.json", "model.safetensors", "tokenizer.json"} <= set(urls)
        assert json.loads(httpx2.get(urls["config.json"]).content)["model_type"] == "llama"
    refused = httpx2.post(where, json={"model_name": tuned.name, "download_format": "gguf"})
    assert refused.status_code == 400
    assert "download_format must be" in refused.text


def test_it_is_the_base_of_others_until_it_goes(tuned: Tuned) -> None:
    url = tuned.server.url
    with client(tuned.server) as asked:
        job = begun(asked, tuned.name, "more", {"n_epochs": 1000})
        until(lambda: httpx2.get(f"{url}/api/v1/jobs/{job.id}").json()["done"], 60)
        with pytest.raises(openai.ConflictError, match=f"used by {job.id}"):
            asked.models.delete(tuned.name)
        asked.fine_tuning.jobs.cancel(job.id)
        until(lambda: asked.fine_tuning.jobs.retrieve(job.id).status == "cancelled", 20)
        with pytest.raises(openai.BadRequestError, match="was not fine-tuned here"):
            asked.models.delete("paddock/foal")
    endpoint = f"{url}/llm-engine/v1/llm/model-endpoints/{tuned.name}"
    assert httpx2.delete(endpoint).json() == {"deleted": True}
    until(lambda: httpx2.get(endpoint).status_code == 404, 20)
    with pytest.raises(openai.NotFoundError):
        ask(tuned.server, tuned.name, "Hello")
    assert [one["name"] for one in httpx2.get(f"{url}/api/v1/models").json()["data"]] == ["paddock/foal"]
    until(lambda: not list(tuned.folder.glob("data/**/model.safetensors")), 20)
