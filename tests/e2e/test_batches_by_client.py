"""Batches and files by the published LLM Engine client, unmodified, and by ours: the same script for both."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from paddock.schemas.llm_engine import ListBatchCompletionV2Response
from tests.e2e.server import Server, serving

SCRIPT = Path(__file__).with_name("batches_by_client.py")
PUBLISHED = Path(sys.prefix) / "scale-llm-engine==0.0.0b45"


@pytest.fixture(scope="module", params=["llmengine", "paddock.clients.llm_engine"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A server, and what each part of the script gave on it."""
    assert (PUBLISHED / "llmengine").is_dir(), "`make install` puts the client there"
    with serving(tmp_path_factory.mktemp("batches")) as running:
        environment = {
            **os.environ,
            "LLM_ENGINE_BASE_PATH": f"{running.url}/llm-engine/",
            "PYTHONPATH": str(PUBLISHED),
            # Its import asks the internet for a newer version otherwise, and its types are outdated.
            "LLM_ENGINE_DISABLE_VERSION_CHECK": "1",
            "PYTHONWARNINGS": "ignore",
        }
        process = subprocess.run(
            [sys.executable, str(SCRIPT), request.param],
            check=False,
            env=environment,
            capture_output=True,
            text=True,
            timeout=110,
        )
        assert process.returncode == 0, process.stderr
        yield running, json.loads(process.stdout)


@pytest.fixture(scope="module")
def found(server: tuple[Server, dict[str, Any]]) -> dict[str, Any]:
    return server[1]


def test_prompts_inline(found: dict[str, Any]) -> None:
    said = found["v1_inline"]
    job = said["job"]
    assert (job["job_id"], job["status"], job["output_data_path"]) == (
        said["job_id"],
        "completed",
        "v1.json",
    )
    assert job["model_config"]["model"] == "foal"
    assert job["completed_at"] >= job["created_at"]
    texts = [text for text, _, _ in said["output"]]
    assert texts[0].startswith(" Paris")
    assert texts[0] == texts[2] != texts[1]
    assert all(0 < tokens <= 6 for _, tokens, _ in said["output"])
    assert said["output"][0][2]["log_prob"] <= 0


def test_prompts_from_an_uploaded_file(found: dict[str, Any]) -> None:
    said = found["v1_from_a_file"]
    assert said["file"] == ["prompts.json", True, True]
    assert said["output"] == [text for text, _, _ in found["v1_inline"]["output"]]
    assert said["deleted"] == [True, "NotFoundError"]


def test_the_second_version(found: dict[str, Any]) -> None:
    chat = found["v2_chat"]
    status, path, model, completed = chat["made"]
    assert status in ("queued", "running")
    assert (path, model, completed) == ("v2-chat.json", "foal", None)
    assert chat["objects"] == ["chat.completion"] * 2
    assert "capital of France" in chat["said"][0]
    assert chat["logprobs"] == [True, True]
    assert found["v2_completions"]["objects"] == ["text_completion"] * 3
    texts = [text for text, _, _ in found["v1_inline"]["output"]]
    assert found["v2_completions"]["said"] == texts
    assert found["v2_prompts"] == texts


def test_cancel(found: dict[str, Any]) -> None:
    assert found["cancel"] == {"answer": {"success": True}, "status": "cancelled"}


def test_errors(found: dict[str, Any]) -> None:
    kinds = {name: raised[0] for name, raised in found["errors"].items()}
    assert kinds.pop("unknown model") in ("BadRequestError", "NotFoundError")
    assert kinds.pop("unknown input") in ("BadRequestError", "NotFoundError")
    assert kinds == {
        "taken output": "BadRequestError",
        "forbidden output": "BadRequestError",
        "forbidden input": "BadRequestError",
        "both inputs": "BadRequestError",
        "unknown job": "NotFoundError",
        "unknown file": "NotFoundError",
    }


@pytest.mark.parametrize("path", ["v1/llm/batch-completions", "v2/batch-completions"])
def test_list(server: tuple[Server, dict[str, Any]], path: str) -> None:
    running, found = server
    answer = httpx2.get(f"{running.url}/llm-engine/{path}")
    jobs = ListBatchCompletionV2Response.model_validate_json(answer.content).jobs
    assert found["v1_inline"]["job_id"] in [job.job_id for job in jobs]
    assert sorted(str(job.status) for job in jobs) == ["cancelled"] + ["completed"] * 5
