from __future__ import annotations

from pathlib import Path

import pytest

from paddock.engines.llama_cpp.convert import convert
from paddock.engines.llama_cpp.gguf.header import Header, read_header
from paddock.engines.llama_cpp.sizing import choose_slots, choose_threads, size_engine
from paddock.errors import StartupError
from tests.unit.engines.tiny import write_llama

GIB = 1024**3


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    return convert(write_llama(folder / "tiny"), folder / "cache")


class TestReadHeader:
    def test_a_converted_model(self, weights: Path) -> None:
        # 2 layers, 2 heads of 16 numbers, keys and values, 2 bytes each.
        assert read_header(weights) == Header("llama", 512, 2 * 2 * 16 * 2 * 2, embeds=False)

    @pytest.mark.parametrize("content", [b"", b"GGU", b"nothing of the kind", b"GGUF", b"GGUF\3\0\0\0\1"])
    def test_what_is_no_gguf_file(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "x.gguf").write_bytes(content)
        with pytest.raises(StartupError, match=r"x\.gguf is not a (complete )?GGUF file"):
            read_header(tmp_path / "x.gguf")


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


class TestChooseSlots:
    @pytest.mark.parametrize(
        ("cache_bytes", "memory", "slots"),
        [
            (1024, 16 * GIB, 16),
            (32 * 1024, 16 * GIB, 8),  # Llama 3.2 1B: 256 MiB for each request
            (32 * 1024, 4 * GIB, 2),
            (128 * 1024, 16 * GIB, 2),  # a model of 7B
            (128 * 1024, 2 * GIB, 1),
            (128 * 1024, 512 * GIB, 4),
        ],
    )
    def test_the_cache_takes_an_eighth_of_the_memory_at_most(
        self, cache_bytes: int, memory: int, slots: int
    ) -> None:
        assert choose_slots(Header("llama", 8192, cache_bytes, embeds=False), 8192, memory) == slots


class TestChooseThreads:
    @pytest.mark.parametrize(
        ("size", "cores", "threads"), [(4 << 20, 8, 1), (100 << 20, 8, 3), (1 << 30, 8, 8), (1 << 30, 2, 2)]
    )
    def test_small_models_do_not_share_their_work(self, size: int, cores: int, threads: int) -> None:
        assert choose_threads(size, cores) == threads
