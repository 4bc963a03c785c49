"""Batches in both dialects, from their input to their output, and how far they are meanwhile."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence

from bench.api import JSON, Api

JOBS = "/api/v1/jobs"
OPENAI, LLM_ENGINE = "/v1", "/llm-engine"
DAY = "24h"
BOUNDARY = "----paddock-bench-5f1c"
FORM = f"multipart/form-data; boundary={BOUNDARY}"
_STEP = 0.1
"""Seconds between two questions how far a batch is: a client that asks all the time slows it."""


def upload(client: Api, content: bytes, name: str = "input.jsonl") -> str:
    """The id of a stored file."""
    head, tail = form(name, {"purpose": "batch"})
    answer = client.send("POST", f"{OPENAI}/files", head + content + tail, FORM)
    return str(json.loads(answer)["id"])


def start(client: Api, file_id: str, endpoint: str) -> str:
    """The id of an OpenAI batch, just accepted."""
    asked = {"input_file_id": file_id, "endpoint": endpoint, "completion_window": DAY}
    return str(client.ask("POST", f"{OPENAI}/batches", asked)["id"])


def start_llm_engine(client: Api, prompts: Sequence[str], tokens: int, model: str, output: str) -> str:
    """The id of LLM Engine's v1 batch, just accepted; its output becomes a stored file named `output`."""
    content = {"prompts": list(prompts), "max_new_tokens": tokens, "temperature": 0}
    asked = {"model_config": {"model": model}, "output_data_path": output, "content": content}
    return str(client.ask("POST", f"{LLM_ENGINE}/v1/llm/batch-completions", asked)["job_id"])


def get(client: Api, job_id: str) -> JSON:
    return client.ask("GET", f"{JOBS}/{job_id}")


def is_over(job: JSON) -> bool:
    return job["finished_at"] is not None


def until_over(client: Api, job_id: str, patience: float = 600.0) -> JSON:
    """The job once it is completed.

    Raises:
        RuntimeError: it ended otherwise, or has not within `patience` seconds.
    """
    deadline = time.monotonic() + patience
    while not is_over(job := get(client, job_id)):
        if time.monotonic() > deadline:
            raise RuntimeError(f"{job_id} is not over after {patience:g} s: {json.dumps(job)}")
        time.sleep(_STEP)
    if job["state"] != "completed":
        raise RuntimeError(f"{job_id} is {job['state']}: {job['reason']}")
    return job


def cancel(client: Api, job_id: str, patience: float = 60.0) -> None:
    """Returns once the job is over."""
    client.ask("POST", f"{JOBS}/{job_id}/cancel")
    deadline = time.monotonic() + patience
    while not is_over(get(client, job_id)):
        if time.monotonic() > deadline:
            raise RuntimeError(f"{job_id} is not cancelled after {patience:g} s")
        time.sleep(_STEP)


def seconds(job: JSON) -> float:
    """From its acceptance to its end, by its own times."""
    return float(job["finished_at"] - job["created_at"])


def output(client: Api, job: JSON) -> bytes:
    """What came of a batch that was to be stored as a file."""
    return client.send("GET", f"{OPENAI}/files/{job['results']['output_file_id']}/content")


def answers(lines: bytes) -> list[JSON]:
    """The bodies of an OpenAI batch's answers, in the order of its output.

    Raises:
        RuntimeError: one has another status than 200.
    """
    found = [json.loads(line) for line in lines.splitlines()]
    for one in found:
        if (one["response"] or {}).get("status_code") != 200:
            raise RuntimeError(f"an answer of a batch is {json.dumps(one)[:500]}")
    return [one["response"]["body"] for one in found]


def form(name: str, fields: dict[str, str]) -> tuple[bytes, bytes]:
    """What comes before and after the bytes of a file, as curl sends them: its name, and other fields."""
    said = [f'name="{field}"\r\n\r\n{value}' for field, value in fields.items()]
    said.append(f'name="file"; filename="{name}"\r\nContent-Type: text/plain\r\n\r\n')
    parts = (f"--{BOUNDARY}\r\nContent-Disposition: form-data; {one}" for one in said)
    return "\r\n".join(parts).encode(), f"\r\n--{BOUNDARY}--\r\n".encode()
