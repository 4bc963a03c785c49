"""The numbers of a safetensors checkpoint, as numpy reads and writes them.

It is imported when it is needed: numpy takes a tenth of a second, which a start of the server must not pay.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from paddock.weights.safetensors_header import Tensor

# numpy has no bfloat16, so those two bytes are read as they are.
STORAGE = {"F32": "<f4", "F16": "<f2", "BF16": "<u2"}

Array = npt.NDArray[Any]


def open_tensor(tensor: Tensor) -> Array:
    """A read-only map of the file, shape `tensor.shape`, of a type in STORAGE; bf16 comes as uint16."""
    return np.memmap(
        tensor.file, dtype=STORAGE[tensor.dtype], mode="r", offset=tensor.offset, shape=tensor.shape
    )


def to_float32(raw: Array, dtype: str) -> npt.NDArray[np.float32]:
    if dtype == "BF16":
        return (raw.astype(np.uint32) << 16).view(np.float32)
    return raw.astype(np.float32)


def to_float16(numbers: npt.NDArray[np.float32]) -> npt.NDArray[np.float16]:
    """Raises OverflowError where a number is too large: silently infinite weights answer nonsense."""
    with np.errstate(over="ignore"):
        result = numbers.astype(np.float16)
    if np.isinf(result).any() and not np.isinf(numbers).any():
        raise OverflowError("a weight is beyond 65504, the largest F16 number")
    return result


def to_bfloat16(numbers: npt.NDArray[np.float32]) -> npt.NDArray[np.uint16]:
    """The upper 16 bits of each number, rounded to nearest, ties to even."""
    bits = np.ascontiguousarray(numbers).view(np.uint32)
    rounded = (bits + (((bits >> 16) & 1) + np.uint32(0x7FFF))) >> 16
    # Rounding would carry a NaN's mantissa over into infinity.
    nan = np.isnan(numbers)
    return np.where(nan, (bits >> 16) | 0x40, rounded).astype(np.uint16)


def from_float32(numbers: npt.NDArray[np.float32], dtype: str) -> Array:
    """As a checkpoint holds them: the inverse of `to_float32`, rounded.

    Raises:
        OverflowError: a number does not fit F16.
    """
    if dtype == "F32":
        return numbers
    return to_bfloat16(numbers) if dtype == "BF16" else to_float16(numbers)
