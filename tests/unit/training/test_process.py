"""With real processes on the bundled model."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.unit.training.fine_tune import FOAL, Lines, finish, kill_at, learn, start, write_task

# PEFT asks for a property that transformers will rename.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")
OPTIONS: dict[str, Any] = {
    "lora_dropout": 0.2,
    "accumulation": 2,
    "packing": True,
    "warmup_steps": 2,
    "patience": 9,
    "weight_decay": 0.01,
    "seed": 7,
}


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Lines]:
    folder = write_task(tmp_path_factory.mktemp("unbroken"), **OPTIONS)
    status, said = finish(folder)
    assert status == 0
    return folder, said


def _adapter(folder: Path) -> bytes:
    return (folder / "result" / "adapter_model.safetensors").read_bytes()


def _of(said: Lines, kind: str) -> Lines:
    return [line for line in said if line["kind"] == kind]


class TestSaid:
    def test_begins_and_ends(self, unbroken: tuple[Path, Lines]) -> None:
        _, said = unbroken
        assert said[0]["kind"] == "began"
        assert (said[0]["step"], said[0]["steps"], said[0]["rows"], said[0]["validation_rows"]) == (
            0,
            12,
            24,
            6,
        )
        assert said[-1]["kind"] == "done"
        assert (said[-1]["step"], said[-1]["epoch"], said[-1]["stopped_early"]) == (12, 4.0, False)

    def test_has_each_step_at_first(self, unbroken: tuple[Path, Lines]) -> None:
        steps = _of(unbroken[1], "step")
        assert [line["step"] for line in steps] == list(range(1, 13))
        assert steps[0]["learning_rate"] == pytest.approx(1.5e-3)
        assert steps[-1]["seconds_left"] == 0
        assert steps[-1]["loss"] < steps[0]["loss"] / 1.5

    def test_has_evaluations_and_checkpoints(self, unbroken: tuple[Path, Lines]) -> None:
        folder, said = unbroken
        evaluated = _of(said, "evaluated")
        assert [line["step"] for line in evaluated] == [5, 10, 12]
        assert [line["name"] for line in _of(said, "saved")] == [f"step-{step:08}" for step in (3, 6, 9, 12)]
        assert sorted(path.name for path in (folder / "checkpoints").iterdir()) == [
            "step-00000009",
            "step-00000012",
        ]
        assert said[-1]["validation_loss"] == min(line["loss"] for line in evaluated)

    def test_is_an_adapter_for_the_base(self, unbroken: tuple[Path, Lines]) -> None:
        config = json.loads((unbroken[0] / "result" / "adapter_config.json").read_text(encoding="utf-8"))
        assert config["base_model_name_or_path"] == "paddock/foal"
        assert (config["peft_type"], config["r"], config["task_type"]) == ("LORA", 4, "CAUSAL_LM")
        assert sorted(path.name for path in (unbroken[0] / "result").iterdir()) == [
            "adapter_config.json",
            "adapter_model.safetensors",
        ]


class TestKilled:
    def test_comes_to_the_same_adapter(self, unbroken: tuple[Path, Lines], tmp_path: Path) -> None:
        folder = write_task(tmp_path / "killed", **OPTIONS)
        points = [
            lambda line: line["kind"] == "step" and line["step"] == 2,
            lambda line: line["kind"] == "evaluated" and line["step"] == 5,
            lambda line: line["kind"] == "saved" and line["step"] >= 6,
        ]
        began = [kill_at(folder, point)[0]["step"] for point in points]
        status, said = finish(folder)
        assert status == 0
        assert began[:2] == [0, 0]
        assert began[2] >= 3
        assert said[0]["step"] >= 6
        assert _adapter(folder) == _adapter(unbroken[0])
        for name in ("step", "training_loss", "validation_loss", "trained_tokens"):
            assert said[-1][name] == unbroken[1][-1][name], name


class TestEnding:
    def test_terminates_at_once_and_when_nobody_listens(self, tmp_path: Path) -> None:
        folder = write_task(tmp_path, rows=200, epochs=500)
        with start(folder) as process:
            _await_step(process)
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=5)
        assert process.returncode == -signal.SIGTERM
        with start(folder) as process:
            _await_step(process)
            assert process.stdout is not None
            process.stdout.close()
            assert process.wait(timeout=5) == 1

    def test_stops_early_with_the_best(self, tmp_path: Path) -> None:
        options: dict[str, Any] = {"patience": 2, "evaluate_every": 1, "epochs": 40, "learning_rate": 0.03}
        said = learn(write_task(tmp_path, **options, scheduler="constant"))
        evaluated = _of(said, "evaluated")
        assert said[-1]["stopped_early"]
        assert said[-1]["step"] < 120
        assert said[-1]["validation_loss"] == min(line["loss"] for line in evaluated) == evaluated[-3]["loss"]


class TestFull:
    def test_makes_a_whole_checkpoint(self, tmp_path: Path) -> None:
        from safetensors import safe_open

        folder = write_task(tmp_path, method="full", epochs=1, learning_rate=1e-3)
        said = learn(folder)
        assert said[-1]["kind"] == "done"
        assert said[0]["trainable"] == 2_164_416
        result = folder / "result"
        assert json.loads((result / "config.json").read_text(encoding="utf-8"))["dtype"] == "bfloat16"
        for name in (
            "tokenizer.json",
            "tokenizer_config.json",
            "chat_template.jinja",
            "generation_config.json",
        ):
            assert (result / name).read_bytes() == (FOAL / name).read_bytes()
        with safe_open(result / "model.safetensors", "pt") as made:
            with safe_open(FOAL / "model.safetensors", "pt") as base:
                assert sorted(made.keys()) == sorted(base.keys())
            assert {str(made.get_tensor(name).dtype) for name in made.keys()} == {"torch.bfloat16"}  # noqa: SIM118


class TestFailing:
    def test_says_that_it_diverged(self, tmp_path: Path) -> None:
        said = learn(write_task(tmp_path, learning_rate=1e3, epochs=15))
        assert said[-1]["kind"] == "failed"
        assert said[-1]["code"] == "diverged"
        assert "learning_rate" in said[-1]["message"]

    def test_says_that_memory_was_not_enough(self, tmp_path: Path) -> None:
        resource = pytest.importorskip("resource")
        folder = write_task(tmp_path, rows=1000, batch_size=1000, epochs=900)
        with start(folder) as process:
            assert process.stdout is not None
            assert json.loads(process.stdout.readline())["kind"] == "began"
            used = int(Path(f"/proc/{process.pid}/statm").read_text().split()[0]) * resource.getpagesize()
            limit = used + 50_000_000
            resource.prlimit(process.pid, resource.RLIMIT_AS, (limit, limit))
            out, _ = process.communicate(timeout=60)
        last = json.loads(out.splitlines()[-1])
        assert process.returncode == 1
        assert (last["kind"], last["code"]) == ("failed", "out_of_memory")
        assert "batch_size" in last["message"]

    @pytest.mark.parametrize(
        ("options", "code", "message"),
        [
            ({"device": "cuda:7"}, "no_device", "cuda:7"),
            ({"base": "/nowhere"}, "bad_model", "/nowhere"),
            ({"lora_targets": ["q_proj", "qkv"]}, "bad_model", "no linear layer 'qkv'.*v_proj"),
            ({"max_length": 12}, "bad_rows", "rows 1, 2, 3"),
        ],
    )
    def test_says_what_is_wrong(
        self, tmp_path: Path, options: dict[str, Any], code: str, message: str
    ) -> None:
        last = learn(write_task(tmp_path, **options))[-1]
        assert (last["kind"], last["code"]) == ("failed", code)
        assert re.search(message, last["message"])

    def test_does_without_a_task(self, tmp_path: Path) -> None:
        status, said = finish(tmp_path)
        assert (status, said[-1]["kind"], said[-1]["code"]) == (1, "failed", "internal")


class TestImport:
    def test_is_cheap(self) -> None:
        code = "import sys, paddock.training; print('torch' in sys.modules, 'numpy' in sys.modules)"
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
        said = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
        )
        assert said.stdout.split() == ["False", "False"]


def _await_step(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    while json.loads(process.stdout.readline())["kind"] != "step":
        pass
