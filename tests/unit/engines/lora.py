"""Small random LoRA adapters in PEFT's layout, written without PEFT."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tests.unit.engines.tiny import write_safetensors

Array = np.ndarray[Any, Any]

QUERY = "model.layers.0.self_attn.q_proj"
KEY = "model.layers.1.self_attn.k_proj"
DOWN = "model.layers.1.mlp.down_proj"
SHAPES = {QUERY: (64, 64), KEY: (32, 64), DOWN: (64, 96)}
"""Rows and columns in the base that `tiny.write_llama` writes."""


def lora_config(**changes: Any) -> dict[str, Any]:
    return {
        "peft_type": "LORA",
        "r": 4,
        "lora_alpha": 8,
        "use_rslora": False,
        "use_dora": False,
        "bias": "none",
        "modules_to_save": None,
        "init_lora_weights": True,
        "rank_pattern": {},
        "alpha_pattern": {},
        "target_modules": ["q_proj", "k_proj", "down_proj"],
        **changes,
    }


def lora_tensors(
    modules: Iterable[str] = tuple(SHAPES), ranks: Mapping[str, int] | None = None
) -> dict[str, tuple[str, Array]]:
    """F32 halves of each module, of rank 4 unless `ranks` says otherwise."""
    random = np.random.default_rng(5)
    tensors = {}
    for module in modules:
        rank = (ranks or {}).get(module, 4)
        rows, columns = SHAPES[module]
        for half, shape in {"A": (rank, columns), "B": (rows, rank)}.items():
            name = f"base_model.model.{module}.lora_{half}.weight"
            tensors[name] = ("F32", random.normal(0, 1, shape).astype(np.float32))
    return tensors


def write_lora(folder: Path, tensors: dict[str, tuple[str, Array]] | None = None, **changes: Any) -> Path:
    """`changes` go into its config."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "adapter_config.json").write_text(json.dumps(lora_config(**changes)))
    write_safetensors(folder / "adapter_model.safetensors", lora_tensors() if tensors is None else tensors)
    return folder
