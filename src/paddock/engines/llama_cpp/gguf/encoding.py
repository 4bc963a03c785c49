"""Number formats: from what checkpoints hold to what llama.cpp reads. Checked against the `gguf` package."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
WeightsType = Literal["F32", "F16", "BF16", "Q8_0"]

Q8_BLOCK = 32
Q8_BLOCK_BYTES = 34  # one F16 scale, 32 signed bytes
WIDTH = {"F32": 4, "F16": 2, "BF16": 2}


def encoded_size(count: int, kind: WeightsType) -> int:
    """Bytes of `count` numbers; for Q8_0 `count` must be a multiple of 32."""
    return count // Q8_BLOCK * Q8_BLOCK_BYTES if kind == "Q8_0" else count * WIDTH[kind]


def encode(raw: Array, dtype: str, kind: WeightsType) -> Array:
    """Numbers as read from a checkpoint (`dtype` F32, F16, or BF16 as uint16) in the wished format.

    Raises:
        OverflowError: a number does not fit F16.
    """
    if dtype == kind:
        return raw
    numbers = to_float32(raw, dtype)
    if kind == "F32":
        return numbers
    if kind == "BF16":
        return to_bfloat16(numbers)
    return to_float16(numbers) if kind == "F16" else to_q8_0(numbers)


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


def to_q8_0(numbers: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """Blocks of 32 numbers along the row: an F16 scale, then 32 signed bytes. The last axis becomes bytes."""
    blocks = numbers.reshape(-1, Q8_BLOCK)
    scale = np.abs(blocks).max(axis=1, keepdims=True) / np.float32(127)
    with np.errstate(divide="ignore"):
        inverse = np.where(scale == 0, np.float32(0), np.float32(1) / scale)
    scaled = blocks * inverse
    # llama.cpp rounds halves away from zero; numpy's rint would round them to even.
    quants = np.trunc(scaled + np.copysign(np.float32(0.5), scaled)).astype(np.int8)
    encoded = np.empty((blocks.shape[0], Q8_BLOCK_BYTES), np.uint8)
    encoded[:, :2] = scale.astype(np.float16).view(np.uint8)
    encoded[:, 2:] = quants.view(np.uint8)
    return encoded.reshape(*numbers.shape[:-1], -1)
