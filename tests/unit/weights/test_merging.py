from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from paddock.errors import StartupError
from paddock.weights.merging import AT_ONCE, plan_merge
from paddock.weights.numbers import from_float32, open_tensor, to_float32
from paddock.weights.safetensors_header import INDEX, SINGLE, Tensor, read_index
from tests.unit.engines.lora import DOWN, KEY, QUERY, lora_tensors, write_lora
from tests.unit.engines.tiny import write_llama, write_safetensors


def merge(base: Path, adapter: Path, folder: Path) -> dict[str, Tensor]:
    """The tensors of the merged checkpoint, which is written into a new folder."""
    folder.mkdir()
    for file in plan_merge(base, adapter):
        (folder / file.name).write_bytes(b"".join(file.read()))
    return read_index(folder)


def numbers(tensor: Tensor) -> Any:
    return to_float32(np.asarray(open_tensor(tensor)), tensor.dtype)


def rewrite(base: Path, dtype: str) -> None:
    """In another type, as two shards."""
    tensors = {
        name: (dtype, from_float32(numbers(tensor), dtype)) for name, tensor in read_index(base).items()
    }
    names = list(tensors)
    shards = {"model-1.safetensors": names[::2], "model-2.safetensors": names[1::2]}
    for shard, held in shards.items():
        write_safetensors(base / shard, {name: tensors[name] for name in held})
    where = {name: shard for shard, held in shards.items() for name in held}
    (base / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": where}))
    (base / SINGLE).unlink()


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return write_llama(tmp_path / "base")


class TestContent:
    @pytest.mark.parametrize("dtype", ["BF16", "F16", "F32"])
    @pytest.mark.parametrize("at_once", [AT_ONCE, 1])
    def test_it_is_what_peft_adds_in_the_types_and_files_of_the_base(
        self, at_once: int, dtype: str, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("paddock.weights.merging.AT_ONCE", at_once * 7)
        if dtype != "BF16":
            rewrite(base, dtype)
        halves = lora_tensors(ranks={KEY: 2})
        adapter = write_lora(tmp_path / "lora", halves, rank_pattern={"k_proj": 2}, alpha_pattern={DOWN: 3})
        before, after = read_index(base), merge(base, adapter, tmp_path / "merged")
        assert {path.name for path in base.iterdir()} == {
            path.name for path in (tmp_path / "merged").iterdir()
        }
        for name, tensor in before.items():
            wanted = np.asarray(open_tensor(tensor))
            module = name.removesuffix(".weight")
            if module in (QUERY, KEY, DOWN):
                scale = {QUERY: 8 / 4, KEY: 8 / 2, DOWN: 3 / 4}[module]
                a, b = (halves[f"base_model.model.{module}.lora_{half}.weight"][1] for half in "AB")
                exact = numbers(tensor) + np.float32(scale) * b @ a
                step = {"BF16": 2**-8, "F16": 2**-11, "F32": 2**-20}[dtype]
                np.testing.assert_allclose(numbers(after[name]), exact, rtol=step, atol=1e-5)
            else:
                assert np.array_equal(np.asarray(open_tensor(after[name])), wanted)
            assert (after[name].dtype, after[name].shape, after[name].file.name) == (
                tensor.dtype,
                tensor.shape,
                tensor.file.name,
            )

    def test_what_lies_beside_the_weights_comes_along_and_nothing_else(
        self, base: Path, tmp_path: Path
    ) -> None:
        for name in ("generation_config.json", "chat_template.jinja", "tokenizer.model"):
            (base / name).write_text(name)
        for name in ("optimizer.pt", "notes.txt", "trainer_state.json"):
            (base / name).write_text(name)
        merge(base, write_lora(tmp_path / "lora"), tmp_path / "merged")
        assert {path.name for path in (tmp_path / "merged").iterdir()} == {
            "config.json",
            "tokenizer.json",
            "tokenizer_config.json",
            "model.safetensors",
            "generation_config.json",
            "chat_template.jinja",
            "tokenizer.model",
        }
        assert (tmp_path / "merged" / "tokenizer.model").read_text() == "tokenizer.model"


class TestRefusals:
    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"use_dora": True}, "use_dora asks for DoRA"),
            ({"fan_in_fan_out": True}, "fan_in_fan_out asks for transposed layers"),
            ({"bias": "all"}, "only 'none'"),
            ({"r": 5}, "the base and rank 5 imply"),
        ],
    )
    def test_what_the_config_asks_for(
        self, changes: dict[str, Any], reason: str, base: Path, tmp_path: Path
    ) -> None:
        with pytest.raises(StartupError, match=reason):
            plan_merge(base, write_lora(tmp_path / "lora", **changes))

    @pytest.mark.parametrize(
        ("module", "reason"),
        [
            ("lm_head", "its lm_head is the embeddings"),
            ("model.layers.7.mlp.up_proj", "no linear layer of this base"),
            ("model.norm", "no linear layer of this base"),
        ],
    )
    def test_layers_that_the_base_has_not(self, module: str, reason: str, base: Path, tmp_path: Path) -> None:
        name = f"base_model.model.{module}.lora_A.weight"
        halves = {**lora_tensors(), name: ("F32", np.zeros((4, 64), np.float32))}
        with pytest.raises(StartupError, match=reason):
            plan_merge(base, write_lora(tmp_path / "lora", halves))

    def test_numbers_that_do_not_fit(self, base: Path, tmp_path: Path) -> None:
        rewrite(base, "F16")
        halves = lora_tensors()
        halves[f"base_model.model.{DOWN}.lora_A.weight"][1][0, 0] = 1e6
        adapter = write_lora(tmp_path / "lora", halves)
        with pytest.raises(StartupError, match=r"down_proj\.weight: a weight is beyond 65504"):
            merge(base, adapter, tmp_path / "merged")

    def test_a_training_that_failed(self, base: Path, tmp_path: Path) -> None:
        halves = lora_tensors()
        halves[f"base_model.model.{DOWN}.lora_A.weight"][1][0, 0] = np.nan
        with pytest.raises(StartupError, match="not finite"):
            merge(base, write_lora(tmp_path / "lora", halves), tmp_path / "merged")

    def test_a_base_of_other_numbers(self, base: Path, tmp_path: Path) -> None:
        tensors = {
            name: ("U8", np.zeros(tensor.shape, np.uint8)) for name, tensor in read_index(base).items()
        }
        write_safetensors(base / SINGLE, tensors)
        with pytest.raises(StartupError, match="has type U8"):
            plan_merge(base, write_lora(tmp_path / "lora"))
