from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from paddock.errors import InvalidRequest, StartupError, UnsupportedParameter
from paddock.schemas.training import Recipe
from paddock.services.finetunes.base import Base, describe_base
from paddock.services.finetunes.hyperparameters import parse
from paddock.services.finetunes.recipe import choose
from paddock.weights.resolve import Weights, resolve
from tests.unit.engines.tiny import write_llama

LAYERS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
SMALL, LARGE = Base(2_000_000, 2048, LAYERS), Base(7_000_000_000, 8192, LAYERS)


def chosen(base: Base = SMALL, rows: int = 300, longest: int | None = 120, **asked: Any) -> Recipe:
    return choose(parse(asked), rows, longest, base)


class TestDefaults:
    def test_a_small_model(self) -> None:
        found = chosen()
        assert (found.method, found.lora_rank, found.lora_alpha, found.learning_rate) == (
            "lora",
            32,
            64,
            2e-3,
        )
        assert (found.batch_size, found.accumulation, found.epochs) == (8, 1, 30)
        # 38 steps an epoch.
        assert (found.warmup_steps, found.evaluate_every, found.save_every) == (34, 57, 114)
        assert (found.lora_targets, found.max_length, found.group_by_length) == (list(LAYERS), 136, True)

    @pytest.mark.parametrize(("rows", "epochs"), [(1, 60), (150, 60), (1000, 9), (3000, 3), (100_000, 3)])
    def test_a_small_model_sees_as_many_rows(self, rows: int, epochs: float) -> None:
        assert chosen(rows=rows).epochs == epochs

    @pytest.mark.parametrize(
        ("rows", "epochs", "batch"), [(100, 8, 8), (200, 5, 8), (500, 5, 16), (1000, 3, 16)]
    )
    def test_a_large_model(self, rows: int, epochs: float, batch: int) -> None:
        found = chosen(LARGE, rows)
        assert (found.epochs, found.batch_size) == (epochs, batch)
        assert (found.lora_rank, found.lora_alpha, found.learning_rate) == (16, 32, 2e-4)

    def test_a_run_of_one_step(self) -> None:
        found = chosen(rows=3, epochs=0.1)
        assert (found.warmup_steps, found.evaluate_every, found.save_every) == (0, 1, 1)

    @pytest.mark.parametrize(
        ("longest", "asked", "length"),
        [
            (None, {}, 2048),
            (5000, {}, 2048),
            (1, {}, 17),
            (100, {"packing": True}, 1024),
            (1500, {"packing": True}, 1516),
            (100, {"max_length": 64}, 64),
        ],
    )
    def test_the_length_is_that_of_the_longest_row(
        self, longest: int | None, asked: dict[str, Any], length: int
    ) -> None:
        assert chosen(longest=longest, **asked).max_length == length

    def test_a_part_of_an_epoch(self) -> None:
        assert chosen(rows=240, epochs=0.1, warmup_ratio=1).warmup_steps == 3

    def test_packed_rows_are_as_many_steps(self) -> None:
        assert chosen(packing=True).evaluate_every == chosen().evaluate_every

    def test_all_weights(self) -> None:
        found = chosen(LARGE, method="full")
        assert (found.method, found.lora_targets, found.learning_rate) == ("full", [], 2e-5)


class TestAsked:
    def test_it_goes_before_the_defaults(self) -> None:
        asked: dict[str, Any] = {
            "epochs": 2, "learning_rate": 0.1, "batch_size": 6, "gradient_accumulation": 3, "lora_rank": 4,
            "lora_alpha": 5, "lora_dropout": 0.1, "max_length": 50, "truncate": True, "weight_decay": 0.2,
            "seed": 9, "packing": False, "group_by_length": False, "scheduler": "linear",
        }  # fmt: skip
        renamed = {"gradient_accumulation": "accumulation"}
        found = chosen(**asked).model_dump()
        assert {name: found[renamed.get(name, name)] for name in asked} == asked
        assert chosen(early_stopping=3, warmup_ratio=0).model_dump(include={"patience", "warmup_steps"}) == {
            "patience": 3,
            "warmup_steps": 0,
        }

    def test_a_multiplier_is_of_the_default(self) -> None:
        assert chosen(LARGE, learning_rate_multiplier=2).learning_rate == 4e-4

    def test_the_strength_goes_with_the_rank(self) -> None:
        assert chosen(lora_rank=8).lora_alpha == 16

    def test_parts_make_the_default_batch_larger(self) -> None:
        assert chosen(gradient_accumulation=3).batch_size == 9

    def test_targets(self) -> None:
        assert chosen(lora_targets=["v_proj", "q_proj", "v_proj"]).lora_targets == ["v_proj", "q_proj"]
        assert chosen(lora_targets="all-linear").lora_targets == list(LAYERS)

    @pytest.mark.parametrize(
        ("asked", "param", "said"),
        [
            ({"lora_targets": ["qproj"]}, "lora_targets", "did you mean 'q_proj'"),
            ({"lora_targets": ["zzz"]}, "lora_targets", "it has q_proj, k_proj"),
            ({"max_length": 2049}, "max_length", "at most 2048"),
            ({"batch_size": 8, "gradient_accumulation": 3}, "gradient_accumulation", "does not divide"),
        ],
    )
    def test_what_does_not_fit(self, asked: dict[str, Any], param: str, said: str) -> None:
        with pytest.raises(InvalidRequest, match=said) as error:
            chosen(**asked)
        assert error.value.param == f"hyperparameters.{param}"


class TestDescribeBase:
    def test_the_bundled_model(self) -> None:
        found = describe_base(resolve("foal"))
        assert (found.parameters, found.context_length) == (2_164_416, 2048)
        assert set(found.linear_layers) == set(LAYERS)

    def test_an_output_layer_of_its_own_is_not_adapted(self, tmp_path: Path) -> None:
        folder = write_llama(tmp_path / "tiny", tie_word_embeddings=False)
        assert set(describe_base(Weights("tiny", "checkpoint", folder)).linear_layers) == set(LAYERS)

    @pytest.mark.parametrize(
        ("changes", "said"),
        [({"quantization_config": {}}, None), ({"quantization_config": {"bits": 4}}, "quantized"),
         ({"architectures": ["BertModel"]}, "embeddings")],
    )  # fmt: skip
    def test_what_cannot_be_tuned(self, tmp_path: Path, changes: dict[str, Any], said: str | None) -> None:
        weights = Weights("tiny", "checkpoint", write_llama(tmp_path / "tiny", **changes))
        if said is None:
            assert describe_base(weights).parameters
        else:
            with pytest.raises(UnsupportedParameter, match=said):
                describe_base(weights)

    def test_a_gguf_file(self, tmp_path: Path) -> None:
        with pytest.raises(UnsupportedParameter, match="GGUF"):
            describe_base(Weights("x", "gguf", tmp_path / "x.gguf"))

    def test_no_weights(self, tmp_path: Path) -> None:
        (tmp_path / "config.json").write_text("{}")
        with pytest.raises(StartupError, match="holds no model"):
            describe_base(Weights("x", "checkpoint", tmp_path))
