"""Requests for fine-tunes say what is wrong with them, in both dialects; answers parse as they should."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from paddock.errors import InvalidRequest, UnsupportedParameter
from paddock.schemas import openai_fine_tuning as schemas
from paddock.schemas.llm_engine import CreateFineTuneRequest, GetFineTuneResponse
from paddock.schemas.openai_fine_tuning import CreateFineTuningJob

fine_tuning = pytest.importorskip("openai.types.fine_tuning")
jobs = pytest.importorskip("openai.types.fine_tuning.jobs")
job_create_params = pytest.importorskip("openai.types.fine_tuning.job_create_params")

LEAST: dict[str, Any] = {"model": "paddock/foal", "training_file": "file-1"}
WANDB: dict[str, Any] = {"type": "wandb", "wandb": {"project": "stable", "tags": ["hay"]}}
JOB: dict[str, Any] = {
    "id": "ftjob-1",
    "object": "fine_tuning.job",
    "created_at": 1,
    "error": {"code": "bad_rows", "message": "line 3 is no JSON", "param": "training_file"},
    "fine_tuned_model": "ft:foal:local:hay:1",
    "finished_at": 3,
    "hyperparameters": {"n_epochs": 3, "batch_size": "auto", "learning_rate_multiplier": 0.5, "rank": 8},
    "model": "paddock/foal",
    "organization_id": "local",
    "result_files": ["file-2"],
    "seed": 0,
    "status": "failed",
    "trained_tokens": 100,
    "training_file": "file-1",
    "validation_file": None,
    "estimated_finish": None,
    "integrations": [WANDB],
    "metadata": {"team": "stable"},
    "method": {"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 3}}},
}
EVENT: dict[str, Any] = {
    "id": "ftevent-1",
    "object": "fine_tuning.job.event",
    "created_at": 1,
    "level": "info",
    "message": "Step 1: training loss 2.1",
    "data": {"step": 1, "train_loss": 2.1},
    "type": "metrics",
}
CHECKPOINT: dict[str, Any] = {
    "id": "ftckpt-1",
    "object": "fine_tuning.job.checkpoint",
    "created_at": 1,
    "fine_tuned_model_checkpoint": "ft:foal:local:hay:1:ckpt-step-10",
    "fine_tuning_job_id": "ftjob-1",
    "metrics": {"step": 10, "train_loss": 2.1, "full_valid_loss": 2.0},
    "step_number": 10,
}


def wrong(kind: Any, **fields: Any) -> list[str]:
    """Where pydantic finds fault, dotted."""
    with pytest.raises(ValidationError) as caught:
        kind.model_validate_json(json.dumps(fields))
    return [".".join(str(part) for part in detail["loc"]) for detail in caught.value.errors()]


def asked(**fields: Any) -> CreateFineTuningJob:
    return CreateFineTuningJob.model_validate_json(json.dumps({**LEAST, **fields}))


class TestLlmEngine:
    @pytest.mark.parametrize("suffix", ["a", "my-Model-2", "x" * 28])
    def test_suffixes(self, suffix: str) -> None:
        assert CreateFineTuneRequest(**LEAST, suffix=suffix).suffix == suffix

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("model", None),
            ("model", ""),
            ("training_file", None),
            ("training_file", 3),
            ("validation_file", ""),
            ("hyperparameters", [1]),
            ("wandb_config", "key"),
            ("suffix", ""),
            ("suffix", "x" * 29),
            ("suffix", "my model"),
            ("suffix", "é"),
            ("suffix", "a\n"),
        ],
    )
    def test_wrong_values(self, field: str, value: Any) -> None:
        assert wrong(CreateFineTuneRequest, **{**LEAST, field: value}) == [field]

    def test_unknown_fields_are_kept(self) -> None:
        request = CreateFineTuneRequest.model_validate({**LEAST, "method": "dpo", "seed": None})
        assert request.model_extra == {"method": "dpo"}

    def test_hyperparameters_pass_as_they_are(self) -> None:
        given = {"lr": "fast", "peft_config": {"r": None}}
        assert CreateFineTuneRequest(**LEAST, hyperparameters=given).hyperparameters == given

    def test_both_ages(self) -> None:
        older = GetFineTuneResponse.model_validate({"id": "ft-1"})
        assert (older.fine_tuned_model, older.status) == (None, None)
        assert wrong(GetFineTuneResponse, id="ft-1", status="STARTED") == ["status"]


class TestCreate:
    def test_it_knows_every_parameter(self) -> None:
        assert set(CreateFineTuningJob.model_fields) == set(job_create_params.JobCreateParams.__annotations__)
        assert set(schemas.Method.model_fields) == set(job_create_params.Method.__annotations__)
        wandb = job_create_params.IntegrationWandb.__annotations__
        assert set(schemas.WandbSettings.model_fields) == set(wandb)

    def test_nulls(self) -> None:
        names = set(CreateFineTuningJob.model_fields) - set(LEAST)
        assert asked(**dict.fromkeys(names)).model_dump(exclude_none=True) == LEAST

    @pytest.mark.parametrize(
        ("field", "value", "where"),
        [
            ("model", None, "model"),
            ("training_file", "", "training_file"),
            ("validation_file", 3, "validation_file"),
            ("suffix", "", "suffix"),
            ("suffix", "x" * 65, "suffix"),
            ("seed", -1, "seed"),
            ("seed", 2**31, "seed"),
            ("seed", "1", "seed"),
            ("hyperparameters", "auto", "hyperparameters"),
            ("method", "supervised", "method"),
            ("method", {"type": "magic"}, "method.type"),
            ("method", {"supervised": {}}, "method.type"),
            ("method", {"type": "supervised", "supervised": {"epochs": 3}}, "method.supervised.epochs"),
            ("integrations", [{"type": "mlflow", "wandb": {"project": "p"}}], "integrations.0.type"),
            ("integrations", [{"type": "wandb", "wandb": {}}], "integrations.0.wandb.project"),
            ("metadata", {"team": 3}, "metadata.team"),
            ("metadata", {str(number): "" for number in range(17)}, "metadata"),
            ("n_epochs", 3, "n_epochs"),
        ],
    )
    def test_wrong_values(self, field: str, value: Any, where: str) -> None:
        assert wrong(CreateFineTuningJob, **{**LEAST, field: value}) == [where]

    def test_it_has_a_json_schema(self) -> None:
        assert set(CreateFineTuningJob.model_json_schema()["required"]) == set(LEAST)


class TestMethod:
    def test_hyperparameters_by_either_name(self) -> None:
        given = {"n_epochs": 3, "batch_size": "auto"}
        newer = asked(method={"type": "supervised", "supervised": {"hyperparameters": given}})
        assert newer.supervised_hyperparameters() == ("method.supervised.hyperparameters", given)
        assert asked(hyperparameters=given).supervised_hyperparameters() == ("hyperparameters", given)
        # A method that says nothing of them leaves the older name.
        for method in ({"type": "supervised"}, {"type": "supervised", "supervised": {}}):
            beside = asked(hyperparameters=given, method=method)
            assert beside.supervised_hyperparameters() == ("hyperparameters", given)
        assert asked().supervised_hyperparameters() == ("hyperparameters", {})

    def test_both_names_at_once(self) -> None:
        method = {"type": "supervised", "supervised": {"hyperparameters": {}}}
        with pytest.raises(InvalidRequest, match="not both") as caught:
            asked(hyperparameters={"n_epochs": 3}, method=method).supervised_hyperparameters()
        assert caught.value.param == "hyperparameters"

    @pytest.mark.parametrize("kind", ["dpo", "reinforcement"])
    def test_other_methods_are_refused(self, kind: str) -> None:
        with pytest.raises(UnsupportedParameter, match=f'"supervised": fine-tuning by "{kind}"') as caught:
            asked(
                method={"type": kind, kind: {"hyperparameters": {"n_epochs": 1}}}
            ).supervised_hyperparameters()
        assert caught.value.param == "method.type"
        with pytest.raises(UnsupportedParameter, match=f"method.{kind} must be left out") as caught:
            asked(method={"type": "supervised", kind: {}}).supervised_hyperparameters()
        assert caught.value.param == f"method.{kind}"


class TestAnswers:
    @pytest.mark.parametrize(
        ("mine", "their", "example"),
        [
            (schemas.FineTuningJob, fine_tuning.FineTuningJob, JOB),
            (schemas.FineTuningJobEvent, fine_tuning.FineTuningJobEvent, EVENT),
            (schemas.FineTuningJobCheckpoint, jobs.FineTuningJobCheckpoint, CHECKPOINT),
        ],
    )
    def test_openai_reads_them(self, mine: Any, their: Any, example: dict[str, Any]) -> None:
        assert set(mine.model_fields) == set(their.model_fields)
        answer = mine.model_validate(example)
        assert answer.model_dump(mode="json", exclude_unset=True) == example
        # `model_validate` checks every field, which a client does not.
        read = their.model_validate_json(answer.model_dump_json())
        assert read.model_dump(mode="json", exclude_unset=True) == json.loads(answer.model_dump_json())

    def test_what_has_not_happened_is_null(self) -> None:
        names = ("id", "created_at", "model", "organization_id", "result_files", "seed", "training_file")
        job = schemas.FineTuningJob.model_validate(
            {**{name: JOB[name] for name in names}, "status": "queued", "hyperparameters": {}}
        )
        written = json.loads(job.model_dump_json())
        assert set(written) == set(JOB)
        assert written["object"] == "fine_tuning.job"
        assert [written[name] for name in ("error", "fine_tuned_model", "finished_at")] == [None] * 3
        assert fine_tuning.FineTuningJob.model_validate(written).hyperparameters.n_epochs is None

    def test_pages(self) -> None:
        pages: list[tuple[Any, dict[str, Any]]] = [
            (schemas.FineTuningJobPage, JOB),
            (schemas.FineTuningJobEventPage, EVENT),
            (schemas.FineTuningJobCheckpointPage, CHECKPOINT),
        ]
        for kind, example in pages:
            page = kind.model_validate({"data": [example], "has_more": False})
            written = page.model_dump(mode="json", exclude_unset=True)
            assert written == {"data": [example], "has_more": False}
            assert page.object == "list"
