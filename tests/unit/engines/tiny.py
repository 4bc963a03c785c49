"""Tiny random checkpoints, written without torch."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np

QWEN2_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
CHATML = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
WORDS = [
    ("h", "e"),
    ("l", "l"),
    ("he", "ll"),
    ("hell", "o"),
    ("Ġ", "w"),
    ("o", "r"),
    ("Ġw", "or"),
    ("e", "r"),
]


def byte_characters() -> list[str]:
    """GPT-2's printable stand-in for each of the 256 bytes."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    stand_in = iter(range(256, 512))
    return [chr(byte if byte in printable else next(stand_in)) for byte in range(256)]


def byte_level_tokenizer() -> dict[str, Any]:
    tokens = [*byte_characters(), *("".join(pair) for pair in WORDS)]
    return {
        "added_tokens": [
            {"id": len(tokens) + i, "content": text, "special": True} for i, text in enumerate(SPECIAL)
        ],
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [
                {
                    "type": "Split",
                    "pattern": {"Regex": QWEN2_PATTERN},
                    "behavior": "Isolated",
                    "invert": False,
                },
                {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False},
            ],
        },
        "post_processor": {
            "type": "ByteLevel",
            "add_prefix_space": False,
            "trim_offsets": False,
            "use_regex": False,
        },
        "decoder": {
            "type": "ByteLevel",
            "add_prefix_space": False,
            "trim_offsets": False,
            "use_regex": False,
        },
        "model": {
            "type": "BPE",
            "vocab": {text: i for i, text in enumerate(tokens)},
            "merges": [" ".join(pair) for pair in WORDS],
            "ignore_merges": False,
        },
    }


def llama_config(**changes: Any) -> dict[str, Any]:
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "vocab_size": 272,
        "max_position_embeddings": 512,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "hidden_act": "silu",
        "tie_word_embeddings": True,
        "eos_token_id": 266,
        "bos_token_id": 264,
        **changes,
    }


def write_safetensors(path: Path, tensors: dict[str, tuple[str, np.ndarray[Any, Any]]]) -> None:
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name, (dtype, array) in tensors.items():
        header[name] = {
            "dtype": dtype,
            "shape": list(array.shape),
            "data_offsets": [offset, offset + array.nbytes],
        }
        offset += array.nbytes
    raw = json.dumps(header).encode()
    with path.open("wb") as stream:
        stream.write(struct.pack("<Q", len(raw)) + raw)
        for _, array in tensors.values():
            stream.write(array.tobytes())


def write_llama(folder: Path, seed: int = 0, **changes: Any) -> Path:
    """A Llama checkpoint in bf16 with a byte-level tokenizer and ChatML; `changes` go into its config."""
    config = llama_config(**changes)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer.json").write_text(json.dumps(byte_level_tokenizer()))
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"chat_template": CHATML, "eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"})
    )
    write_safetensors(folder / "model.safetensors", llama_tensors(config, np.random.default_rng(seed)))
    return folder


def llama_tensors(
    config: dict[str, Any], random: np.random.Generator
) -> dict[str, tuple[str, np.ndarray[Any, Any]]]:
    hidden, wide, vocab = config["hidden_size"], config["intermediate_size"], config["vocab_size"]
    query = config["num_attention_heads"] * config["head_dim"]
    key = config["num_key_value_heads"] * config["head_dim"]

    def weights(*shape: int) -> tuple[str, np.ndarray[Any, Any]]:
        numbers = random.normal(0, 1 / np.sqrt(shape[-1]), shape).astype(np.float32)
        return "BF16", (numbers.view(np.uint32) >> 16).astype(np.uint16)

    norm = ("BF16", np.full(hidden, 0x3F80, np.uint16))
    tensors = {"model.embed_tokens.weight": weights(vocab, hidden), "model.norm.weight": norm}
    for i in range(config["num_hidden_layers"]):
        layer = f"model.layers.{i}"
        tensors |= {
            f"{layer}.input_layernorm.weight": norm,
            f"{layer}.post_attention_layernorm.weight": norm,
            f"{layer}.self_attn.q_proj.weight": weights(query, hidden),
            f"{layer}.self_attn.k_proj.weight": weights(key, hidden),
            f"{layer}.self_attn.v_proj.weight": weights(key, hidden),
            f"{layer}.self_attn.o_proj.weight": weights(hidden, query),
            f"{layer}.mlp.gate_proj.weight": weights(wide, hidden),
            f"{layer}.mlp.up_proj.weight": weights(wide, hidden),
            f"{layer}.mlp.down_proj.weight": weights(hidden, wide),
        }
    if not config["tie_word_embeddings"]:
        tensors["lm_head.weight"] = weights(vocab, hidden)
    return tensors
