from __future__ import annotations

from dataclasses import replace

import pytest

from paddock.schemas.usage import EACH, Entries, Entry, Series

CHAT = Series("local", "key", "model", "", "model", "", "ok", 200, streamed=False)
OTHER = replace(CHAT, key="another")


def entry(number: int, series: Series = CHAT) -> Entry:
    return Entry(series, f"{number}", float(number), 1, 0, number, 0.1, 0.0, 5)


def mixed() -> list[Entry]:
    return [entry(number, OTHER if number % 3 == 0 else CHAT) for number in range(10)]


def ids(entries: Entries) -> list[str]:
    return sorted(one.id for one in entries)


class TestEntries:
    def test_they_come_out_as_they_went_in(self) -> None:
        entries = Entries(mixed())
        assert sorted(entries, key=lambda one: one.at) == mixed()
        assert len(entries) == 10
        assert {series: len(values) for series, values in entries.by_series()} == {
            CHAT: 6 * len(EACH),
            OTHER: 4 * len(EACH),
        }

    @pytest.mark.parametrize("count", [0, 1, 4, 5, 9, 10, 11])
    def test_each_is_taken_once(self, count: int) -> None:
        entries = Entries(mixed())
        taken = entries.take(count)
        assert (len(taken), len(entries)) == (min(count, 10), max(0, 10 - count))
        assert sorted(ids(taken) + ids(entries)) == ids(Entries(mixed()))
        entries.add(CHAT, entry(10)[1:])
        assert len(taken) == min(count, 10)
        assert all(values for one in (taken, entries) for _, values in one.by_series())

    @pytest.mark.parametrize("count", [1, 3, 4, 10])
    def test_the_oldest_are_dropped(self, count: int) -> None:
        entries = Entries(mixed())
        assert entries.drop_oldest(count) == count
        assert ids(entries) == [str(number) for number in range(count, 10)]
        assert all(values for _, values in entries.by_series())

    def test_of_one_moment_all_are_dropped(self) -> None:
        entries = Entries(one._replace(at=one.at // 4) for one in mixed())
        assert entries.drop_oldest(1) == 4
        assert ids(entries) == [str(number) for number in range(4, 10)]
