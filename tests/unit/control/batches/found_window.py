"""Bugs found: failing tests (not collected)."""

from __future__ import annotations

import math

import pytest

from paddock.control.batches.window import Window
from tests.unit.control.batches.engine_model import run
from tests.unit.control.batches.test_window import MOST, bend, plateau


class TestRefused:
    def test_is_got_over(self) -> None:
        window = Window(32, MOST)
        before = window.limit(0.0, 0, -math.inf)
        for turn in range(5):
            window.refused(turn * 3.0)
        told = run(window, plateau(32), 300.0)
        assert told.limits[-1][2] >= 0.9 * before


class TestAlone:
    @pytest.mark.parametrize("seed", range(12))
    def test_finds_what_is_best_though_answers_differ_in_length(self, seed: int) -> None:
        curve = bend(20)
        told = run(Window(0, MOST), curve, 300.0, seed=seed, spread=0.95)
        assert told.rate(200.0, 300.0) >= 0.9 * 4000
