"""Losses as they come with events, and as they are drawn."""

from __future__ import annotations

import pytest

from paddock.cli.finetune_curve import draw
from paddock.cli.finetune_losses import Losses
from tests.unit.cli.test_finetune import EVENTS, evaluated, event, stepped


def losses(training: dict[int, float], validation: dict[int, float] | None = None) -> Losses:
    return Losses(training, validation or {})


class TestLosses:
    def test_from_events(self) -> None:
        found = Losses()
        found.take(EVENTS)
        assert found.training == {1: 2.5, 60: 1.0, 120: 0.31}
        assert found.validation == {60: 1.2}
        assert (found.rate, found.last, found.furthest) == (45.2, 6, 120)

    def test_a_step_that_is_taken_again(self) -> None:
        found = Losses()
        found.take([stepped(1, 10, 2.0), stepped(2, 20, 1.0)])
        found.take([stepped(3, 10, 1.9), evaluated(4, 20, 1.5)])
        assert found.training == {10: 1.9, 20: 1.0}
        assert found.validation == {20: 1.5}

    @pytest.mark.parametrize("loss", [None, float("nan"), float("inf")])
    def test_what_is_no_number_is_not_drawn(self, loss: float | None) -> None:
        found = Losses()
        found.take([stepped(1, 10, loss), event(2, "step")])
        assert not found
        assert found.last == 2

    def test_the_time_left_shrinks_with_the_steps(self) -> None:
        found = Losses()
        assert found.seconds_left(0, 600) is None
        found.take([stepped(1, 100, 2.0, seconds_left=50.0)])
        assert found.seconds_left(100, 600) == pytest.approx(50.0)
        assert found.seconds_left(350, 600) == pytest.approx(25.0)
        assert found.seconds_left(600, 600) == 0.0


class TestDraw:
    def test_nothing(self) -> None:
        assert draw(Losses(), 100) == []

    def test_a_line_that_falls(self) -> None:
        found = losses({1: 4.0, 10: 1.0}, {10: 4.0})
        assert draw(found, 10, width=13, height=2) == [
            "4 ┤█▆▅▃▁    ◆",
            "1 ┤██████▆▄▃▁",
            "  └──────────",
            "   1  step 10",
            "   █ training 1   ◆ validation 4",
        ]

    def test_losses_far_apart(self) -> None:
        found = losses({1: 10.0, 2: 1.0, 3: 0.1})
        assert draw(found, 3, width=17, height=4)[:4] == [
            " 10 ┤█▇▆▄▂",
            "    ┤█████▇▁",
            "    ┤███████▇▅▃",
            "0.1 ┤███████████▁",
        ]
        assert draw(found, 3)[-1].endswith("log scale")

    @pytest.mark.parametrize("width", [20, 72])
    def test_it_is_as_wide_as_is_allowed(self, width: int) -> None:
        found = losses({step: 1 / step for step in range(1, 5000)}, {2500: 0.5, 4999: 0.1})
        curve = draw(found, 5000, width, height=5)[:-1]
        assert len(curve) == 7
        assert max(len(line) for line in curve) == width

    def test_the_rest_of_the_steps_is_empty(self) -> None:
        curve = draw(losses({1: 2.0, 50: 1.0}), 100, width=44, height=3)
        assert max(len(line) for line in curve[:3]) < 30

    @pytest.mark.parametrize("known", [{1: 0.5}, {1: 0.5, 2: 0.5}, {0: 0.0}])
    def test_all_the_same(self, known: dict[int, float]) -> None:
        assert "█" in "".join(draw(losses(known), 1, height=3)[:3])

    def test_validation_alone(self) -> None:
        curve = draw(losses({}, {5: 1.0, 10: 2.0}), 10)
        assert "".join(curve[:-1]).count("◆") == 2
        assert "training" not in curve[-1]
