"""Rotary positions: what a checkpoint's config says, in llama.cpp's terms."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from paddock.errors import StartupError

DEFAULT_THETA = 10_000.0


@dataclass(frozen=True)
class Rope:
    """`factors` divide the head_dim/2 frequencies (Llama 3); `metadata` lacks the architecture's prefix."""

    theta: float
    metadata: dict[str, str | float | int]
    factors: npt.NDArray[np.float32] | None = None


def read_rope(config: Mapping[str, Any], head_dim: int) -> Rope:
    """From `rope_theta` and `rope_scaling`, or from `rope_parameters`, where transformers 5 puts both.

    Raises:
        StartupError: a kind of scaling that llama.cpp would compute differently.
    """
    scaling = {**(config.get("rope_scaling") or {}), **(config.get("rope_parameters") or {})}
    theta = float(scaling.get("rope_theta") or config.get("rope_theta") or DEFAULT_THETA)
    kind = scaling.get("rope_type") or scaling.get("type") or "default"
    partial = scaling.get("partial_rotary_factor") or config.get("partial_rotary_factor") or 1.0
    if partial != 1.0:
        raise StartupError(
            "models that rotate only a part of each head (partial_rotary_factor) are not supported"
        )
    if kind == "default":
        return Rope(theta, {})
    if kind == "linear":
        return Rope(theta, {"rope.scaling.type": "linear", "rope.scaling.factor": float(scaling["factor"])})
    if kind == "llama3":
        return Rope(theta, {}, _llama3_factors(scaling, theta, head_dim))
    if kind == "yarn":
        return Rope(theta, _yarn(scaling, config))
    raise StartupError(f"rope scaling {kind!r} is not supported; supported are linear, llama3 and yarn")


def _llama3_factors(scaling: Mapping[str, Any], theta: float, head_dim: int) -> npt.NDArray[np.float32]:
    """Slow rotations are stretched by `factor`, fast ones left alone, those between blended."""
    factor = float(scaling["factor"])
    low, high = float(scaling["low_freq_factor"]), float(scaling["high_freq_factor"])
    original = float(scaling["original_max_position_embeddings"])
    wavelengths = 2 * math.pi * theta ** (np.arange(0, head_dim, 2, dtype=np.float64) / head_dim)
    blend = np.clip((original / wavelengths - low) / (high - low), 0.0, 1.0)
    return (1.0 / ((1.0 - blend) / factor + blend)).astype(np.float32)


def _yarn(scaling: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, str | float | int]:
    unusual = [
        name
        for name, usual in (("beta_fast", 32), ("beta_slow", 1), ("attention_factor", None), ("mscale", None),
                            ("mscale_all_dim", None), ("truncate", True))
        if scaling.get(name, usual) not in (usual, None)
    ]  # fmt: skip
    if unusual:
        raise StartupError(f"yarn rope scaling with its own {unusual[0]} is not supported")
    original = scaling.get("original_max_position_embeddings") or config.get("max_position_embeddings")
    if not original:
        raise StartupError("yarn rope scaling needs original_max_position_embeddings in config.json")
    return {
        "rope.scaling.type": "yarn",
        "rope.scaling.factor": float(scaling["factor"]),
        "rope.scaling.original_context_length": int(original),
    }
