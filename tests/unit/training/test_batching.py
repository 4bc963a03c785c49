from __future__ import annotations

import pytest

from paddock.training.batching import epoch_batches, parts, steps_of_epoch, total_steps

LENGTHS = [(index * 37) % 101 + 1 for index in range(500)]


class TestTotalSteps:
    @pytest.mark.parametrize(
        ("rows", "batch_size", "epochs", "steps"),
        [(10, 4, 1, 3), (10, 4, 2, 6), (30, 1, 0.1, 3), (10, 4, 0.5, 2), (1, 8, 0.01, 1), (12, 4, 3, 9)],
    )
    def test_counts_the_smaller_last_batch(
        self, rows: int, batch_size: int, epochs: float, steps: int
    ) -> None:
        assert total_steps(rows, batch_size, epochs) == steps


class TestEpochBatches:
    @pytest.mark.parametrize("group_by_length", [True, False])
    @pytest.mark.parametrize("epoch", [0, 1, 7])
    def test_have_every_row_once(self, group_by_length: bool, epoch: int) -> None:
        batches = epoch_batches(LENGTHS, 8, seed=3, epoch=epoch, group_by_length=group_by_length)
        assert sorted(index for batch in batches for index in batch) == list(range(500))
        assert len(batches) == steps_of_epoch(500, 8)
        assert sorted(map(len, batches))[1:] == [8] * 62

    def test_depend_on_the_seed_and_the_epoch_alone(self) -> None:
        first = epoch_batches(LENGTHS, 8, 1, 0, True)
        assert first == epoch_batches(LENGTHS, 8, 1, 0, True)
        assert first != epoch_batches(LENGTHS, 8, 2, 0, True)
        assert first != epoch_batches(LENGTHS, 8, 1, 1, True)

    def test_group_rows_of_like_length(self) -> None:
        grouped, plain = (_padding(epoch_batches(LENGTHS, 8, 0, 1, group)) for group in (True, False))
        assert grouped < plain / 4

    def test_begin_with_the_largest(self) -> None:
        first, *others = epoch_batches(LENGTHS, 8, 0, 0, True)
        assert all(_places(first) >= _places(other) for other in others)


class TestParts:
    def test_split_a_batch_for_accumulation(self) -> None:
        assert parts(list(range(8)), 8, 2) == [[0, 1, 2, 3], [4, 5, 6, 7]]
        assert parts([0, 1, 2], 8, 2) == [[0, 1, 2]]
        assert parts([0, 1], 2, 4) == [[0], [1]]


def _places(batch: list[int]) -> int:
    return len(batch) * max(LENGTHS[index] for index in batch)


def _padding(batches: list[list[int]]) -> int:
    return sum(map(_places, batches)) - sum(LENGTHS)
