"""Fine-tunes and downloads have the published client's names, and each side reads what the other writes."""

from __future__ import annotations

import inspect
import json
import os
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest

import paddock.clients.llm_engine as ours

# It cannot be installed beside the newer openai package.
sys.path.append(str(Path(sys.prefix) / "scale-llm-engine==0.0.0b45"))
# Its import asks the internet for a newer version otherwise.
os.environ["LLM_ENGINE_DISABLE_VERSION_CHECK"] = "1"
with warnings.catch_warnings():
    # It builds its types with what its dependencies call outdated.
    warnings.simplefilter("ignore")
    published = pytest.importorskip("llmengine")
    theirs = pytest.importorskip("llmengine.data_types")

ADDED = {"GetFineTuneResponse": {"model", "suffix", "progress", "reason"}}
EVENT = {"timestamp": 1.5, "message": "{'loss': 2.1}", "level": "info"}
JOB = {"id": "ft-1", "fine_tuned_model": None, "status": "RUNNING"}


@pytest.mark.parametrize(
    "name",
    [
        "CancelFineTuneResponse",
        "CreateFineTuneRequest",
        "CreateFineTuneResponse",
        "GetFineTuneEventsResponse",
        "GetFineTuneResponse",
        "LLMFineTuneEvent",
        "ListFineTunesResponse",
        "ModelDownloadRequest",
        "ModelDownloadResponse",
    ],
)
def test_fields_and_defaults(name: str) -> None:
    mine, their = getattr(ours, name).model_fields, getattr(theirs, name).__fields__
    assert set(mine) - ADDED.get(name, set()) == set(their)
    for field, found in their.items():
        if not found.required:
            assert mine[field].get_default() == found.get_default()
    assert not any(mine[field].is_required() for field in ADDED.get(name, ()))


def test_statuses() -> None:
    named = [(each.name, each.value) for each in theirs.BatchJobStatus]
    assert [(each.name, each.value) for each in ours.BatchJobStatus] == named


def test_names_of_the_package() -> None:
    assert set(published.__all__) <= set(ours.__all__)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("FineTune", "cancel"),
        ("FineTune", "create"),
        ("FineTune", "get"),
        ("FineTune", "get_events"),
        ("FineTune", "list"),
        ("Model", "download"),
    ],
)
def test_parameters(kind: str, name: str) -> None:
    their = inspect.signature(getattr(getattr(published, kind), name)).parameters
    mine = inspect.signature(getattr(getattr(ours, kind), name)).parameters
    assert list(mine) == [*their, "request_headers", "timeout"]
    assert [mine[each].default for each in their] == [each.default for each in their.values()]


def test_what_it_sends() -> None:
    least = theirs.CreateFineTuneRequest(model="foal", training_file="file-1")
    request = ours.CreateFineTuneRequest.model_validate_json(json.dumps(least.dict()))
    # Its nulls count as not sent.
    assert request.model_fields_set == {"model", "training_file"}
    fields = {
        "model": "foal",
        "training_file": "file-1",
        "validation_file": "file-2",
        "hyperparameters": {"epochs": 3, "peft_config": {"r": 8}},
        "wandb_config": {"api_key": "secret"},
        "suffix": "hay",
    }
    sent = json.dumps(theirs.CreateFineTuneRequest(**fields).dict())
    assert ours.CreateFineTuneRequest.model_validate_json(sent).model_dump() == fields
    asked = json.dumps(theirs.ModelDownloadRequest(model_name="pony", download_format=None).dict())
    assert ours.ModelDownloadRequest.model_validate_json(asked).download_format == "hugging_face"


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("CancelFineTuneResponse", {"success": True}),
        ("CreateFineTuneResponse", {"id": "ft-1"}),
        ("GetFineTuneEventsResponse", {"events": [EVENT, {**EVENT, "timestamp": None}]}),
        ("GetFineTuneResponse", JOB),
        ("ListFineTunesResponse", {"jobs": [JOB]}),
        ("ModelDownloadResponse", {"urls": {"config.json": "http://stable.example/1"}}),
    ],
)
def test_what_it_reads(name: str, fields: dict[str, Any]) -> None:
    answer = getattr(ours, name).model_validate(fields).model_dump_json()
    assert json.loads(getattr(theirs, name).parse_raw(answer).json()) == fields


def test_it_passes_over_what_ours_says_more() -> None:
    answer = ours.GetFineTuneResponse.model_validate({**JOB, "progress": 0.5, "suffix": "hay", "eta": 3})
    assert json.loads(theirs.GetFineTuneResponse.parse_raw(answer.model_dump_json()).json()) == JOB
