from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gguf import GGUFReader

from paddock.engines.llama_cpp.gguf.adapter import write_adapter
from paddock.engines.llama_cpp.gguf.writer import interleave
from paddock.errors import StartupError
from tests.unit.engines.lora import DOWN, KEY, QUERY, lora_tensors, write_lora
from tests.unit.engines.tiny import llama_config

Array = np.ndarray[Any, Any]
NAMES = {QUERY: "blk.0.attn_q.weight", KEY: "blk.1.attn_k.weight", DOWN: "blk.1.ffn_down.weight"}
HEADS = {QUERY: 4, KEY: 2}


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return write_base(tmp_path / "base")


def write_base(folder: Path, **changes: Any) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(llama_config(**changes)))
    return folder


class Converted:
    """What llama.cpp adds to each tensor, of a file on a disk."""

    def __init__(self, path: Path) -> None:
        reader = GGUFReader(path)
        self.values = {name: field.contents() for name, field in reader.fields.items()}
        self.names = [tensor.name for tensor in reader.tensors]
        self.types = {tensor.tensor_type.name for tensor in reader.tensors}
        self._numbers = {tensor.name: np.array(tensor.data) for tensor in reader.tensors}

    def delta(self, module: str) -> Array:
        a, b = (self._numbers[f"{NAMES[module]}.lora_{half}"] for half in "ab")
        return np.asarray(b @ a * (self.values["adapter.lora.alpha"] / b.shape[1]))


def convert(folder: Path, base: Path, target: Path) -> Converted:
    write_adapter(folder, base, target)
    return Converted(target)


def halves(tensors: dict[str, tuple[str, Array]], module: str) -> tuple[Array, Array]:
    a, b = (tensors[f"base_model.model.{module}.lora_{half}.weight"][1] for half in "AB")
    return a, b


def reordered(delta: Array, module: str) -> Array:
    return delta[interleave(len(delta), HEADS[module])] if module in HEADS else delta


class TestContent:
    def test_it_is_what_llama_cpp_loads(self, base: Path, tmp_path: Path) -> None:
        found = convert(write_lora(tmp_path / "lora"), base, tmp_path / "a.gguf")
        assert found.values["general.type"] == "adapter"
        assert found.values["general.architecture"] == "llama"
        assert found.values["adapter.type"] == "lora"
        assert found.values["adapter.lora.alpha"] == 8
        assert found.names == [f"{name}.lora_{half}" for name in NAMES.values() for half in "ab"]
        assert found.types == {"F32"}

    def test_it_adds_what_peft_adds_in_the_order_of_the_base(self, base: Path, tmp_path: Path) -> None:
        tensors = lora_tensors()
        found = convert(write_lora(tmp_path / "lora", tensors), base, tmp_path / "a.gguf")
        for module in NAMES:
            a, b = halves(tensors, module)
            np.testing.assert_allclose(
                found.delta(module), reordered(b @ a * 2, module), rtol=1e-5, atol=1e-5
            )

    def test_only_llamas_rows_are_reordered(self, tmp_path: Path) -> None:
        base = write_base(tmp_path / "base", architectures=["Qwen3ForCausalLM"])
        tensors = lora_tensors()
        found = convert(write_lora(tmp_path / "lora", tensors), base, tmp_path / "a.gguf")
        assert found.values["general.architecture"] == "qwen3"
        a, b = halves(tensors, QUERY)
        np.testing.assert_allclose(found.delta(QUERY), b @ a * 2, rtol=1e-5, atol=1e-5)

    @pytest.mark.parametrize(
        ("changes", "scalings"),
        [
            ({"use_rslora": True}, {QUERY: 8 / math.sqrt(4), KEY: 8 / math.sqrt(4), DOWN: 8 / math.sqrt(4)}),
            ({"rank_pattern": {"k_proj": 2}}, {QUERY: 8 / 4, KEY: 8 / 2, DOWN: 8 / 4}),
            (
                {"rank_pattern": {"k_proj": 2}, "use_rslora": True},
                {QUERY: 8 / math.sqrt(4), KEY: 8 / math.sqrt(2), DOWN: 8 / math.sqrt(4)},
            ),
            ({"alpha_pattern": {"layers.1..*": 3}}, {QUERY: 8 / 4, KEY: 3 / 4, DOWN: 3 / 4}),
            ({"lora_alpha": -0.5}, {QUERY: -0.5 / 4, KEY: -0.5 / 4, DOWN: -0.5 / 4}),
        ],
    )
    def test_every_layer_is_scaled_as_peft_scales_it(
        self, changes: dict[str, Any], scalings: dict[str, float], base: Path, tmp_path: Path
    ) -> None:
        tensors = lora_tensors(ranks={KEY: 2} if "rank_pattern" in changes else {})
        found = convert(write_lora(tmp_path / "lora", tensors, **changes), base, tmp_path / "a.gguf")
        for module, scaling in scalings.items():
            a, b = halves(tensors, module)
            np.testing.assert_allclose(
                found.delta(module), reordered(b @ a * scaling, module), rtol=1e-5, atol=1e-5
            )

    def test_sixteen_bits_are_widened_without_loss(self, base: Path, tmp_path: Path) -> None:
        tensors = lora_tensors([DOWN])
        short = {
            name: ("BF16", (n.view(np.uint32) >> 16).astype(np.uint16)) for name, (_, n) in tensors.items()
        }
        exact = {
            name: ("F32", (n.astype(np.uint32) << 16).view(np.float32)) for name, (_, n) in short.items()
        }
        found = convert(write_lora(tmp_path / "short", short), base, tmp_path / "a.gguf")
        wanted = convert(write_lora(tmp_path / "exact", exact), base, tmp_path / "b.gguf")
        np.testing.assert_array_equal(found.delta(DOWN), wanted.delta(DOWN))


class TestRefusals:
    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"peft_type": "IA3"}, "peft_type is 'IA3'; only 'LORA'"),
            ({"use_dora": True}, "use_dora asks for DoRA"),
            ({"modules_to_save": ["lm_head"]}, "modules_to_save asks for whole modules"),
            ({"trainable_token_indices": [1]}, "trainable_token_indices"),
            ({"alora_invocation_tokens": [1]}, "aLoRA"),
            ({"bias": "all"}, "bias is 'all'; only 'none'"),
            ({"lora_bias": True}, "lora_bias"),
            ({"init_lora_weights": "pissa"}, "'pissa', which changes the base itself"),
            ({"r": 0}, "r is 0"),
            ({"r": 2.5}, r"r is 2\.5"),
            ({"lora_alpha": 0}, "lora_alpha is 0"),
            ({"lora_alpha": "8"}, "lora_alpha is '8'"),
            ({"lora_alpha": True}, "lora_alpha is True"),
            ({"alpha_pattern": {"(": 1}}, "alpha_pattern cannot be read"),
            ({"rank_pattern": {"q_proj": "x"}}, "rank_pattern cannot be read"),
            ({"r": 5}, r"shape \(4, 64\), but the base and rank 5 imply \(5, 64\)"),
        ],
    )
    def test_what_the_config_asks_for(
        self, changes: dict[str, Any], reason: str, base: Path, tmp_path: Path
    ) -> None:
        with pytest.raises(StartupError, match=reason):
            write_adapter(write_lora(tmp_path / "lora", **changes), base, tmp_path / "a.gguf")
        assert not (tmp_path / "a.gguf").exists()

    @pytest.mark.parametrize(
        ("name", "reason"),
        [
            ("base_model.model.model.embed_tokens.lora_embedding_A", "no LoRA weight of a linear layer"),
            ("base_model.model.model.embed_tokens.lora_A.weight", "model.embed_tokens, which is no linear"),
            (
                "base_model.model.model.layers.7.mlp.up_proj.lora_A.weight",
                "layers.7.mlp.up_proj, which is no",
            ),
            ("base_model.model.model.layers.0.input_layernorm.lora_A.weight", "input_layernorm, which is no"),
            ("base_model.model.lm_head.lora_A.weight", "its lm_head is the embeddings"),
            (
                "base_model.model.model.layers.0.mlp.up_proj.lora_A.weight",
                "no lora_B for model.layers.0.mlp.up",
            ),
            (f"base_model.model.{QUERY}.lora_magnitude_vector", "no LoRA weight of a linear layer"),
        ],
    )
    def test_tensors_that_have_no_place(self, name: str, reason: str, base: Path, tmp_path: Path) -> None:
        more = ("F32", np.zeros((4, 64), np.float32))
        folder = write_lora(tmp_path / "lora", {**lora_tensors(), name: more})
        with pytest.raises(StartupError, match=reason):
            write_adapter(folder, base, tmp_path / "a.gguf")

    def test_another_base(self, tmp_path: Path) -> None:
        base = write_base(tmp_path / "base", hidden_size=128, head_dim=32)
        with pytest.raises(StartupError, match=r"shape \(4, 64\), but the base and rank 4 imply \(4, 128\)"):
            write_adapter(write_lora(tmp_path / "lora"), base, tmp_path / "a.gguf")

    def test_numbers_that_are_not_finite_leave_nothing_behind(self, base: Path, tmp_path: Path) -> None:
        tensors = lora_tensors()
        list(tensors.values())[-1][1][0, 0] = np.nan
        with pytest.raises(StartupError, match="not finite: its training failed"):
            write_adapter(write_lora(tmp_path / "lora", tensors), base, tmp_path / "a.gguf")
        assert {path.name for path in tmp_path.iterdir()} == {"base", "lora"}

    def test_a_type_that_is_not_converted(self, base: Path, tmp_path: Path) -> None:
        tensors = {name: ("F64", numbers.astype(np.float64)) for name, (_, numbers) in lora_tensors().items()}
        with pytest.raises(StartupError, match="has type F64; only F32, F16 and BF16"):
            write_adapter(write_lora(tmp_path / "lora", tensors), base, tmp_path / "a.gguf")

    def test_files_that_are_not_what_they_say(self, base: Path, tmp_path: Path) -> None:
        folder, target = write_lora(tmp_path / "lora"), tmp_path / "a.gguf"
        weights = folder / "adapter_model.safetensors"
        weights.write_bytes(weights.read_bytes()[:-1])
        with pytest.raises(StartupError, match="was cut short"):
            write_adapter(folder, base, target)
        write_lora(folder, {})
        with pytest.raises(StartupError, match="holds no tensors"):
            write_adapter(folder, base, target)
        weights.unlink()
        with pytest.raises(StartupError, match=r"there is no adapter_model\.safetensors"):
            write_adapter(folder, base, target)
        (folder / "adapter_config.json").write_text("[]")
        with pytest.raises(StartupError, match="must hold a JSON object"):
            write_adapter(folder, base, target)
        with pytest.raises(StartupError, match=r"there is no adapter_config\.json"):
            write_adapter(base, base, target)
