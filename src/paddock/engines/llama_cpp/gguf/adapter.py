"""A LoRA adapter as PEFT saves it, to the GGUF file that llama.cpp loads beside its base.

The format is that of llama.cpp's `convert_lora_to_gguf.py`. What an adapter adds to a product is multiplied
by `adapter.lora.alpha / rank`, with one alpha for the whole file; where PEFT has another factor for a layer,
the difference goes into that layer's `lora_b`.
"""

from __future__ import annotations

import math
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import IO

import numpy as np
from gguf import GGMLQuantizationType, GGUFType, GGUFWriter, Keys

from paddock.engines.llama_cpp.gguf.architecture import (
    Architecture,
    Planned,
    plan_tensors,
    read_architecture,
)
from paddock.engines.llama_cpp.gguf.writer import ALIGNMENT, interleave
from paddock.weights.config import read_json
from paddock.weights.lora import Lora, numbers_of, read_lora
from paddock.weights.numbers import Array

EMBEDDINGS = "model.embed_tokens"
WIDTH = 4  # bytes of an F32


def write_adapter(folder: Path, base: Path, target: Path) -> None:
    """Converts the adapter in `folder` (`adapter_config.json`, `adapter_model.safetensors`), whose base is
    the checkpoint in `base`, of which only `config.json` is read. `target` is there when it is complete.

    Raises:
        StartupError: it cannot be converted; the message says why.
        OSError: `target` cannot be written.
    """
    model = read_architecture(read_json(base, "config.json", required=True))
    plan = {item.source.removesuffix(".weight"): item for item in plan_tensors(model) if len(item.shape) == 2}
    del plan[EMBEDDINGS]
    lora = read_lora(folder, {module: item.shape for module, item in plan.items()}, model.tied)
    part = target.with_name(f"{target.name}.{secrets.token_hex(4)}.part")
    try:
        _write(lora, plan, model, part)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _write(lora: Lora, plan: Mapping[str, Planned], model: Architecture, path: Path) -> None:
    writer = GGUFWriter(path, model.name)
    writer.add_type(GGUFType.ADAPTER)
    writer.add_string(Keys.Adapter.TYPE, "lora")
    writer.add_float32(Keys.Adapter.LORA_ALPHA, lora.alpha)
    for module, pair in lora.pairs.items():
        for suffix, tensor in (("lora_a", pair.a), ("lora_b", pair.b)):
            writer.add_tensor_info(
                f"{plan[module].target}.{suffix}",
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
        for module, pair in lora.pairs.items():
            _append(stream, numbers_of(pair.a))
            b = numbers_of(pair.b) * np.float32(pair.scale * pair.rank / lora.alpha)
            # The base's rows stand in this order too.
            heads = plan[module].heads
            _append(stream, b[interleave(b.shape[0], heads)] if heads else b)
        stream.flush()
        os.fsync(stream.fileno())


def _append(stream: IO[bytes], numbers: Array) -> None:
    stream.write(np.ascontiguousarray(numbers).data)
    _pad(stream)


def _pad(stream: IO[bytes]) -> None:
    stream.write(bytes(-stream.tell() % ALIGNMENT))
