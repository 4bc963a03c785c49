"""A checkpoint with a LoRA adapter merged into it: W + scale·B·A, file by file as the base has them.

The merged tensors have the shapes and types of the base's. So each file of weights is the base's, with other
numbers in some places: its header, its order and the index of its shards stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from paddock.errors import StartupError
from paddock.weights.config import read_json
from paddock.weights.lora import HEAD, Pair, numbers_of, read_lora
from paddock.weights.numbers import STORAGE, from_float32, open_tensor, to_float32
from paddock.weights.safetensors_header import INDEX, Tensor, read_index, weight_files

AT_ONCE = 2**20
"""Numbers, or bytes, that are read and given at once."""
BESIDE = (
    "config.json",
    "generation_config.json",
    "tokenizer*",
    "chat_template*",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.*",
    "merges.txt",
    "*.model",
)
"""Patterns of what a checkpoint has beside its weights."""


@dataclass(frozen=True)
class MergedFile:
    """
    Attributes:
        source: the base's file of this name.
        changed: what is added to which of its tensors.
    """

    name: str
    source: Path
    changed: tuple[tuple[Tensor, Pair], ...] = ()

    def read(self) -> Iterator[bytes]:
        """Its bytes, about `AT_ONCE` at once; as many as `source` has.

        Raises:
            StartupError: there are numbers among them that cannot be merged.
            OSError: the base, or the adapter, cannot be read.
        """
        done = 0
        for tensor, pair in sorted(self.changed, key=lambda item: item[0].offset):
            yield from _copy(self.source, done, tensor.offset)
            yield from _merge(tensor, pair)
            done = tensor.offset + tensor.size
        yield from _copy(self.source, done, self.source.stat().st_size)


def plan_merge(base: Path, adapter: Path) -> list[MergedFile]:
    """The files of the merged checkpoint, in the order of their names: weights, and what a checkpoint has
    beside them. Reads headers only.

    Args:
        base: the folder of the checkpoint that the adapter belongs to.
        adapter: the adapter's folder, as PEFT saves it.

    Raises:
        StartupError: one of them cannot be read, or the adapter does not fit the base; says why.
    """
    tensors = {name.removesuffix(".weight"): tensor for name, tensor in read_index(base).items()}
    shapes = {
        module: tensor.shape
        for module, tensor in tensors.items()
        if tensor.name.endswith(".weight") and len(tensor.shape) == 2
    }
    tied = _is_tied(base, shapes)
    if tied:
        # There may be weights of that name all the same, which nothing reads.
        shapes.pop(HEAD, None)
    changed: dict[Path, list[tuple[Tensor, Pair]]] = {}
    for module, pair in read_lora(adapter, shapes, tied).pairs.items():
        tensor = tensors[module]
        if tensor.dtype not in STORAGE:
            raise StartupError(f"{tensor.name} has type {tensor.dtype}; only F32, F16 and BF16 can be merged")
        changed.setdefault(tensor.file, []).append((tensor, pair))
    beside = {path for pattern in BESIDE for path in base.glob(pattern) if path.is_file()}
    if (base / INDEX).is_file():
        beside.add(base / INDEX)
    files = [MergedFile(path.name, path) for path in beside]
    files += [MergedFile(path.name, path, tuple(changed.get(path, ()))) for path in weight_files(base)]
    return sorted(files, key=lambda file: file.name)


def _is_tied(base: Path, shapes: Mapping[str, object]) -> bool:
    config = read_json(base, "config.json", required=True)
    said = config.get("tie_word_embeddings")
    # Architectures differ in what they do where it is not said.
    return HEAD not in shapes if said is None else bool(said)


def _copy(path: Path, begin: int, end: int) -> Iterator[bytes]:
    with path.open("rb") as stream:
        stream.seek(begin)
        while begin < end:
            piece = stream.read(min(AT_ONCE, end - begin))
            if not piece:
                raise StartupError(f"{path} was cut short while it was read")
            begin += len(piece)
            yield piece


def _merge(tensor: Tensor, pair: Pair) -> Iterator[bytes]:
    weights, a = open_tensor(tensor), numbers_of(pair.a)
    b = numbers_of(pair.b) * np.float32(pair.scale)
    rows, columns = tensor.shape
    step = max(1, AT_ONCE // columns)
    for begin in range(0, rows, step):
        part = slice(begin, begin + step)
        numbers = to_float32(weights[part], tensor.dtype)
        numbers += b[part] @ a
        try:
            merged = from_float32(numbers, tensor.dtype)
        except OverflowError as error:
            raise StartupError(f"{tensor.name}: {error}; it cannot be merged") from error
        yield merged.tobytes()
