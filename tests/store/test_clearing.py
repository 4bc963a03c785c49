"""What of the ledger is deleted after the setting `usage_days`, and what is said of it then."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from paddock.errors import InvalidRequest
from paddock.schemas.usage import Entries, Entry
from paddock.services.platform import Platform
from paddock.services.usage import clearing, query
from paddock.services.usage.query import Answer, Question
from paddock.services.usage.record import DAY, HOUR, Batch, record, record_instances, spent
from paddock.store.ledger import Ledger
from paddock.store.ledger_tables import InstanceRow, KeptRow, RequestRow
from paddock.store.sessions import Store
from tests.store.fakes import ledger_beside, platform_of
from tests.store.test_usage import entry, interval

NOW = time.time()
TODAY = NOW // DAY * DAY
OLD = TODAY - 40 * DAY + 10 * HOUR
"""The begin of an hour of which no rows are kept."""


@pytest.fixture
def platform(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(clearing, "PAUSE_SECONDS", 0.0)
    platform = platform_of(store, tmp_path, usage_days=30)
    yield platform
    platform.ledger.close()


async def write(ledger: Ledger, entries: Sequence[Entry], number: int = 1) -> None:
    assert await ledger.write(lambda session: record(session, Batch("writer", number), Entries(entries)))


async def moments(ledger: Ledger, column: Any) -> list[float]:
    return await ledger.read(lambda session: list(session.scalars(select(column).order_by(column))))


async def ask(ledger: Ledger, start: float, end: float, *group_by: str) -> Answer:
    return await ledger.read(lambda session: query.query(session, Question(group_by, start, end)))


class TestRequests:
    async def test_rows_go_and_sums_stay(self, platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(clearing, "PORTION", 7)
        ledger = platform.ledger
        new = [NOW - 30 * DAY + HOUR + 1, NOW - 5, NOW]
        await write(ledger, [entry(at) for at in (*(OLD + 60 * n for n in range(50)), *new)])
        before = await ask(ledger, 0, NOW + 1, "day", "key")
        await clearing.sweep(platform)
        assert await moments(ledger, RequestRow.at) == new
        assert await ask(ledger, 0, TODAY + DAY, "day", "key") == before
        assert (await ask(ledger, OLD, OLD + HOUR)).total[0] == 50
        found = await ledger.read(lambda session: spent(session, ["key:key-1"], ["total"]))
        assert found["key:key-1", "total"] == 53_000
        assert (await ask(ledger, NOW - 6, NOW - 1)).total[0] == 1

    async def test_parts_of_hours_without_rows_are_refused(self, platform: Platform) -> None:
        await write(platform.ledger, [entry(OLD + 60)])
        assert (await ask(platform.ledger, OLD + 30, OLD + 90)).total[0] == 1
        await clearing.sweep(platform)
        shown = time.strftime("%Y-%m-%dT%H:00:00Z", time.gmtime(OLD))
        for start, end, name in (
            (OLD + 30, OLD + 90, "start"),
            (OLD + 0.5, OLD + 3 * HOUR, "start"),
            (OLD, OLD + 90, "end"),
            (OLD - 5 * DAY, OLD + 90, "end"),
        ):
            with pytest.raises(InvalidRequest, match=f"^{name} lies within.* must be {shown} or ") as raised:
                await ask(platform.ledger, start, end)
            assert raised.value.param == name
        kept = await platform.ledger.read(lambda session: session.get_one(KeptRow, "usage_requests").since)
        assert (await ask(platform.ledger, kept + 0.5, NOW)).total[0] == 0

    async def test_what_comes_late_goes_too(self, platform: Platform) -> None:
        await write(platform.ledger, [entry(OLD)])
        await clearing.sweep(platform)
        await write(platform.ledger, [entry(OLD + 1)], 2)
        await clearing.sweep(platform)
        assert await moments(platform.ledger, RequestRow.at) == []
        assert (await ask(platform.ledger, OLD, OLD + HOUR)).total[0] == 2

    async def test_what_was_deleted_is_known_when_more_days_are_kept(self, platform: Platform) -> None:
        await write(platform.ledger, [entry(OLD)])
        await clearing.sweep(platform)
        await clearing.sweep(replace(platform, settings=replace(platform.settings, usage_days=100)))
        with pytest.raises(InvalidRequest, match="only the sum is kept"):
            await ask(platform.ledger, OLD, OLD + 1)

    async def test_without_days_all_are_kept(self, platform: Platform) -> None:
        await write(platform.ledger, [entry(1.0)])
        await clearing.sweep(replace(platform, settings=replace(platform.settings, usage_days=0)))
        assert (await ask(platform.ledger, 0.5, 1.5)).total[0] == 1

    async def test_by_several_at_once_and_beside_a_writer(
        self, platform: Platform, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(clearing, "PORTION", 20)
        await write(platform.ledger, [entry(OLD + n) for n in range(500)])
        second = ledger_beside(store, tmp_path)
        try:
            other = replace(platform, ledger=second)
            sweeps = asyncio.gather(clearing.sweep(platform), clearing.sweep(other))
            number = 1
            while not sweeps.done():
                number += 1
                await write(second, [entry(NOW)], number)
            await sweeps
        finally:
            second.close()
        assert await moments(platform.ledger, RequestRow.at) == [NOW] * (number - 1)
        assert (await ask(platform.ledger, 0, NOW + 1)).total[0] == 500 + number - 1


class TestInstances:
    async def test_what_is_deleted_does_not_count_again(self, platform: Platform) -> None:
        ledger = platform.ledger
        old = [interval(OLD + 60 * n) for n in range(5)]
        new = [interval(NOW - 120), interval(NOW - 60)]
        await ledger.write(lambda session: record_instances(session, [*old, *new]))
        await clearing.sweep(platform)
        assert await moments(ledger, InstanceRow.start) == [NOW - 120, NOW - 60]
        again = [*old, *new, interval(NOW)]
        assert await ledger.write(lambda session: record_instances(session, again)) == 1
        assert (await ask(ledger, 0, NOW + 1)).total[-2:] == [8 * 500, 8 * 60]

    async def test_those_by_which_the_last_are_known_stay(self, platform: Platform) -> None:
        """Nothing runs for long, and then goes on: nobody has written yet what there was before."""
        ledger = platform.ledger
        rows = [interval(OLD), interval(OLD + 3 * DAY), interval(OLD + 3 * DAY + 60)]
        await ledger.write(lambda session: record_instances(session, rows))
        await clearing.sweep(platform)
        assert await moments(ledger, InstanceRow.start) == [OLD + 3 * DAY, OLD + 3 * DAY + 60]
        late = [interval(OLD + 3 * DAY + 60), interval(OLD + 3 * DAY + 120)]
        assert await ledger.write(lambda session: record_instances(session, late)) == 1

    async def test_a_ledger_without_any_takes_old_ones(self, platform: Platform) -> None:
        await clearing.sweep(platform)
        assert await platform.ledger.write(lambda session: record_instances(session, [interval(OLD)])) == 1
        count = select(func.count()).select_from(InstanceRow)
        assert await platform.ledger.read(lambda session: session.scalar(count)) == 1
