from __future__ import annotations

from typing import Any

import pytest

from paddock.engines.llama_cpp.gguf.architecture import plan_tensors, read_architecture
from paddock.errors import StartupError
from tests.unit.engines.tiny import llama_config


class TestReadArchitecture:
    def test_llama(self) -> None:
        model = read_architecture(llama_config())
        assert (model.name, model.kv_heads, model.head_dim, model.tied, model.permuted) == (
            "llama", 2, 16, True, True,
        )  # fmt: skip

    def test_what_is_supported_is_said(self) -> None:
        with pytest.raises(StartupError, match=r"GPT2LMHeadModel cannot .*LlamaForCausalLM.*\.gguf"):
            read_architecture(llama_config(architectures=["GPT2LMHeadModel"]))

    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"quantization_config": {"quant_method": "gptq"}}, "quantized .gptq."),
            ({"hidden_act": "gelu"}, "activation 'gelu'"),
            ({"rope_scaling": {"rope_type": "longrope"}}, "rope scaling 'longrope'"),
            ({"partial_rotary_factor": 0.5}, "only a part"),
            ({"rope_scaling": {"type": "yarn", "factor": 2, "beta_fast": 64}}, "beta_fast"),
            ({"hidden_size": None}, "config.json"),
        ],
    )
    def test_what_would_be_computed_wrongly_is_refused(self, changes: dict[str, Any], reason: str) -> None:
        with pytest.raises(StartupError, match=reason):
            read_architecture(llama_config(**changes))

    @pytest.mark.parametrize(
        ("changes", "length"),
        [
            ({}, 512),
            ({"sliding_window": 128}, 128),
            ({"sliding_window": None}, 512),
            ({"sliding_window": 128, "use_sliding_window": False}, 512),
            ({"sliding_window": 128, "layer_types": ["full_attention"] * 2}, 512),
            ({"sliding_window": 128, "layer_types": ["full_attention", "sliding_attention"]}, 128),
        ],
    )
    def test_the_context_ends_where_a_sliding_window_would_begin(
        self, changes: dict[str, Any], length: int
    ) -> None:
        assert read_architecture(llama_config(**changes)).context_length == length


class TestPlanTensors:
    def test_tied_embeddings_need_no_output(self) -> None:
        tied = {item.target for item in plan_tensors(read_architecture(llama_config()))}
        untied = {
            item.target for item in plan_tensors(read_architecture(llama_config(tie_word_embeddings=False)))
        }
        assert untied - tied == {"output.weight"}

    @pytest.mark.parametrize(
        ("kind", "extra"),
        [
            ("LlamaForCausalLM", set()),
            ("Qwen2ForCausalLM", {"blk.0.attn_q.bias", "blk.0.attn_k.bias", "blk.0.attn_v.bias"}),
            ("Qwen3ForCausalLM", {"blk.0.attn_q_norm.weight", "blk.0.attn_k_norm.weight"}),
        ],
    )
    def test_what_each_family_adds(self, kind: str, extra: set[str]) -> None:
        plain = {item.target for item in plan_tensors(read_architecture(llama_config(num_hidden_layers=1)))}
        model = read_architecture(llama_config(num_hidden_layers=1, architectures=[kind]))
        assert {item.target for item in plan_tensors(model)} - plain == extra
