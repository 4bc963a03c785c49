from __future__ import annotations

import math

import pytest

from paddock.errors import JobFailed
from paddock.schemas.training import Recipe, Scheduler
from paddock.training.progress import Progress, check_converging, learning_rate


def _recipe(scheduler: Scheduler, warmup_steps: int = 0) -> Recipe:
    return Recipe(
        epochs=1,
        batch_size=1,
        learning_rate=0.1,
        scheduler=scheduler,
        warmup_steps=warmup_steps,
        max_length=8,
        evaluate_every=1,
        save_every=1,
    )


class TestLearningRate:
    def test_rises_in_the_warm_up(self) -> None:
        rates = [learning_rate(_recipe("constant", 4), step, 10) for step in range(1, 7)]
        assert rates == pytest.approx([0.025, 0.05, 0.075, 0.1, 0.1, 0.1])

    @pytest.mark.parametrize("scheduler", ["cosine", "linear"])
    def test_falls_from_the_peak_and_never_to_nothing(self, scheduler: Scheduler) -> None:
        rates = [learning_rate(_recipe(scheduler, 2), step, 12) for step in range(3, 13)]
        assert rates[0] == 0.1
        assert rates == sorted(rates, reverse=True)
        assert 0 < rates[-1] < 0.02

    def test_copes_with_a_warm_up_longer_than_the_training(self) -> None:
        assert learning_rate(_recipe("cosine", 20), 10, 10) == pytest.approx(0.05)


class TestProgress:
    def test_counts_evaluations_since_the_best(self) -> None:
        progress = Progress()
        assert [progress.evaluated(loss) for loss in (3.0, 2.0, 2.5, 2.0)] == [True, True, False, False]
        assert (progress.best_loss, progress.validation_loss, progress.worse) == (2.0, 2.0, 2)
        assert progress.exhausted(2)
        assert not progress.exhausted(3)
        assert not progress.exhausted(0)

    def test_comes_back_from_its_values(self) -> None:
        progress = Progress()
        progress.stepped(4.0, 17)
        progress.stepped(2.0, 13)
        assert Progress(**progress.as_dict()) == progress
        assert progress.training_loss(1) == 2.0
        assert progress.training_loss(9) == 3.0
        assert (progress.step, progress.tokens, progress.first_loss) == (2, 30, 4.0)


class TestCheckConverging:
    @pytest.mark.parametrize("loss", [math.nan, math.inf])
    def test_refuses_what_is_no_number(self, loss: float) -> None:
        progress = Progress()
        progress.stepped(loss, 1)
        with pytest.raises(JobFailed, match=r"lower learning_rate than 0\.1") as caught:
            check_converging(progress, 1000, 0.1)
        assert caught.value.code == "diverged"

    def test_refuses_a_loss_that_explodes(self) -> None:
        progress = Progress()
        progress.stepped(2.0, 1)
        for _ in range(25):
            progress.stepped(12.0, 1)
        with pytest.raises(JobFailed, match=r"from 2\.00 to 12\.00"):
            check_converging(progress, 1000, 0.1)

    def test_refuses_a_model_that_takes_every_token_for_as_likely(self) -> None:
        progress = Progress()
        for loss in [7.9] + [math.log(1000) + 1e-6] * 20:
            progress.stepped(loss, 1)
        with pytest.raises(JobFailed, match="no better than a guess"):
            check_converging(progress, 1000, 0.1)

    def test_bears_a_fresh_model_that_learns_slowly(self) -> None:
        progress = Progress()
        for step in range(30):
            progress.stepped(math.log(1000) + 0.01 * (-1) ** step, 1)
            check_converging(progress, 1000, 0.1)

    def test_bears_a_few_bad_steps(self) -> None:
        progress = Progress()
        for loss in [2.0] * 30 + [12.0] * 5:
            progress.stepped(loss, 1)
            check_converging(progress, 1000, 0.1)
