"""Number formats: from what checkpoints hold to what llama.cpp reads. Checked against the `gguf` package."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from paddock.weights.numbers import Array, from_float32, to_float32

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
    return to_q8_0(numbers) if kind == "Q8_0" else from_float32(numbers, kind)


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
