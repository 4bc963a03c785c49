"""What is shown of how far a fine-tune is."""

from __future__ import annotations

from typing import Any

import pytest

from paddock.cli.finetune_losses import Losses
from paddock.cli.finetune_progress import display, standing
from tests.unit.cli.own_server import CREATED
from tests.unit.cli.test_finetune import EVENTS, job


def measured() -> Losses:
    losses = Losses()
    losses.take(EVENTS)
    return losses


class TestStanding:
    @pytest.mark.parametrize(
        ("found", "phase", "text"),
        [
            (job("queued", total=0, done=0), "queued", ""),
            (
                job("running", phase="validating", total=0, message="waiting for another\x1b fine-tune"),
                "fetching the rows",
                "waiting for another fine-tune",
            ),
            (job("running", done=0, message="learning"), "learning", "step 0 of 600"),
            (
                job("running", phase="finishing", done=600, message="storing what was learned"),
                "storing",
                "step 600 of 600 · storing what was learned",
            ),
            (job("running", cancel_requested_at=CREATED), "cancelling", "step 120 of 600"),
            (job("failed", message="the process died"), "failed", "step 120 of 600"),
        ],
    )
    def test_before_anything_is_measured(self, found: dict[str, Any], phase: str, text: str) -> None:
        shown = standing(found, Losses())
        assert (shown.phase, str(shown)) == (phase, text)

    def test_while_it_learns(self) -> None:
        shown = standing(job("running"), measured())
        assert str(shown) == "step 120 of 600 · loss 0.31 · validation 1.2 · 45 rows/s · 12 s left"

    def test_when_it_is_over_nothing_is_left(self) -> None:
        assert str(standing(job(), measured())) == "step 600 of 600 · loss 0.31 · validation 1.2"


def test_lines_where_there_is_no_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr("paddock.cli.progress_lines.time.monotonic", lambda: now)
    with display() as shown:
        for _ in range(5):
            shown.show(standing(job("queued", total=0, done=0), Losses()))
            now += 4.0
        for done in range(5):
            shown.show(standing(job("running", done=done, message=f"step {done} of 9", total=9), Losses()))
            now += 4.0
        shown.say("away\x1b[2J")
    assert capsys.readouterr().err.splitlines() == [
        "queued",
        "learning: step 0 of 9",
        "learning: step 3 of 9",
        "away[2J",
    ]
