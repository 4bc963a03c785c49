from __future__ import annotations

import pytest

from paddock.services.finetunes.split import Divided, split


async def divided(rows: int, seed: int, at_once: int) -> tuple[list[int], list[int]]:
    """The numbers of rows that were written to each place."""
    training: list[bytes] = []
    validation: list[bytes] = []

    async def train(lines: bytes) -> None:
        training.extend(lines.splitlines())

    async def validate(lines: bytes) -> None:
        validation.extend(lines.splitlines())

    division = Divided(seed, train, validate)
    for start in range(0, rows, at_once):
        await division.write(b"".join(b"%d\n" % i for i in range(start, min(rows, start + at_once))))
    await division.finish()
    assert (division.training_rows, division.validation_rows) == (len(training), len(validation))
    return [int(one) for one in training], [int(one) for one in validation]


class TestSplit:
    @pytest.mark.parametrize(("rows", "kept"), [(0, 0), (9, 0), (10, 1), (19, 1), (20, 2), (1234, 123)])
    def test_a_tenth(self, rows: int, kept: int) -> None:
        found = split(rows, 0)
        assert len(found) == len(set(found)) == kept
        assert all(0 <= number < rows for number in found)
        assert found == sorted(found)

    def test_the_seed_decides(self) -> None:
        assert split(300, 1) == split(300, 1) != split(300, 2)
        assert {number % 10 for number in split(1000, 0)} == set(range(10))


class TestDivided:
    @pytest.mark.parametrize("at_once", [1, 3, 10, 25, 1000])
    @pytest.mark.parametrize("rows", [0, 3, 10, 47])
    async def test_both_places_hold_what_split_says(self, rows: int, at_once: int) -> None:
        training, validation = await divided(rows, 7, at_once)
        assert validation == split(rows, 7)
        assert training == [number for number in range(rows) if number not in validation]
