from __future__ import annotations

import math

import pytest

from paddock.control.batches.window import QUIET_SECONDS, REFUSED_SECONDS, Window
from tests.unit.control.batches.engine_model import Curve, run

MOST = 1024


def plateau(rows: int, rate: float = 1000.0) -> Curve:
    """Grows evenly up to so many rows."""
    return lambda count: rate * min(count, rows) / rows


def bend(half: float, rate: float = 4000.0) -> Curve:
    """Comes ever closer to its rate, and to half of it with `half` rows."""
    return lambda count: rate * count / (count + half)


def peak(rows: int, rate: float = 1000.0) -> Curve:
    """Grows evenly up to so many rows, and gets slower with more."""
    return lambda count: plateau(rows, rate)(count) * min(1.0, max(0.3, 1 - 0.02 * (count - rows)))


CURVES = {
    "one row": plateau(1),
    "four rows": plateau(4),
    "slots": plateau(32),
    "a bend": bend(20),
    "a wide bend": bend(60),
    "a peak": peak(16),
}


class TestAlone:
    @pytest.mark.parametrize("slots", [1, 2, 8, 64, 256])
    def test_what_the_engine_tells_is_taken_with_some_that_wait_in_it(self, slots: int) -> None:
        window = Window(slots, MOST)
        told = run(window, plateau(slots, 100.0 * slots), 40.0)
        limits = {limit for _, _, limit in told.limits}
        assert limits == {slots + max(1, slots // 4)}

    @pytest.mark.parametrize("name", CURVES)
    def test_finds_what_is_best_where_nothing_is_told(self, name: str) -> None:
        curve = CURVES[name]
        told = run(Window(0, MOST), curve, 150.0)
        best = max(curve(count) for count in range(1, MOST + 1))
        assert curve(told.limits[-1][2]) >= 0.9 * best

    @pytest.mark.parametrize("most", [1, 2, 3, 5, 100])
    def test_is_never_more_than_there_may_be(self, most: int) -> None:
        for slots in (0, 1, 8, 500):
            told = run(Window(slots, most), bend(200), 30.0)
            assert all(1 <= limit <= most for _, _, limit in told.limits)

    def test_long_pauses_are_no_slow_engine(self) -> None:
        window = Window(0, MOST)
        curve = plateau(32)
        run(window, curve, 60.0)
        before = window.limit(1000.0, 0, -math.inf)
        window.answered(5000.0, 1.0, True)
        window.answered(9000.0, 1.0, True)
        assert window.limit(9000.0, 0, -math.inf) == before

    @pytest.mark.parametrize("seed", range(4))
    @pytest.mark.parametrize("name", CURVES)
    def test_finds_it_though_answers_differ_in_length(self, name: str, seed: int) -> None:
        curve = CURVES[name]
        told = run(Window(0, MOST), curve, 300.0, seed=seed, spread=0.8)
        assert curve(told.limits[-1][2]) >= 0.9 * max(curve(count) for count in range(1, MOST + 1))

    @pytest.mark.parametrize("seed", range(6))
    def test_finds_it_though_they_differ_very_much(self, seed: int) -> None:
        curve = bend(20)
        told = run(Window(0, MOST), curve, 300.0, seed=seed, spread=0.95)
        assert curve(told.limits[-1][2]) >= 0.9 * curve(MOST)


class TestBesidePeople:
    @pytest.mark.parametrize("slots", [1, 4, 8, 32, 100])
    def test_makes_room_at_once(self, slots: int) -> None:
        window = Window(slots, MOST)
        run(window, plateau(slots), 30.0)
        full = window.limit(30.0, 0, -math.inf)
        assert window.limit(30.0, 1, 30.0) <= max(1, full // 8 + 1)

    @pytest.mark.parametrize("slots", [1, 4, 8, 32, 100])
    @pytest.mark.parametrize("name", CURVES)
    def test_is_bounded_and_never_stops(self, slots: int, name: str) -> None:
        told = run(
            Window(slots, MOST),
            CURVES[name],
            120.0,
            spread=0.5,
            people=lambda now: 2 if now > 20 and now % 1.0 < 0.6 else 0,
        )
        full = slots + max(1, slots // 4)
        beside = [limit for at, _, limit in told.limits if at > 20]
        assert min(beside) >= 1
        assert max(beside) <= max(1, full // 3)
        assert max(limit for at, here, limit in told.limits if at > 20 and here) <= max(1, full // 6)

    def test_waits_a_while_for_the_next_request(self) -> None:
        window = Window(32, MOST)
        full = window.limit(100.0, 0, -math.inf)
        assert window.limit(100.0, 0, 100.0) < full
        assert window.limit(100.0 + QUIET_SECONDS - 0.01, 0, 100.0) < full
        assert window.limit(100.0 + QUIET_SECONDS + 0.01, 0, 100.0) == full

    def test_is_as_fast_as_before_once_they_are_gone(self) -> None:
        curve = plateau(32)
        told = run(Window(32, MOST), curve, 100.0, people=lambda now: 3 if 30 < now < 60 else 0)
        assert told.rate(70.0, 100.0) >= 0.95 * told.rate(5.0, 30.0)

    def test_what_was_answered_beside_them_does_not_teach_how_much_is_best(self) -> None:
        curve = plateau(64)
        told = run(Window(0, MOST), curve, 150.0, people=lambda now: 4 if now < 60 else 0)
        assert curve(told.limits[-1][2]) >= 0.9 * curve(64)


class TestRefused:
    def test_asks_for_less(self) -> None:
        window = Window(32, MOST)
        before = window.limit(0.0, 0, -math.inf)
        window.refused(0.0)
        assert window.limit(0.0, 0, -math.inf) == before // 2

    def test_many_at_once_are_one(self) -> None:
        window = Window(32, MOST)
        window.refused(0.0)
        once = window.limit(0.0, 0, -math.inf)
        for turn in range(20):
            window.refused(turn * REFUSED_SECONDS / 20)
        assert window.limit(0.0, 0, -math.inf) == once

    def test_is_got_over(self) -> None:
        window = Window(32, MOST)
        before = window.limit(0.0, 0, -math.inf)
        for turn in range(5):
            window.refused(turn * (REFUSED_SECONDS + 1))
        assert window.limit(15.0, 0, -math.inf) < before // 4
        told = run(window, plateau(32), 300.0)
        assert told.limits[-1][2] >= 0.9 * before

    def test_never_to_nothing(self) -> None:
        window = Window(32, MOST)
        for turn in range(50):
            window.refused(turn * (REFUSED_SECONDS + 1))
        assert window.limit(1e6, 0, -math.inf) == 1
        assert window.limit(1e6, 5, 1e6) == 1
