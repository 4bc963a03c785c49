"""Batches from their files to their answers, through the `openai` package, while things die."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import openai
import pytest
from openai import OpenAI
from openai.types import Batch

from tests.e2e.server import Server, serving, stop, until
from tests.postgres import PostgreSql

SECONDS = 60.0
CHATS = "/v1/chat/completions"


def client_of(server: Server) -> OpenAI:
    return OpenAI(base_url=f"{server.url}/v1", api_key="any")


def line(number: int, **changes: object) -> bytes:
    body = {
        "model": "foal",
        "messages": [{"role": "user", "content": f"What is {number} plus 1?"}],
        "max_tokens": 16,
        "temperature": 0,
    }
    row = {"custom_id": f"row-{number}", "method": "POST", "url": CHATS, "body": body, **changes}
    return json.dumps(row).encode() + b"\n"


def begin(client: OpenAI, content: bytes) -> Batch:
    file = client.files.create(file=("in.jsonl", content), purpose="batch")
    return client.batches.create(input_file_id=file.id, endpoint=CHATS, completion_window="24h")


def until_over(client: OpenAI, batch: Batch) -> Batch:
    def over() -> Batch | None:
        found = client.batches.retrieve(batch.id)
        return found if found.status in ("completed", "failed", "cancelled", "expired") else None

    return until(over, SECONDS)


def rows(client: OpenAI, file_id: str | None) -> list[dict[str, object]]:
    assert file_id is not None
    return [json.loads(one) for one in client.files.content(file_id).text.splitlines()]


@contextlib.contextmanager
def working(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "paddock", "worker", *arguments]
    with (folder / f"worker-{time.monotonic_ns()}").open("wb") as said:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
    try:
        yield process
    finally:
        stop(process)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("batches"), "--port", "0") as found:
        yield found


class TestOpenAI:
    def test_every_line_has_its_answer_in_order(self, server: Server) -> None:
        client = client_of(server)
        batch = until_over(client, begin(client, b"".join(line(number) for number in range(50))))
        assert batch.status == "completed"
        assert batch.request_counts is not None
        assert (batch.request_counts.total, batch.request_counts.completed) == (50, 50)
        found = rows(client, batch.output_file_id)
        assert [one["custom_id"] for one in found] == [f"row-{number}" for number in range(50)]
        assert batch.error_file_id is None

    def test_a_bad_row_is_an_error_in_its_place(self, server: Server) -> None:
        client = client_of(server)
        bad = {"model": "foal", "messages": [{"role": "user", "content": "A"}], "temperature": 9}
        batch = until_over(client, begin(client, line(0) + line(1, body=bad) + line(2)))
        assert batch.status == "completed"
        assert [one["custom_id"] for one in rows(client, batch.output_file_id)] == ["row-0", "row-2"]
        (error,) = rows(client, batch.error_file_id)
        assert error["custom_id"] == "row-1"
        assert error["response"]["status_code"] == 400  # type: ignore[index]

    def test_what_is_wrong_with_the_input_is_told_with_its_line(self, server: Server) -> None:
        client = client_of(server)
        batch = until_over(client, begin(client, line(0) + b"no JSON\n" + line(0)))
        assert batch.status == "failed"
        assert batch.errors is not None
        told = [(one.line, one.code) for one in batch.errors.data or ()]
        assert told == [(2, "invalid_json_line"), (3, "duplicate_custom_id")]

    def test_a_model_that_nobody_knows(self, server: Server) -> None:
        client = client_of(server)
        body = {"model": "no-such-model", "messages": [{"role": "user", "content": "A"}]}
        batch = until_over(client, begin(client, line(0, body=body)))
        assert batch.status == "failed"
        assert batch.errors is not None
        assert [one.code for one in batch.errors.data or ()] == ["model_not_found"]

    def test_a_cancelled_one_keeps_what_was_answered(self, server: Server) -> None:
        client = client_of(server)
        batch = begin(client, b"".join(line(number) for number in range(5000)))
        until(lambda: client.batches.retrieve(batch.id).request_counts.completed > 20, SECONDS)  # type: ignore[union-attr]
        began = time.monotonic()
        client.batches.cancel(batch.id)
        found = until_over(client, batch)
        assert found.status == "cancelled"
        assert time.monotonic() - began < 10
        done, left = rows(client, found.output_file_id), rows(client, found.error_file_id)
        assert len(done) + len(left) == 5000
        assert left[-1]["error"]["code"] == "batch_cancelled"  # type: ignore[index]

    def test_a_file_that_a_batch_reads_stays(self, server: Server) -> None:
        client = client_of(server)
        batch = begin(client, b"".join(line(number) for number in range(3000)))
        with pytest.raises(openai.ConflictError, match="which is not over"):
            client.files.delete(batch.input_file_id)
        client.batches.cancel(batch.id)
        until_over(client, batch)
        assert client.files.delete(batch.input_file_id).deleted


class TestKilled:
    def test_the_server(self, tmp_path: Path) -> None:
        count = 1000
        with serving(tmp_path) as first:
            client = client_of(first)
            batch = begin(client, b"".join(line(number) for number in range(count)))
            until(lambda: client.batches.retrieve(batch.id).request_counts.completed > 100, SECONDS)  # type: ignore[union-attr]
            os.kill(first.process.pid, signal.SIGKILL)
            first.process.wait(10)
        with serving(tmp_path) as second:
            client = client_of(second)
            assert client.batches.retrieve(batch.id).status == "in_progress"
            found = until_over(client, batch)
            assert found.status == "completed"
            ids = [one["custom_id"] for one in rows(client, found.output_file_id)]
            assert ids == [f"row-{number}" for number in range(count)]

    def test_one_of_two_workers(self, tmp_path: Path, postgresql: PostgreSql) -> None:
        count = 600
        place = ("--database-url", postgresql.empty(), "--data-dir", str(tmp_path / "data"))
        with serving(tmp_path, *place[:2], "--jobs", "0") as server:
            client = client_of(server)
            self._runs_out_of_time(server)
            with working(tmp_path, *place) as first, working(tmp_path, *place):
                batches = [begin(client, b"".join(line(number) for number in range(count))) for _ in range(2)]
                for batch in batches:
                    until(lambda: client.batches.retrieve(batch.id).request_counts.completed > 20, SECONDS)  # type: ignore[union-attr]  # noqa: B023
                first.kill()
                first.wait(10)
                for batch in batches:
                    found = until_over(client, batch)
                    assert found.status == "completed"
                    ids = [one["custom_id"] for one in rows(client, found.output_file_id)]
                    assert ids == [f"row-{number}" for number in range(count)]

    def _runs_out_of_time(self, server: Server) -> None:
        """What no worker takes up."""
        body = {
            "content": {"prompts": ["Hello"], "max_new_tokens": 4, "temperature": 0.0},
            "max_runtime_sec": 1,
        }
        body |= {"output_data_path": "late.json", "model_config": {"model": "paddock/foal", "labels": {}}}
        answer = httpx2.post(f"{server.url}/llm-engine/v1/llm/batch-completions", json=body)
        assert answer.status_code == 200, answer.text
        job = f"{server.url}/api/v1/jobs/{answer.json()['job_id']}"
        until(lambda: httpx2.get(job).json()["state"] == "expired", SECONDS)


class TestNotDeployed:
    def test_a_known_model_is_brought_up_and_let_go(self, tmp_path: Path) -> None:
        with serving(tmp_path) as server:
            client = client_of(server)
            # Its only deployment goes; the model itself is known as the bundled one.
            own = f"{server.url}/api/v1/deployments"
            assert httpx2.delete(f"{own}/paddock/foal").status_code == 200
            until(lambda: not httpx2.get(own).json()["data"], SECONDS)
            batch = until_over(client, begin(client, b"".join(line(number) for number in range(20))))
            assert batch.status == "completed"
            assert client.models.list().data == []
            until(lambda: not httpx2.get(own).json()["data"], SECONDS)
