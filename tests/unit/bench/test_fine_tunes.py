"""What the benchmarks of fine-tuning compute from what they are told."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bench import steady, tuning
from bench.asking import Asked
from bench.fine_tune_kills import Run
from bench.steady import Sent
from bench.training_rate import FIRST, steady_rate

JOB: dict[str, Any] = {"created_at": 10.0, "finished_at": 21.5, "times": {"finishing": 21.0}}


def step(number: int, rate: float) -> dict[str, Any]:
    return {"kind": "step", "step": number, "rate": rate}


class TestTimeline:
    def events(self, last: float) -> list[dict[str, Any]]:
        return [{"kind": "learning", "at": 12.0}, {"kind": "step", "at": 13.0}, {"kind": "step", "at": last}]

    def test_it_is_saved_by_the_process_s_own_stopwatch(self) -> None:
        line = tuning.timeline_of(JOB, self.events(19.0), 8.0)
        assert (line.learning, line.stepped, line.saved, line.stored, line.completed) == (
            12,
            19,
            20,
            21,
            21.5,
        )

    def test_it_is_not_saved_before_the_last_step_is_told(self) -> None:
        assert tuning.timeline_of(JOB, self.events(20.1), 8.0).saved == 20.1


class TestSteadyRate:
    def test_the_first_steps_do_not_count(self) -> None:
        said = [{"kind": "began"}, *(step(number, 1.0) for number in range(1, FIRST + 1))]
        said += [step(FIRST + 1, 80.0), step(FIRST + 4, 40.0), {"kind": "done"}]
        # 8 rows in 0.1 s, then 24 in 0.6 s.
        assert steady_rate(said, 8) == pytest.approx(32 / 0.7)


class TestSteadyLoad:
    def test_what_was_under_way_counts(self) -> None:
        sent = [Sent(at, Asked(1.0, "")) for at in (0.0, 1.5, 3.0, 5.0)]
        assert steady.within(sent, 2.0, 4.0) == sent[1:3]


class TestDifference:
    def run(self, **weights: list[float]) -> Run:
        return Run("it", [], 1.0, {name: np.array(numbers) for name, numbers in weights.items()})

    def test_is_the_largest(self) -> None:
        one, other = self.run(a=[1.0, 2.0], b=[0.0]), self.run(a=[1.0, 2.25], b=[-0.125])
        assert one.difference(other) == 0.25

    def test_other_tensors_are_an_error(self) -> None:
        with pytest.raises(RuntimeError, match="other tensors"):
            self.run(a=[1.0]).difference(self.run(a=[1.0], b=[1.0]))
