"""Which billing intervals have begun, and what each costs."""

from __future__ import annotations

import dataclasses

from paddock.services.usage.instances import Instance, intervals
from paddock.services.usage.record import Interval

READY = 1_000_000.25
ONE = Instance("rep-1", READY, None, "local", "key-1", "dep-1", "foal", "paddock/foal", "CPU_2", "per_minute")
HOURLY = dataclasses.replace(ONE, billing_interval="per_hour")


def of(one: Instance, now: float, begin: float | None = None, price: float = 0.6) -> list[Interval]:
    return list(intervals(one, one.ready_at if begin is None else begin, now, price))


class TestIntervals:
    def test_the_first_begins_when_it_is_ready(self) -> None:
        (first,) = of(ONE, READY)
        assert (first.start, first.end, first.cost) == (READY, READY + 60, 10_000_000)
        assert first.replica_id == "rep-1"
        assert (first.project, first.key, first.deployment_id) == ("local", "key-1", "dep-1")
        assert (first.hardware_type, first.billing_interval) == ("CPU_2", "per_minute")

    def test_begun_ones_count_in_full(self) -> None:
        assert len(of(ONE, READY + 60)) == 1
        assert len(of(ONE, READY + 60.001)) == 2
        assert [one.start - READY for one in of(ONE, READY + 150)] == [0, 60, 120]

    def test_none_begins_at_the_end_or_after_it(self) -> None:
        ended = dataclasses.replace(ONE, ended_at=READY + 120)
        assert [one.start - READY for one in of(ended, READY + 1000)] == [0, 60]

    def test_one_that_ended_at_once_has_one(self) -> None:
        assert len(of(dataclasses.replace(ONE, ended_at=READY), READY + 1000)) == 1

    def test_hours(self) -> None:
        found = of(HOURLY, READY + 3601)
        assert [(one.start - READY, one.end - one.start, one.cost) for one in found] == [
            (0, 3600, 600_000_000),
            (3600, 3600, 600_000_000),
        ]

    def test_it_goes_on_where_the_one_before_ended(self) -> None:
        whole = of(ONE, READY + 10_000)
        assert of(ONE, READY + 10_000, begin=whole[99].end) == whole[100:]
        assert of(ONE, READY + 10_000, begin=whole[-1].end) == []

    def test_without_a_price_the_time_is_still_told(self) -> None:
        assert [one.cost for one in of(ONE, READY + 61, price=0)] == [0, 0]
