"""The numbers of a safetensors checkpoint, as numpy reads them."""

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
