"""Which tensors a safetensors checkpoint has: one file, or shards behind an index. Reads headers only.

The format is a little-endian u64 (length of the header), the header as JSON (`name` -> `dtype`, `shape`,
`data_offsets` relative to the end of the header), then the raw tensors.
"""

from __future__ import annotations

import json
import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paddock.errors import StartupError

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
LARGEST_HEADER = 256 * 1024 * 1024
WIDTHS = {
    "F64": 8,
    "F32": 4,
    "F16": 2,
    "BF16": 2,
    "I64": 8,
    "I32": 4,
    "I16": 2,
    "I8": 1,
    "U8": 1,
    "BOOL": 1,
    "F8_E4M3": 1,
    "F8_E5M2": 1,
}


@dataclass(frozen=True)
class Tensor:
    """Where one tensor lies. `shape` is in rows-first order; `offset`, from the file's start, and `size` are
    bytes.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    file: Path
    offset: int
    size: int


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a checkpoint, in order.

    Raises:
        StartupError: there are none (with what to do about a `.bin` checkpoint), or one is missing.
    """
    if (folder / INDEX).is_file():
        try:
            shards = json.loads((folder / INDEX).read_bytes())["weight_map"].values()
            files = [folder / name for name in sorted(set(shards))]
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            raise StartupError(f"{folder / INDEX} is not a safetensors index: {error}") from error
    else:
        files = [folder / SINGLE] if (folder / SINGLE).is_file() else sorted(folder.glob("*.safetensors"))
    missing = [file.name for file in files if not file.is_file()]
    if missing:
        raise StartupError(
            f"{folder} is incomplete: {missing[0]} is missing ({len(missing)} of {len(files)} shards)"
        )
    if not files and (any(folder.glob("*.bin")) or any(folder.glob("*.pth"))):
        raise StartupError(
            f"{folder} holds PyTorch pickles (.bin), which can run code when read. Convert them once with "
            "transformers: AutoModelForCausalLM.from_pretrained(folder).save_pretrained(new_folder)"
        )
    if not files:
        raise StartupError(f"{folder} holds no model: neither {SINGLE} nor {INDEX} is there")
    return files


def read_index(folder: Path) -> dict[str, Tensor]:
    """Every tensor of a checkpoint by name.

    Raises:
        StartupError: the weights are missing, unreadable, truncated or no safetensors.
    """
    tensors: dict[str, Tensor] = {}
    for file in weight_files(folder):
        try:
            tensors.update(_read_header(file))
        except OSError as error:
            raise StartupError(f"cannot read {file}: {error.strerror}") from error
    return tensors


def _read_header(file: Path) -> dict[str, Tensor]:
    size = file.stat().st_size
    with file.open("rb") as stream:
        start = stream.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else LARGEST_HEADER + 1
        if length > min(LARGEST_HEADER, size - 8):
            hint = " (a Git LFS pointer: run `git lfs pull`)" if start.startswith(b"version ") else ""
            raise StartupError(f"{file} is not a safetensors file, or was cut short{hint}")
        raw = stream.read(length)
    try:
        header = json.loads(raw)
        header.pop("__metadata__", None)
        tensors = {name: _tensor(file, name, entry, 8 + length) for name, entry in header.items()}
        end = max((entry["data_offsets"][1] for entry in header.values()), default=0)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise StartupError(f"{file} has a broken safetensors header: {error}") from error
    if size < 8 + length + end:
        raise StartupError(f"{file} was cut short: {size} bytes of {8 + length + end}")
    return tensors


def _tensor(file: Path, name: str, entry: dict[str, Any], base: int) -> Tensor:
    start, end = entry["data_offsets"]
    dtype, shape = entry["dtype"], tuple(int(n) for n in entry["shape"])
    width = WIDTHS.get(dtype)
    if start < 0 or min(shape, default=0) < 0 or (width and end - start != math.prod(shape) * width):
        raise ValueError(f"tensor {name} has {end - start} bytes, which its shape {shape} of {dtype} denies")
    return Tensor(name, dtype, shape, file, base + start, end - start)
