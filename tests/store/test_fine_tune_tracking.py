"""What a worker is told of reports to Weights & Biases, and how it tells what prevents them."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Any, cast

import pytest

from paddock.control.finetunes import tracking
from paddock.control.finetunes.learning import Learning
from paddock.control.finetunes.tracking import Tracked
from paddock.control.jobs.shift import Shift
from paddock.gateway.llm_engine import finetunes as llm_engine
from paddock.gateway.openai.fine_tuning_views import event_view
from paddock.schemas.training import Noted
from paddock.services import events, job_secrets, jobs, work
from paddock.services.deployments import LOCAL
from paddock.services.finetunes.spec import FineTuneSpec
from paddock.services.jobs import NewJob
from paddock.services.platform import Platform
from paddock.services.work import Offer

KEY = "0123456789abcdef0123456789abcdef01234567"
OFFER = Offer("worker", ("ft",), (), lambda worker: False)


def spec(wandb: dict[str, Any] | None) -> FineTuneSpec:
    return FineTuneSpec("a.b", "ad_1", "a", "a", "t", "", "cpu", {"method": "lora"}, {}, wandb)


async def shift_of(platform: Platform, wandb: dict[str, Any] | None) -> Shift:
    identity = jobs.new_id("ft")
    sealed = b"" if wandb is None else await job_secrets.seal(platform, KEY)
    new = NewJob(identity, "ft", "openai", spec(wandb).to_json(), 60.0, secret=sealed)
    await jobs.create(platform, LOCAL, new)
    held = await platform.store.change(lambda session: work.claim(session, time.time(), OFFER))
    assert held is not None
    return Shift(platform, held)


async def found(shift: Shift) -> Tracked | Noted | None:
    return await tracking.find(shift.platform, shift.held.id, FineTuneSpec.from_json(shift.held.job.spec))


class TestFind:
    async def test_what_was_asked_for(self, platform: Platform) -> None:
        shift = await shift_of(platform, {"project": "herd", "tags": ["a"]})
        told = await found(shift)
        assert isinstance(told, Tracked)
        assert (told.run.id, told.run.name, told.run.project) == (shift.held.id, shift.held.id, "herd")
        assert told.run.config == {"model": "a", "fine_tuned_model": "a.b", "method": "lora"}
        assert told.key == KEY
        assert KEY not in repr(told)

    async def test_nothing_was(self, platform: Platform) -> None:
        assert await found(await shift_of(platform, None)) is None

    async def test_a_key_of_another_machine(self, platform: Platform) -> None:
        shift = await shift_of(platform, {})
        elsewhere = dataclasses.replace(platform.settings, secret_key="x" * 32)
        shift.platform = dataclasses.replace(platform, settings=elsewhere)
        told = await found(shift)
        assert isinstance(told, Noted)
        assert "PADDOCK_SECRET_KEY" in told.message

    async def test_a_server_that_is_private_by_now(
        self, platform: Platform, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("WANDB_BASE_URL", raising=False)
        told = await found(await shift_of(platform, {"base_url": "https://localhost"}))
        assert isinstance(told, Noted)
        assert "allow_private_urls" in told.message


class TestNote:
    async def test_is_told_once_in_every_dialect(self, platform: Platform, tmp_path: Path) -> None:
        shift = await shift_of(platform, {})
        learning = Learning(shift, cast(Any, None), tmp_path)
        for _ in range(2):
            await learning.note(Noted(message="it is gone", trouble=True))
        await learning.note(Noted(message="it goes there"))
        told = await platform.store.read(
            lambda session: events.latest(session, LOCAL, job_id=shift.held.id, limit=2)
        )
        assert [one.message for one in told] == ["it is gone", "it goes there"]
        assert [event_view(one).level for one in told] == ["warn", "info"]
        assert [llm_engine._event(one)["level"] for one in told] == ["warning", "info"]
