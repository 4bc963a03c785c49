"""A LoRA adapter as PEFT saves it, to the GGUF file that llama.cpp loads beside its base.

The format is that of llama.cpp's `convert_lora_to_gguf.py`. What an adapter adds to a product is multiplied
by `adapter.lora.alpha / rank`, with one alpha for the whole file; where PEFT has another factor for a layer,
the difference goes into that layer's `lora_b`.
"""

from __future__ import annotations

import math
import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from gguf import GGMLQuantizationType, GGUFType, GGUFWriter, Keys

from paddock.engines.llama_cpp.gguf.architecture import (
    Architecture,
    Planned,
    plan_tensors,
    read_architecture,
)
from paddock.engines.llama_cpp.gguf.encoding import to_float32
from paddock.engines.llama_cpp.gguf.safetensors import STORAGE, Array, open_tensor
from paddock.engines.llama_cpp.gguf.writer import ALIGNMENT, interleave
from paddock.errors import StartupError
from paddock.weights.config import read_json
from paddock.weights.safetensors_header import Tensor, read_index

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
NAME = re.compile(r"base_model\.model\.(?P<module>.+)\.lora_(?P<half>[AB])\.weight")
EMBEDDINGS = "model.embed_tokens"
HEAD = "lm_head"
# PEFT saves the base's own beside an adapter that changes it.
HEAD_COPY = "base_model.model.lm_head.base_layer.weight"
WIDTH = 4  # bytes of an F32

# What these do at inference goes beyond adding B·A, which is all that llama.cpp does.
REFUSED = {
    "use_dora": "DoRA",
    "use_qalora": "QA-LoRA",
    "use_bdlora": "block-diagonal LoRA",
    "lora_bias": "a bias of the adapter's own",
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


@dataclass(frozen=True)
class Pair:
    """What changes one tensor of the base. `a`: (rank, columns), `b`: (rows, rank), to be multiplied by
    `factor`.
    """

    target: Planned
    a: Tensor
    b: Tensor
    factor: float


def write_adapter(folder: Path, base: Path, target: Path) -> None:
    """Converts the adapter in `folder` (`adapter_config.json`, `adapter_model.safetensors`), whose base is
    the checkpoint in `base`, of which only `config.json` is read. `target` is there when it is complete.

    Raises:
        StartupError: it cannot be converted; the message says why.
        OSError: `target` cannot be written.
    """
    model = read_architecture(read_json(base, "config.json", required=True))
    config = _read_config(folder)
    tensors = _read_tensors(folder)
    rank = _number(config, "r")
    alpha = _scaling(config, "", int(rank)) * rank
    pairs = _pair_up(tensors, config, model, alpha)
    part = target.with_name(f"{target.name}.{secrets.token_hex(4)}.part")
    try:
        _write(pairs, alpha, model, part)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _read_config(folder: Path) -> dict[str, Any]:
    if not (folder / CONFIG).is_file():
        raise StartupError(f"{folder} holds no adapter: there is no {CONFIG}")
    config = read_json(folder, CONFIG)
    if config.get("peft_type") != "LORA":
        raise StartupError(
            f"{folder / CONFIG}: peft_type is {config.get('peft_type')!r}; only 'LORA' is served"
        )
    for name, what in REFUSED.items():
        if config.get(name):
            raise StartupError(f"{folder / CONFIG}: {name} asks for {what}, which llama.cpp cannot serve")
    if config.get("bias", "none") != "none":
        raise StartupError(f"{folder / CONFIG}: bias is {config['bias']!r}; only 'none' can be served")
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


def _pair_up(
    tensors: Mapping[str, Tensor], config: Mapping[str, Any], model: Architecture, alpha: float
) -> list[Pair]:
    """In the order of the base's tensors."""
    plan = {item.source.removesuffix(".weight"): item for item in plan_tensors(model) if len(item.shape) == 2}
    del plan[EMBEDDINGS]
    halves: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if name == HEAD_COPY and HEAD in plan and tensor.shape == plan[HEAD].shape:
            continue
        match = NAME.fullmatch(name)
        if not match:
            raise StartupError(f"{WEIGHTS} holds {name}, which is no LoRA weight of a linear layer")
        halves.setdefault(match["module"], {})[match["half"]] = tensor
    for module in halves:
        if module not in plan:
            hint = "; its lm_head is the embeddings" if module == HEAD and model.tied else ""
            raise StartupError(f"the adapter changes {module}, which is no linear layer of this base{hint}")
    return [
        _pair(module, item, halves[module], config, alpha)
        for module, item in plan.items()
        if module in halves
    ]


def _pair(
    module: str, item: Planned, halves: Mapping[str, Tensor], config: Mapping[str, Any], alpha: float
) -> Pair:
    rank = int(_for_module(config, "rank_pattern", "r", module))
    rows, columns = item.shape
    for half, shape in {"A": (rank, columns), "B": (rows, rank)}.items():
        found = halves.get(half)
        if found is None:
            raise StartupError(f"the adapter has no lora_{half} for {module}")
        if found.dtype not in STORAGE:
            raise StartupError(
                f"{found.name} has type {found.dtype}; only F32, F16 and BF16 can be converted"
            )
        if found.shape != shape:
            raise StartupError(
                f"{found.name} has shape {found.shape}, but the base and rank {rank} imply {shape}"
            )
    return Pair(item, halves["A"], halves["B"], _scaling(config, module, rank) * rank / alpha)


def _write(pairs: list[Pair], alpha: float, model: Architecture, path: Path) -> None:
    writer = GGUFWriter(path, model.name)
    writer.add_type(GGUFType.ADAPTER)
    writer.add_string(Keys.Adapter.TYPE, "lora")
    writer.add_float32(Keys.Adapter.LORA_ALPHA, alpha)
    for pair in pairs:
        for suffix, tensor in (("lora_a", pair.a), ("lora_b", pair.b)):
            writer.add_tensor_info(
                f"{pair.target.target}.{suffix}",
                tensor.shape,
                np.dtype(np.float32),
                math.prod(tensor.shape) * WIDTH,
                GGMLQuantizationType.F32,
            )
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()

    with path.open("ab") as stream:
        _pad(stream)
        for pair in pairs:
            _append(stream, _numbers(pair.a))
            b = _numbers(pair.b) * np.float32(pair.factor)
            # The base's rows stand in this order too.
            _append(stream, b[interleave(b.shape[0], pair.target.heads)] if pair.target.heads else b)
        stream.flush()
        os.fsync(stream.fileno())


def _numbers(tensor: Tensor) -> Array:
    numbers = to_float32(np.asarray(open_tensor(tensor)), tensor.dtype)
    if not np.isfinite(numbers).all():
        raise StartupError(f"{tensor.name} holds numbers that are not finite: its training failed")
    return numbers


def _append(stream: IO[bytes], numbers: Array) -> None:
    stream.write(np.ascontiguousarray(numbers).data)
    _pad(stream)


def _pad(stream: IO[bytes]) -> None:
    stream.write(bytes(-stream.tell() % ALIGNMENT))
