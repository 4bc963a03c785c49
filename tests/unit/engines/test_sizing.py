from __future__ import annotations

from pathlib import Path

import pytest

from paddock.engines.llama_cpp.convert import convert
from paddock.engines.llama_cpp.sizing import size_engine
from paddock.errors import StartupError
from tests.unit.engines.tiny import write_llama


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    return convert(write_llama(folder / "tiny"), folder / "cache")


class TestSizeEngine:
    def test_the_models_own_context_by_default(self, weights: Path) -> None:
        options = size_engine(weights, "tiny", "key")
        assert (options.context_length, options.slots, options.batch) == (512, 16, 256)
        assert options.threads == 1
        assert "key" not in repr(options)

    def test_more_context_than_the_model_has(self, weights: Path) -> None:
        with pytest.raises(StartupError, match="512 tokens of context, not 1000"):
            size_engine(weights, "tiny", "key", context_length=1000)

    def test_what_is_given_is_taken(self, weights: Path) -> None:
        options = size_engine(weights, "tiny", "key", context_length=100, slots=3, threads=5, embeddings=True)
        assert (options.context_length, options.slots, options.threads) == (100, 3, 5)
        assert options.embeddings
        assert options.generates
