"""Fine-tunes through a server: asked for, followed by their events, and what came of them."""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import api, engines, jobs
from bench.api import JSON, Api
from bench.engines import Engine
from bench.servers import Server
from bench.shop import Pair

if TYPE_CHECKING:
    from numpy.typing import NDArray

TOKENS = 48
"""Of an answer, at most: more than any of the shop's has."""
PATIENCE = 1800.0
_ENDPOINTS = "/llm-engine/v1/llm/model-endpoints"
_PAGE = 1000


@dataclass(frozen=True)
class Timeline:
    """When a fine-tune was how far, in seconds since 1970. What is read of the process that learns may be a
    tenth of a second late.

    Attributes:
        asked: its job is accepted.
        learning: its process is about to take the first step.
        stepped: the last step is taken.
        saved: the process has measured the last weights and written the adapter in PEFT's format. By its own
            stopwatch since `learning`, so that only a run without interruption has it right.
        stored: the process has ended, the adapter is converted for the engine, and both formats are kept.
        completed: the job is over.
    """

    asked: float
    learning: float
    stepped: float
    saved: float
    stored: float
    completed: float


def upload(client: Api, pairs: Sequence[Pair], name: str = "shop.csv") -> str:
    """The id of a stored file of questions and answers."""
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow(["prompt", "response"])
    rows.writerows([pair.question, pair.answer] for pair in pairs)
    return jobs.upload(client, text.getvalue().encode(), name)


def start(client: Api, model: str, pairs: Sequence[Pair], suffix: str, **hyperparameters: Any) -> str:
    """The id of a fine-tune, just accepted, that learns all of the pairs and is validated with the first."""
    wanted: JSON = {
        "model": model,
        "training_file": upload(client, pairs),
        "validation_file": upload(client, pairs[:1], "one.csv"),
        "suffix": suffix,
    }
    if hyperparameters:
        wanted["hyperparameters"] = hyperparameters
    return str(client.ask("POST", "/v1/fine_tuning/jobs", wanted)["id"])


def until_over(client: Api, job_id: str) -> JSON:
    """The job once it is completed.

    Raises:
        RuntimeError: it ended otherwise, or has not within `PATIENCE`.
    """
    return jobs.until_over(client, job_id, PATIENCE)


def name_of(job: JSON) -> str:
    """Of the model that came of it."""
    return str(job["results"]["fine_tuned_model"])


def timeline(client: Api, job: JSON) -> Timeline:
    """Of a completed job."""
    events = client.ask("GET", f"/api/v1/events?job={job['id']}&after=0&limit={_PAGE}")["data"]
    endpoint = client.ask("GET", f"{_ENDPOINTS}/{name_of(job)}")
    return timeline_of(job, events, endpoint["spec"]["metadata"]["outcome"]["seconds"])


def timeline_of(job: JSON, events: Sequence[JSON], seconds: float) -> Timeline:
    """
    Args:
        seconds: from the first step until the result is written, as the process that learned measured it.
    """
    learning = next(one["at"] for one in events if one["kind"] == "learning")
    stepped = max(one["at"] for one in events if one["kind"] == "step")
    return Timeline(
        asked=job["created_at"],
        learning=learning,
        stepped=stepped,
        saved=max(stepped, learning + seconds),
        stored=job["times"]["finishing"],
        completed=job["finished_at"],
    )


def trainer(server: Server, job_id: str) -> Engine | None:
    """The process that learns, if there is one now."""
    own = f"fine-tune-{job_id}"
    return next((one for one in engines.of_server(server) if one.replica == own), None)


def tensors(client: Api, model: str, folder: Path) -> Mapping[str, NDArray[Any]]:
    """An adapter's weights, downloaded in PEFT's format."""
    # Only here: they belong to what training needs, and not every benchmark trains.
    from safetensors.numpy import load_file

    asked = {"model_name": model, "download_format": "hugging_face"}
    urls = client.ask("POST", f"{_ENDPOINTS}/download", asked)["urls"]
    path = folder / f"{model.rpartition('/')[2]}.safetensors"
    address = urls["adapter_model.safetensors"]
    path.write_bytes(client.send("GET", address[address.index("/llm-engine") :]))
    found: Mapping[str, NDArray[Any]] = load_file(path)
    return found


def answer(port: int, model: str, messages: Sequence[Mapping[str, str]]) -> str:
    """What it says next, greedily.

    Raises:
        RuntimeError: it was refused; carries the answer.
    """
    body = {"model": model, "messages": list(messages), "temperature": 0, "max_tokens": TOKENS}
    with api.connected(port) as client:
        said = client.send("POST", "/v1/chat/completions", json.dumps(body).encode())
    text: str | None = json.loads(said)["choices"][0]["message"]["content"]
    return text or ""


def question(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def first_answer(port: int, model: str, text: str, patience: float = 60.0) -> tuple[float, int]:
    """(seconds since 1970 of the first answer by a model that is new, refusals before it).

    Raises:
        RuntimeError: there is none within `patience` seconds; carries the last refusal.
    """
    deadline, refused = time.monotonic() + patience, 0
    while True:
        try:
            answer(port, model, question(text))
            return time.time(), refused
        except RuntimeError:
            if time.monotonic() > deadline:
                raise
        refused += 1
        time.sleep(0.02)
