from __future__ import annotations

import pytest

from paddock.engines.llama_cpp.reason import explain

TRUNCATED = [
    "0.00.004.810 E llama_model_load: error loading model: tensor 'x' data is not within the file bounds",
    "0.00.004.823 E llama_model_load_from_file_impl: failed to load model",
    "0.00.005.409 E srv    load_model: failed to load model, 'broken.gguf'",
    "llama.cpp could not start: Failed to init server, please check the input params.",
]


class TestExplain:
    @pytest.mark.parametrize(
        ("lines", "reason"),
        [
            (TRUNCATED, "error loading model: tensor 'x' data is not within the file bounds"),
            (TRUNCATED[2:], "failed to load model, 'broken.gguf'"),
            (["warming up", "cannot run x: No such file"], "cannot run x: No such file"),
            (["one", "two"], "two"),
            ([], ""),
        ],
    )  # fmt: skip
    def test_the_first_complaint_is_the_cause(self, lines: list[str], reason: str) -> None:
        assert explain(lines) == reason
