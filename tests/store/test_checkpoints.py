"""The checkpoint of a fine-tune is what came of it, with what was measured at the step of its weights."""

from __future__ import annotations

import time
from typing import Any

import pytest

from paddock.schemas.jobs import Job
from paddock.services import adapters, events, jobs
from paddock.services.adapters import Adapter
from paddock.services.deployments import LOCAL
from paddock.services.finetunes import checkpoints
from paddock.services.finetunes.checkpoints import Checkpoint
from paddock.services.finetunes.spec import KIND
from paddock.services.jobs import NewJob
from paddock.services.platform import Platform
from paddock.store.sessions import ChangeSession
from paddock.store.tables import JobRow

TOLD = [
    ("step", 5, 0.9),
    ("evaluated", 5, 0.8),
    ("step", 10, 0.5),
    ("evaluated", 10, 0.4),
    ("step", 15, 0.2),
    ("evaluated", 15, 0.6),
]


async def finished(platform: Platform, patience: int, outcome: dict[str, Any]) -> Job:
    """A fine-tune that is over, with its adapter and the events `TOLD`."""
    spec = {"adapter_id": "adp-1", "recipe": {"patience": patience}}
    job = await jobs.create(platform, LOCAL, NewJob("ft_1", KIND, "openai", spec, seconds=60.0))
    adapter = Adapter(
        "adp-1", "foal.shop.1", "paddock/foal", "foal", job.id, "x", 1, details={"outcome": outcome}
    )

    def end(session: ChangeSession) -> Job:
        row = session.get_one(JobRow, job.id)
        for kind, step, loss in TOLD:
            events.record_progress(session, row, kind, "", {"step": step, "loss": loss}, time.time())
        row.state, row.finished_at = "completed", 7.0
        adapters.add(session, LOCAL, adapter, 7.0)
        return jobs.snapshot(row)

    return await platform.change(end)


@pytest.mark.parametrize(
    ("patience", "outcome", "wanted"),
    [
        (0, {"step": 15, "training_loss": 0.3, "validation_loss": 0.6}, (15, 0.2, 0.6)),
        (0, {"step": 3, "training_loss": 0.3, "validation_loss": None}, (3, 0.3, None)),
        # Stopped early, the best weights are kept.
        (1, {"step": 15, "training_loss": 0.3, "validation_loss": 0.4}, (10, 0.5, 0.4)),
    ],
)
async def test_what_was_measured(
    platform: Platform, patience: int, outcome: dict[str, Any], wanted: tuple[int, float, float | None]
) -> None:
    job = await finished(platform, patience, outcome)
    assert await checkpoints.final(platform, LOCAL, job) == Checkpoint("foal.shop.1", *wanted, made_at=7.0)


async def test_what_cannot_be_asked(platform: Platform) -> None:
    """Because it is not there yet, or no more."""
    job = await finished(platform, 0, {"step": 15, "training_loss": 0.3, "validation_loss": 0.6})
    running = job.model_copy(update={"state": "running", "finished_at": None})
    assert await checkpoints.final(platform, LOCAL, running) is None
    await adapters.delete(platform, LOCAL, "foal.shop.1")
    assert await checkpoints.final(platform, LOCAL, job) is None
