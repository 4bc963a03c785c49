"""One checkpoint folder to one GGUF file, a few megabytes at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter, LlamaFileType

from paddock.engines.llama_cpp.gguf import architecture
from paddock.engines.llama_cpp.gguf.architecture import Architecture, Planned
from paddock.engines.llama_cpp.gguf.encoding import Q8_BLOCK, WeightsType, encode, encoded_size
from paddock.engines.llama_cpp.gguf.special_tokens import (
    SpecialTokens,
    read_chat_templates,
    read_special_tokens,
)
from paddock.engines.llama_cpp.gguf.tokenizer import Vocabulary, read_vocabulary
from paddock.errors import StartupError
from paddock.weights.config import read_json
from paddock.weights.numbers import STORAGE, Array, open_tensor
from paddock.weights.safetensors_header import Tensor, read_index

CHUNK = 8 * 1024 * 1024  # numbers held in memory at once
ALIGNMENT = 32
FILE_TYPE = {
    "F16": LlamaFileType.MOSTLY_F16,
    "BF16": LlamaFileType.MOSTLY_BF16,
    "Q8_0": LlamaFileType.MOSTLY_Q8_0,
}
IGNORED = ("rotary_emb.inv_freq", ".masked_bias", ".attention.bias")
END_KEYS = ("eos", "eot", "eom")

Progress = Callable[[int, int], None]


def write_gguf(folder: Path, target: Path, weights_type: str, progress: Progress | None = None) -> None:
    """Converts the checkpoint in `folder`; `weights_type` is F16, BF16, Q8_0, or `auto`: see `choose_type`.

    `progress` is called with (bytes written, bytes in total) of the weights.

    Raises:
        StartupError: the checkpoint cannot be converted; the message says why.
        OSError: `target` cannot be written.
    """
    config = read_json(folder, "config.json", required=True)
    model = architecture.read_architecture(config)
    tensors = read_index(folder)
    plan = _check_tensors(model, tensors)
    kind = choose_type(tensors) if weights_type == "auto" else weights_type
    if kind not in FILE_TYPE:
        raise StartupError(f"weights type {kind!r} is not known; known are auto, {', '.join(FILE_TYPE)}")
    tokenizer = read_json(folder, "tokenizer.json", required=True)
    tokenizer_config = read_json(folder, "tokenizer_config.json")
    special = read_special_tokens(
        tokenizer, tokenizer_config, config, read_json(folder, "generation_config.json")
    )

    writer = GGUFWriter(target, model.name)
    writer.add_name(folder.resolve().name)
    writer.add_file_type(FILE_TYPE[kind])
    writer.add_quantization_version(2)
    _add_metadata(writer, architecture.metadata(model))
    _add_vocabulary(writer, read_vocabulary(tokenizer, model.vocab_size))
    _add_special_tokens(writer, special)
    if templates := read_chat_templates(folder, tokenizer_config):
        writer.add_chat_template([{"name": name, "template": text} for name, text in templates.items()])
    sources = [(item, tensors[item.source]) for item in plan]
    items = [(item, tensor, _kind_of(item, tensor, kind)) for item, tensor in sources]
    _write(writer, target, model, items, progress)


def choose_type(tensors: dict[str, Tensor]) -> str:
    """The checkpoint's own 16-bit type, so that nothing is lost; F16 for a 32-bit one."""
    return "BF16" if tensors["model.embed_tokens.weight"].dtype == "BF16" else "F16"


def _check_tensors(model: Architecture, tensors: dict[str, Tensor]) -> list[Planned]:
    plan = architecture.plan_tensors(model)
    for item in plan:
        found = tensors.get(item.source)
        if found is None:
            raise StartupError(f"the checkpoint has no tensor {item.source}")
        if found.dtype not in STORAGE:
            raise StartupError(
                f"tensor {item.source} has type {found.dtype}; only F32, F16 and BF16 can be converted"
            )
        if found.shape != item.shape:
            raise StartupError(
                f"tensor {item.source} has shape {found.shape}, but config.json implies {item.shape}"
            )
    used = {item.source for item in plan} | ({"lm_head.weight"} if model.tied else set())
    unused = {name for name in tensors if name not in used and not name.endswith(IGNORED)}
    if unused:
        raise StartupError(
            f"the checkpoint has {len(unused)} tensors that a {model.name} does not: {min(unused)}, ..."
        )
    return plan


def _kind_of(item: Planned, tensor: Tensor, kind: str) -> WeightsType:
    if len(item.shape) == 1:
        return "F32"  # norms and biases: tiny, and llama.cpp computes with them in F32
    if kind == "Q8_0" and item.shape[-1] % Q8_BLOCK:
        return "BF16" if tensor.dtype == "BF16" else "F16"
    return kind  # type: ignore[return-value]  # one of FILE_TYPE, as `write_gguf` checked


def _add_metadata(writer: GGUFWriter, values: dict[str, str | float | int]) -> None:
    for key, value in values.items():
        if isinstance(value, str):
            writer.add_string(key, value)
        elif isinstance(value, float):
            writer.add_float32(key, value)
        else:
            writer.add_uint32(key, value)


def _add_vocabulary(writer: GGUFWriter, vocabulary: Vocabulary) -> None:
    writer.add_tokenizer_model(vocabulary.model)
    if vocabulary.pre:
        writer.add_tokenizer_pre(vocabulary.pre)
    writer.add_token_list(vocabulary.tokens)
    writer.add_token_types([int(kind) for kind in vocabulary.types])
    if vocabulary.scores is not None:
        writer.add_token_scores(vocabulary.scores)
    if vocabulary.merges is not None:
        writer.add_token_merges(vocabulary.merges)
    if vocabulary.space_prefix is not None:
        writer.add_add_space_prefix(vocabulary.space_prefix)


def _add_special_tokens(writer: GGUFWriter, special: SpecialTokens) -> None:
    """GGUF has three names for tokens that end an answer; llama.cpp stops at any of them."""
    numbers = {"bos": special.bos, "unknown": special.unknown, "padding": special.padding}
    numbers |= dict(zip(END_KEYS, special.ends, strict=False))
    for role, number in numbers.items():
        if number is not None:
            writer.add_uint32(f"tokenizer.ggml.{role}_token_id", number)
    writer.add_add_bos_token(special.add_bos)
    writer.add_add_eos_token(special.add_eos)


def _write(
    writer: GGUFWriter,
    target: Path,
    model: Architecture,
    items: list[tuple[Planned, Tensor, WeightsType]],
    progress: Progress | None,
) -> None:
    factors = model.rope.factors
    if factors is not None:
        writer.add_tensor_info("rope_freqs.weight", factors.shape, factors.dtype, factors.nbytes)
    for item, _, kind in items:
        size = encoded_size(int(np.prod(item.shape)), kind)
        writer.add_tensor_info(
            item.target, item.shape, np.dtype(np.float32), size, GGMLQuantizationType[kind]
        )
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()

    done, total = 0, sum(tensor.size for _, tensor, _ in items)
    with target.open("ab") as stream:
        _pad(stream)
        if factors is not None:
            stream.write(factors.tobytes())
            _pad(stream)
        for item, tensor, kind in items:
            for chunk in _chunks(item, tensor):
                try:
                    stream.write(np.ascontiguousarray(encode(chunk, tensor.dtype, kind)).data)
                except OverflowError as error:
                    reason = f"tensor {item.source} cannot be F16: {error}; choose BF16 or Q8_0"
                    raise StartupError(reason) from error
                done += chunk.nbytes
                if progress:
                    progress(done, total)
            _pad(stream)


def _chunks(item: Planned, tensor: Tensor) -> Iterator[Array]:
    """Runs of whole rows in the order in which llama.cpp wants them."""
    source: Any = open_tensor(tensor)
    order = interleave(item.shape[0], item.heads) if item.heads else None
    row = int(np.prod(item.shape[1:]))
    step = max(1, CHUNK // row)
    for start in range(0, item.shape[0], step):
        rows = slice(start, start + step)
        yield np.asarray(source[rows] if order is None else source[order[rows]])


def interleave(rows: int, heads: int) -> Array:
    """Where each row comes from: within each head, halves (0, h, 1, h+1, ...) become neighbours."""
    return np.arange(rows).reshape(heads, 2, -1).swapaxes(1, 2).reshape(-1)


def _pad(stream: IO[bytes]) -> None:
    stream.write(bytes(-stream.tell() % ALIGNMENT))
