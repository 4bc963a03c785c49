"""The published LLM Engine client, unmodified, against a real server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.server import serving

SCRIPT = Path(__file__).with_name("published_llm_engine.py")
CLIENT = Path(sys.prefix) / "scale-llm-engine==0.0.0b45"


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What each part of the script gave."""
    assert (CLIENT / "llmengine").is_dir(), "`make install` puts the client there"
    with serving(tmp_path_factory.mktemp("published")) as server:
        environment = {
            **os.environ,
            "LLM_ENGINE_BASE_PATH": f"{server.url}/llm-engine/",
            "PYTHONPATH": str(CLIENT),
            # Its import asks the internet for a newer version otherwise, and its types are outdated.
            "LLM_ENGINE_DISABLE_VERSION_CHECK": "1",
            "PYTHONWARNINGS": "ignore",
        }
        process = subprocess.run(
            [sys.executable, str(SCRIPT)],
            check=False,
            env=environment,
            capture_output=True,
            text=True,
            timeout=110,
        )
    assert process.returncode == 0, process.stderr
    answer: dict[str, Any] = json.loads(process.stdout)
    return answer


def test_create(found: dict[str, Any]) -> None:
    made = found["create"]
    assert made.pop("task")
    assert "stable/pony" in made.pop("listed")
    assert made == {
        "model": "paddock/foal",
        "framework": "vllm",
        "available": 1,
        "public": True,
        "labels": {"team": "stable"},
        "engine": "llama.cpp",
    }


def test_completions(found: dict[str, Any]) -> None:
    said = found["complete"]
    assert said["text"].startswith(" Paris")
    assert said["counts"] == said["last_counts"] == [7, 12]
    assert "".join(said["tokens"]) == "".join(said["pieces"]) == said["text"]
    assert said["piece_tokens"] == said["tokens"]
    assert said["finished"] == [False] * 11 + [True]
    assert found["complete_in_a_loop"] == [said["text"], said["text"]]


def test_what_guides_them(found: dict[str, Any]) -> None:
    guided = found["guide"]
    assert guided["guided_regex"].startswith("Sean")
    assert guided["guided_choice"] in ("dog", "cat")
    assert guided["guided_grammar"] == "John"
    assert set(json.loads(guided["guided_json"])) == {"tame"}
    assert found["stop_at"] == " Paris."


def test_errors(found: dict[str, Any]) -> None:
    kinds = {name: raised[0] for name, raised in found["errors"].items()}
    assert kinds == {
        "taken": "BadRequestError",
        "unknown model": "BadRequestError",
        "unknown endpoint": "NotFoundError",
        "unknown to get": "NotFoundError",
        "min over max": "BadRequestError",
        "gpus": "BadRequestError",
        "quantize": "BadRequestError",
        "regex": "BadRequestError",
    }
    assert "'stable/pony' is taken" in found["errors"]["taken"][1]


def test_changes(found: dict[str, Any]) -> None:
    changed = found["change"]
    assert (changed["per_worker"], changed["stopped"], changed["deleted"]) == (5, ["READY", 0], True)
    assert "stable/pony" not in changed["left"]
