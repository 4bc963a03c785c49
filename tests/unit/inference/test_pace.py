import math

from paddock.inference.pace import Pace


class TestPace:
    def test_nothing_is_known_before_the_first_answer(self) -> None:
        assert math.isinf(Pace(4).longest(1))

    def test_nothing_is_known_of_an_engine_with_unknown_slots(self) -> None:
        pace = Pace()
        pace.note(100, 1.0, 1)
        assert math.isinf(pace.longest(1))

    def test_every_slot_is_taken_to_be_busy(self) -> None:
        pace = Pace(4)
        pace.note(100, 1.0, 1)
        assert math.isclose(pace.longest(50), 2.0)

    def test_what_was_answered_beside_it_took_its_share(self) -> None:
        pace = Pace(4)
        pace.note(100, 1.0, 2)
        assert math.isclose(pace.longest(50), 1.0)

    def test_those_that_only_waited_did_no_work(self) -> None:
        pace = Pace(4)
        pace.note(100, 1.0, 100)
        assert math.isclose(pace.longest(100), 1.0)

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

    def test_replicas_that_were_replaced_meanwhile_count_as_one_request(self) -> None:
        pace = Pace(1)
        pace.note(100, 1.0, -3.0)
        assert math.isclose(pace.longest(100), 1.0)
