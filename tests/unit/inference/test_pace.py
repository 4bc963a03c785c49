import math

import pytest

from paddock.inference.pace import Pace


class TestPace:
    def test_nothing_is_known_before_the_first_answer(self) -> None:
        assert math.isinf(Pace(4).longest(1))

    def test_nothing_is_known_of_an_engine_with_unknown_slots(self) -> None:
        pace = Pace()
        pace.note(100, 1.0, 1)
        assert math.isinf(pace.longest(1))

    @pytest.mark.parametrize(("at_once", "seconds"), [(1, 4.0), (2, 2.0), (100, 1.0), (-3.0, 4.0)])
    def test_every_slot_is_taken_to_be_busy(self, at_once: float, seconds: float) -> None:
        """What was answered beside it took its share; what only waited, or asked an engine before it, not."""
        pace = Pace(4)
        pace.note(100, 1.0, at_once)
        assert math.isclose(pace.longest(100), seconds)
        assert math.isclose(pace.longest(50), seconds / 2)

    def test_a_slower_answer_counts_at_once_and_quicker_ones_bit_by_bit(self) -> None:
        pace = Pace(1)
        pace.note(100, 1.0, 1)
        pace.note(100, 4.0, 1)
        assert math.isclose(pace.longest(100), 4.0)
        pace.note(100, 1.0, 1)
        assert 3.0 < pace.longest(100) < 4.0
        for _ in range(100):
            pace.note(100, 1.0, 1)
        assert math.isclose(pace.longest(100), 1.0, rel_tol=0.01)

    def test_a_short_answer_says_nothing(self) -> None:
        pace = Pace(1)
        pace.note(3, 10.0, 1)
        assert math.isinf(pace.longest(1))
