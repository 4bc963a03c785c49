"""What a LoRA adapter as PEFT saves it does to the linear layers of its base: W + scale·B·A."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from paddock.errors import StartupError
from paddock.weights.config import read_json
from paddock.weights.numbers import STORAGE, open_tensor, to_float32
from paddock.weights.safetensors_header import Tensor, read_index

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
NAME = re.compile(r"base_model\.model\.(?P<module>.+)\.lora_(?P<half>[AB])\.weight")
HEAD = "lm_head"
# PEFT saves the base's own beside an adapter that changes it.
HEAD_COPY = "base_model.model.lm_head.base_layer.weight"

# What these do goes beyond adding B·A, which is all that llama.cpp does, and all that is merged here.
REFUSED = {
    "use_dora": "DoRA",
    "use_qalora": "QA-LoRA",
    "use_bdlora": "block-diagonal LoRA",
    "lora_bias": "a bias of the adapter's own",
    "fan_in_fan_out": "transposed layers",
    "modules_to_save": "whole modules beside the adapter",
    "trainable_token_indices": "tokens trained beside the adapter",
    "target_parameters": "parameters that belong to no linear layer",
    "layer_replication": "replicated layers",
    "alora_invocation_tokens": "aLoRA",
    "arrow_config": "Arrow",
    "kasa_config": "KaSA",
    "monteclora_config": "MonteCLoRA",
}
# The others begin by changing the base, which is served as it is.
INITIALIZED = (True, False, None, "gaussian", "eva", "orthogonal")

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Pair:
    """What is added to the weights of one module, (rows, columns): `scale`·B·A.

    Attributes:
        a: (rank, columns); b: (rows, rank).
    """

    a: Tensor
    b: Tensor
    scale: float

    @property
    def rank(self) -> int:
        return self.a.shape[0]


@dataclass(frozen=True)
class Lora:
    """
    Attributes:
        alpha: what PEFT multiplies B·A with where no pattern says otherwise, times the rank.
        pairs: by the name of the module, in the order of the base's.
    """

    alpha: float
    pairs: dict[str, Pair]


def read_lora(folder: Path, shapes: Mapping[str, Shape], tied: bool) -> Lora:
    """The adapter in `folder` (`adapter_config.json`, `adapter_model.safetensors`).

    Args:
        shapes: (rows, columns) of the base's linear layers by their names, `lm_head` only if it has weights
            of its own: if not `tied`.

    Raises:
        StartupError: it does more than add to these layers, or does not fit them; the message says why.
    """
    config = _read_config(folder)
    tensors = _read_tensors(folder)
    rank = _number(config, "r")
    alpha = _scaling(config, "", int(rank)) * rank
    halves: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if name == HEAD_COPY and tensor.shape == shapes.get(HEAD):
            continue
        match = NAME.fullmatch(name)
        if not match:
            raise StartupError(f"{WEIGHTS} holds {name}, which is no LoRA weight of a linear layer")
        halves.setdefault(match["module"], {})[match["half"]] = tensor
    for module in halves:
        if module not in shapes:
            hint = "; its lm_head is the embeddings" if module == HEAD and tied else ""
            raise StartupError(f"the adapter changes {module}, which is no linear layer of this base{hint}")
    pairs = {
        module: _pair(module, shape, halves[module], config)
        for module, shape in shapes.items()
        if module in halves
    }
    return Lora(alpha, pairs)


def numbers_of(tensor: Tensor) -> npt.NDArray[np.float32]:
    """One half of a pair.

    Raises:
        StartupError: it holds what is no number.
    """
    numbers = to_float32(np.asarray(open_tensor(tensor)), tensor.dtype)
    if not np.isfinite(numbers).all():
        raise StartupError(f"{tensor.name} holds numbers that are not finite: its training failed")
    return numbers


def _read_config(folder: Path) -> dict[str, Any]:
    if not (folder / CONFIG).is_file():
        raise StartupError(f"{folder} holds no adapter: there is no {CONFIG}")
    config = read_json(folder, CONFIG)
    if config.get("peft_type") != "LORA":
        raise StartupError(
            f"{folder / CONFIG}: peft_type is {config.get('peft_type')!r}; only 'LORA' is known"
        )
    for name, what in REFUSED.items():
        if config.get(name):
            raise StartupError(f"{folder / CONFIG}: {name} asks for {what}, which is not known here")
    if config.get("bias", "none") != "none":
        raise StartupError(f"{folder / CONFIG}: bias is {config['bias']!r}; only 'none' is known")
    if config.get("init_lora_weights") not in INITIALIZED:
        raise StartupError(
            f"{folder / CONFIG}: init_lora_weights is {config['init_lora_weights']!r}, which changes the"
            " base itself; PEFT's save_pretrained makes an ordinary adapter of it with"
            " path_initial_model_for_weight_conversion"
        )
    return config


def _read_tensors(folder: Path) -> dict[str, Tensor]:
    if not (folder / WEIGHTS).is_file():
        raise StartupError(f"{folder} holds no adapter: there is no {WEIGHTS}")
    tensors = {name: tensor for name, tensor in read_index(folder).items() if tensor.file.name == WEIGHTS}
    if not tensors:
        raise StartupError(f"{folder / WEIGHTS} holds no tensors, or lies beside the weights of a model")
    return tensors


def _number(config: Mapping[str, Any], name: str) -> float:
    value = config.get(name)
    usable = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    # llama.cpp takes an alpha of 0 for "not scaled".
    if not usable or not value or (name == "r" and (value < 1 or value != int(value))):
        raise StartupError(f"{CONFIG}: {name} is {value!r}, which is no usable number")
    return float(value)


def _for_module(config: Mapping[str, Any], patterns: str, name: str, module: str) -> float:
    """The number that a pattern gives to a module, else the common one: PEFT's `get_pattern_key`."""
    chosen = config.get(patterns) or {}
    try:
        for pattern, value in chosen.items():
            if re.match(rf"(.*\.)?({pattern})$", module):
                return float(value)
    except (re.error, AttributeError, TypeError, ValueError) as error:
        raise StartupError(f"{CONFIG}: {patterns} cannot be read: {error}") from error
    return _number(config, name)


def _scaling(config: Mapping[str, Any], module: str, rank: int) -> float:
    """What PEFT multiplies B·A with."""
    alpha = (
        _for_module(config, "alpha_pattern", "lora_alpha", module)
        if module
        else _number(config, "lora_alpha")
    )
    return alpha / math.sqrt(rank) if config.get("use_rslora") else alpha / rank


def _pair(module: str, shape: Shape, halves: Mapping[str, Tensor], config: Mapping[str, Any]) -> Pair:
    rank = int(_for_module(config, "rank_pattern", "r", module))
    rows, columns = shape
    for half, wanted in {"A": (rank, columns), "B": (rows, rank)}.items():
        found = halves.get(half)
        if found is None:
            raise StartupError(f"the adapter has no lora_{half} for {module}")
        if found.dtype not in STORAGE:
            raise StartupError(
                f"{found.name} has type {found.dtype}; only F32, F16 and BF16 can be converted"
            )
        if found.shape != wanted:
            raise StartupError(
                f"{found.name} has shape {found.shape}, but the base and rank {rank} imply {wanted}"
            )
    return Pair(halves["A"], halves["B"], _scaling(config, module, rank))
