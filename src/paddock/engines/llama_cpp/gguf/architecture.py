"""Which architectures can be converted, and how their config and tensors are called in GGUF."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from paddock.engines.llama_cpp.gguf.rope import Rope, read_rope
from paddock.errors import StartupError
from paddock.weights.config import context_length

# Mistral is Llama to llama.cpp. Llama's rotation pairs neighbouring numbers there but halves of the head in
# transformers, so its Q and K rows are reordered; Qwen's rotation is the same in both.
GGUF_NAME = {
    "LlamaForCausalLM": "llama",
    "MistralForCausalLM": "llama",
    "Qwen2ForCausalLM": "qwen2",
    "Qwen3ForCausalLM": "qwen3",
}
PERMUTED = "llama"
LAYER_TENSORS = {
    "input_layernorm.weight": "attn_norm.weight",
    "self_attn.q_proj.weight": "attn_q.weight",
    "self_attn.k_proj.weight": "attn_k.weight",
    "self_attn.v_proj.weight": "attn_v.weight",
    "self_attn.o_proj.weight": "attn_output.weight",
    "post_attention_layernorm.weight": "ffn_norm.weight",
    "mlp.gate_proj.weight": "ffn_gate.weight",
    "mlp.up_proj.weight": "ffn_up.weight",
    "mlp.down_proj.weight": "ffn_down.weight",
}


@dataclass(frozen=True)
class Architecture:
    """The numbers of a config. `context_length` is what the model was made for, in tokens."""

    name: str
    layers: int
    hidden: int
    feed_forward: int
    heads: int
    kv_heads: int
    head_dim: int
    vocab_size: int
    context_length: int
    norm_epsilon: float
    tied: bool
    query_bias: bool
    output_bias: bool
    mlp_bias: bool
    rope: Rope

    @property
    def permuted(self) -> bool:
        return self.name == PERMUTED


@dataclass(frozen=True)
class Planned:
    """One tensor to write. `heads` > 0: its rows are reordered within each of that many heads."""

    source: str
    target: str
    shape: tuple[int, ...]
    heads: int = 0


def read_architecture(config: Mapping[str, Any]) -> Architecture:
    """From `config.json`.

    Raises:
        StartupError: the architecture is not supported, or a number is missing.
    """
    kind = (config.get("architectures") or ["none"])[0]
    if kind not in GGUF_NAME:
        raise StartupError(
            f"architecture {kind} cannot be converted; supported are {', '.join(GGUF_NAME)}. "
            "Any model that llama.cpp knows is served from a .gguf file"
        )
    _refuse_unusual(config)
    try:
        hidden, heads = int(config["hidden_size"]), int(config["num_attention_heads"])
        head_dim = int(config.get("head_dim") or hidden // heads)
        name = GGUF_NAME[kind]
        bias = bool(config.get("attention_bias", False))
        return Architecture(
            name=name,
            layers=int(config["num_hidden_layers"]),
            hidden=hidden,
            feed_forward=int(config["intermediate_size"]),
            heads=heads,
            kv_heads=int(config.get("num_key_value_heads") or heads),
            head_dim=head_dim,
            vocab_size=int(config["vocab_size"]),
            context_length=context_length(config),
            norm_epsilon=float(config.get("rms_norm_eps", 1e-6)),
            tied=bool(config.get("tie_word_embeddings", False)),
            query_bias=name == "qwen2" or bias,
            output_bias=name != "qwen2" and bias,
            mlp_bias=bool(config.get("mlp_bias", False)),
            rope=read_rope(config, head_dim),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise StartupError(f"config.json has no usable {error}") from error


def metadata(model: Architecture) -> dict[str, str | float | int]:
    """GGUF keys with the architecture's prefix, without the tokenizer's."""
    values: dict[str, str | float | int] = {
        "vocab_size": model.vocab_size,
        "context_length": model.context_length,
        "embedding_length": model.hidden,
        "block_count": model.layers,
        "feed_forward_length": model.feed_forward,
        "attention.head_count": model.heads,
        "attention.head_count_kv": model.kv_heads,
        "attention.key_length": model.head_dim,
        "attention.value_length": model.head_dim,
        "attention.layer_norm_rms_epsilon": model.norm_epsilon,
        "rope.dimension_count": model.head_dim,
        "rope.freq_base": model.rope.theta,
        **model.rope.metadata,
    }
    return {f"{model.name}.{key}": value for key, value in values.items()}


def plan_tensors(model: Architecture) -> list[Planned]:
    """All tensors that a checkpoint of this architecture must have, in the order of writing."""
    plan = [Planned("model.embed_tokens.weight", "token_embd.weight", (model.vocab_size, model.hidden))]
    shapes = _layer_shapes(model)
    for layer in range(model.layers):
        for source, (target, shape, heads) in shapes.items():
            plan.append(Planned(f"model.layers.{layer}.{source}", f"blk.{layer}.{target}", shape, heads))
    plan.append(Planned("model.norm.weight", "output_norm.weight", (model.hidden,)))
    if not model.tied:
        plan.append(Planned("lm_head.weight", "output.weight", (model.vocab_size, model.hidden)))
    return plan


def _layer_shapes(model: Architecture) -> dict[str, tuple[str, tuple[int, ...], int]]:
    query, key, wide = model.heads * model.head_dim, model.kv_heads * model.head_dim, model.feed_forward
    shapes: dict[str, tuple[int, ...]] = {
        "input_layernorm": (model.hidden,),
        "self_attn.q_proj": (query, model.hidden),
        "self_attn.k_proj": (key, model.hidden),
        "self_attn.v_proj": (key, model.hidden),
        "self_attn.o_proj": (model.hidden, query),
        "post_attention_layernorm": (model.hidden,),
        "mlp.gate_proj": (wide, model.hidden),
        "mlp.up_proj": (wide, model.hidden),
        "mlp.down_proj": (model.hidden, wide),
    }
    heads = {"self_attn.q_proj": model.heads, "self_attn.k_proj": model.kv_heads} if model.permuted else {}
    entries = {
        source: (target, shapes[source.removesuffix(".weight")], heads.get(source.removesuffix(".weight"), 0))
        for source, target in LAYER_TENSORS.items()
    }
    biased = ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"] if model.query_bias else []
    biased += ["self_attn.o_proj"] if model.output_bias else []
    biased += ["mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"] if model.mlp_bias else []
    for part in biased:
        target = LAYER_TENSORS[f"{part}.weight"].replace(".weight", ".bias")
        entries[f"{part}.bias"] = (target, shapes[part][:1], heads.get(part, 0))
    if model.name == "qwen3":
        entries["self_attn.q_norm.weight"] = ("attn_q_norm.weight", (model.head_dim,), 0)
        entries["self_attn.k_norm.weight"] = ("attn_k_norm.weight", (model.head_dim,), 0)
    return entries


def _refuse_unusual(config: Mapping[str, Any]) -> None:
    if config.get("quantization_config"):
        method = config["quantization_config"].get("quant_method", "unknown")
        raise StartupError(
            f"the checkpoint is quantized ({method}); take the original 16-bit one, "
            "or the model as a .gguf file"
        )
    if config.get("hidden_act", "silu") != "silu":
        raise StartupError(f"activation {config['hidden_act']!r} is not supported, only silu")
