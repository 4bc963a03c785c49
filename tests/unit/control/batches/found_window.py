"""Bugs found: failing tests (not collected). `pytest tests/unit/control/batches/found_window.py` runs them."""

from __future__ import annotations

import pytest

from paddock.control.batches.window import Window
from tests.unit.control.batches.engine_model import run
from tests.unit.control.batches.test_window import CURVES, MOST


class TestAlone:
    @pytest.mark.parametrize("seed", range(4))
    @pytest.mark.parametrize("name", CURVES)
    def test_finds_what_is_best_though_answers_differ_in_length(self, name: str, seed: int) -> None:
        curve = CURVES[name]
        told = run(Window(0, MOST), curve, 300.0, seed=seed, spread=0.8)
        assert curve(told.limits[-1][2]) >= 0.9 * max(curve(count) for count in range(1, MOST + 1))
