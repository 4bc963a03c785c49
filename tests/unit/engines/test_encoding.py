from __future__ import annotations

import numpy as np
import pytest
from gguf import GGMLQuantizationType, quants

from paddock.engines.llama_cpp.gguf.encoding import encode, encoded_size, to_q8_0
from paddock.weights.numbers import to_bfloat16, to_float32

NUMBERS = np.concatenate(
    [
        np.random.default_rng(1).normal(0, 1, 4000),
        np.zeros(32),
        [0.5, 1.5, 2.5, -0.5, 127, -127, 1e-30, 3e38] * 8,
    ]
).astype(np.float32)


class TestEncode:
    def test_bfloat16_rounds_as_the_gguf_package(self) -> None:
        expected = quants.quantize(NUMBERS, GGMLQuantizationType.BF16).view(np.uint16)
        assert np.array_equal(to_bfloat16(NUMBERS), expected)

    def test_bfloat16_keeps_nan_and_infinity(self) -> None:
        back = to_float32(to_bfloat16(np.array([np.nan, np.inf, -np.inf], np.float32)), "BF16")
        assert np.isnan(back[0])
        assert back[1:].tolist() == [np.inf, -np.inf]

    def test_q8_0_is_what_the_gguf_package_writes(self) -> None:
        numbers = NUMBERS[:4032].reshape(2, -1)
        expected = quants.quantize(numbers, GGMLQuantizationType.Q8_0)
        assert np.array_equal(to_q8_0(numbers), expected)

    def test_a_number_beyond_f16_is_refused(self) -> None:
        with pytest.raises(OverflowError, match="65504"):
            encode(np.array([70000.0], np.float32), "F32", "F16")

    def test_the_same_type_is_passed_on_untouched(self) -> None:
        raw = np.arange(4, dtype=np.uint16)
        assert encode(raw, "BF16", "BF16") is raw

    @pytest.mark.parametrize(("kind", "size"), [("F32", 256), ("F16", 128), ("BF16", 128), ("Q8_0", 68)])
    def test_sizes(self, kind: str, size: int) -> None:
        assert encoded_size(64, kind) == size
        assert encode(np.ones(64, np.float32), "F32", kind).nbytes == size
