from __future__ import annotations

import pytest

from paddock.weights.needs import choose_slots, choose_threads

GIB = 1024**3


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
        assert choose_slots(cache_bytes, 8192, memory) == slots


class TestChooseThreads:
    @pytest.mark.parametrize(
        ("size", "cores", "threads"), [(4 << 20, 8, 1), (100 << 20, 8, 3), (1 << 30, 8, 8), (1 << 30, 2, 2)]
    )
    def test_small_models_do_not_share_their_work(self, size: int, cores: int, threads: int) -> None:
        assert choose_threads(size, cores) == threads
