from __future__ import annotations

import csv
import io
import random
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import func, select

from paddock.errors import InvalidRequest
from paddock.schemas.usage import Entries, Entry, Series
from paddock.services.usage import query as queries
from paddock.services.usage.query import Question, query
from paddock.services.usage.record import (
    DAY,
    GROUPS,
    HOUR,
    MEASURES,
    Batch,
    Costs,
    Interval,
    record,
    record_instances,
    spent,
)
from paddock.services.usage.written import as_csv, as_json
from paddock.store.ledger import Ledger
from paddock.store.ledger_tables import BatchRow, InstanceRow, RequestRow

START = datetime(2026, 10, 30, 22, 40, tzinfo=UTC).timestamp()


def entry(at: float = START, **values: Any) -> Entry:
    """
    Args:
        values: of the entry or its series.
    """
    series: dict[str, Any] = {
        "project": "local",
        "key": "key-1",
        "model": "paddock/foal",
        "adapter": "",
        "deployment": "foal",
        "job": "",
        "outcome": "ok",
        "status": 200,
        "streamed": False,
    }
    series |= {name: values.pop(name) for name in [*values] if name in series}
    identity = f"{random.getrandbits(128):032x}"
    return Entry(Series(**series), identity, at, 10, 3, 7, 0.5, 0.0, 1_000)._replace(**values)


def interval(start: float = START, **values: Any) -> Interval:
    fields: dict[str, Any] = {
        "replica_id": "rep-1",
        "start": start,
        "end": start + 60,
        "project": "local",
        "key": "key-1",
        "deployment_id": "dep-1",
        "deployment": "foal",
        "model": "paddock/foal",
        "hardware_type": "CPU_2",
        "billing_interval": "per_minute",
        "cost": 500,
    }
    return Interval(**{**fields, **values})


def mixed(count: int) -> list[Entry]:
    """Of four days, in no order, with entries at the very begins of hours and days among them."""
    chosen = random.Random(7)
    return [
        entry(
            at=chosen.choice(
                (START + chosen.uniform(0, 4 * DAY), (START // HOUR + chosen.randrange(96)) * HOUR)
            ),
            project=chosen.choice(("local", 'a "quoted" \\ one')),
            key=chosen.choice(("", "key-1", "key-2")),
            model=chosen.choice(("foal", "mare, grey")),
            adapter=chosen.choice(("", "NULL")),
            outcome=chosen.choice(("ok", "aborted", "rate_limit_exceeded")),
            prompt_tokens=chosen.randrange(1_000),
            cached_tokens=chosen.randrange(10),
            completion_tokens=chosen.randrange(500),
            cost=chosen.choice((0, chosen.randrange(10**12))),
        )
        for _ in range(count)
    ]


async def write(ledger: Ledger, entries: Sequence[Entry], number: int = 1, writer: str = "writer") -> Costs:
    return await ledger.write(lambda session: record(session, Batch(writer, number), Entries(entries)))


async def ask(ledger: Ledger, question: Question) -> queries.Answer:
    return await ledger.read(lambda session: query(session, question))


def values_of(one: Entry) -> dict[str, Any]:
    """The row that it is to be, by column."""
    return {**asdict(one.series), **dict(zip(one._fields[1:], one[1:], strict=True))}


def counted(entries: Sequence[Entry], question: Question) -> dict[tuple[str, ...], list[int]]:
    """The groups as they should be, row by row."""
    found: dict[tuple[str, ...], list[int]] = {}
    for one in entries:
        moment = datetime.fromtimestamp(one.at, UTC)
        values = {
            **values_of(one),
            "day": f"{moment:%Y-%m-%d}",
            "hour": f"{moment:%Y-%m-%dT%H}:00:00Z",
        }
        wished = (("project", question.project), ("key", question.key), ("model", question.model))
        if not question.start <= one.at < question.end:
            continue
        if any(wish is not None and values[name] != wish for name, wish in wished):
            continue
        names = tuple(values[name] for name in question.group_by)
        known = found.setdefault(names, [0] * len(MEASURES))
        more = (1, one.prompt_tokens, one.cached_tokens, one.completion_tokens, one.cost, 0)
        found[names] = [a + b for a, b in zip(known, more, strict=True)]
    return found


MIDNIGHT = START // DAY * DAY + DAY
TIMES = [
    (0.0, float(queries.FOREVER)),
    (START + 1_000.25, START + 3 * DAY + 77.5),
    (MIDNIGHT, MIDNIGHT + 2 * DAY),
    (MIDNIGHT - HOUR, MIDNIGHT + HOUR),
    (MIDNIGHT - 0.5, MIDNIGHT + 0.5),
    (START + 60, START + 200),
    (START + 60, START + 60),
]


class TestQuery:
    async def test_sums_are_those_of_the_rows(self, ledger: Ledger) -> None:
        entries = mixed(3_000)
        for number in range(3):
            assert await write(ledger, entries[number * 1_000 : (number + 1) * 1_000], number + 1)
        groupings: list[tuple[str, ...]] = [
            (),
            GROUPS,
            ("key", "model", "day"),
            ("hour",),
            ("day", "outcome", "hour"),
        ]
        for start, end in TIMES:
            for group_by in groupings:
                question = Question(group_by, start, end)
                answer = await ask(ledger, question)
                assert dict(answer.groups) == counted(entries, question)
                whole = counted(entries, Question((), start, end))
                assert answer.total == whole.get((), [0] * len(MEASURES))

    async def test_filters(self, ledger: Ledger) -> None:
        entries = mixed(500)
        await write(ledger, entries)
        start, end = TIMES[1]
        for wish in (
            {"project": 'a "quoted" \\ one'},
            {"key": "key-2", "model": "mare, grey"},
            {"key": "none"},
        ):
            question = Question(("day", "key"), start, end, **wish)
            assert dict((await ask(ledger, question)).groups) == counted(entries, question)

    async def test_more_groups_than_anybody_reads(
        self, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(queries, "MOST_GROUPS", 3)
        await write(ledger, [entry(key=f"key-{number}") for number in range(4)])
        assert len((await ask(ledger, Question(("model",)))).groups) == 1
        with pytest.raises(InvalidRequest, match="ask for less time"):
            await ask(ledger, Question(("key",)))

    async def test_every_piece_follows_the_one_before(self) -> None:
        for days in (True, False):
            for start, end in TIMES:
                found = list(queries.pieces(start, end, days=days))
                edges = [start, *(piece.end for piece in found)]
                assert [piece.start for piece in found] == edges[:-1]
                assert edges[-1] == end or start >= end
                assert days or all(piece.span != DAY for piece in found)


class TestRecord:
    async def test_a_batch_counts_once(self, ledger: Ledger) -> None:
        entries = mixed(100)
        costs = await write(ledger, entries, 1)
        assert {(one.series.key, one.series.project) for one in entries if one.cost} == set(costs)
        assert sum(one.cost for one in entries) == sum(costs.values())
        assert await write(ledger, entries, 1) == costs
        await write(ledger, entries[:10], 2)
        assert await write(ledger, entries, 1) == costs
        await write(ledger, entries[:1], 1, writer="another")
        assert (await ask(ledger, Question())).total[0] == 111
        rows = await ledger.read(lambda session: session.scalar(select(func.count()).select_from(RequestRow)))
        assert rows == 111

    async def test_nothing_of_a_batch_that_fails_is_kept(self, ledger: Ledger) -> None:
        with pytest.raises(Exception, match=r"too large|out of range|integer"):
            await write(ledger, [entry(), entry(prompt_tokens=2**70)], 1)
        assert (await ask(ledger, Question())).total[0] == 0
        await write(ledger, [entry()], 2)
        assert (await ask(ledger, Question())).total[0] == 1

    async def test_writers_that_are_long_gone_are_forgotten(self, ledger: Ledger) -> None:
        await write(ledger, [entry()], 1, writer="old")
        await ledger.write(lambda session: session.get_one(BatchRow, "old").__setattr__("at", 1.0))
        await write(ledger, [entry()], 1, writer="new")
        assert await ledger.read(lambda session: list(session.scalars(select(BatchRow.writer)))) == ["new"]

    async def test_rows_are_as_they_were_given(self, ledger: Ledger) -> None:
        given = entry(job="batch_1", streamed=True, project='{"\\n', first_token=0.25)
        await write(ledger, [given])
        columns = [getattr(RequestRow, name) for name in values_of(given)]
        found = await ledger.read(lambda session: session.execute(select(*columns)).one())
        assert found._asdict() == values_of(given)

    async def test_entries_that_share_a_series_are_rows_like_any_other(self, ledger: Ledger) -> None:
        many, few = entry(project='{"\\n', job="batch_1", streamed=True), entry(key="")
        hours = [START + HOUR * number / 30 for number in range(100)]
        given = [many._replace(id=f"{number}", at=at) for number, at in enumerate(hours)]
        given += [few._replace(id=f"few-{number}", at=at) for number, at in enumerate(hours[:3])]
        await write(ledger, given)
        columns = [getattr(RequestRow, name) for name in values_of(many)]
        found = await ledger.read(lambda session: session.execute(select(*columns)).all())
        rows = {row.id: row._asdict() for row in found}
        assert rows == {one.id: values_of(one) for one in given}
        assert len(found) == len(given)
        question = Question(("hour", "key"), START - DAY, START + DAY)
        expected = counted(given, question)
        assert len(expected) > 4
        assert dict((await ask(ledger, question)).groups) == expected

    async def test_what_is_spent(self, ledger: Ledger) -> None:
        last = datetime(2026, 11, 30, 23, 59, 59, tzinfo=UTC).timestamp()
        await write(ledger, [entry(last), entry(last, key="key-2"), entry(last + 1), entry(last + 2, key="")])
        expected = {
            ("key:key-1", "total"): 2_000,
            ("key:key-1", "2026-11"): 1_000,
            ("key:key-1", "2026-11-30"): 1_000,
            ("key:key-1", "2026-12-01"): 1_000,
            ("key:key-1", "2026-12-02"): 0,
            ("project:local", "total"): 4_000,
            ("project:local", "2026-12"): 2_000,
            ("key:", "total"): 0,
        }
        subjects, periods = ({of[number] for of in expected} for number in (0, 1))
        found = await ledger.read(lambda session: spent(session, subjects, periods))
        assert {of: found[of] for of in expected} == expected


class TestInstances:
    async def test_an_interval_counts_once(self, ledger: Ledger) -> None:
        first = [interval(), interval(START + 60)]
        assert await ledger.write(lambda session: record_instances(session, first)) == 2
        again = [*first, interval(START + 120), interval(replica_id="rep-2")]
        assert await ledger.write(lambda session: record_instances(session, again)) == 2
        assert await ledger.write(lambda session: record_instances(session, again)) == 0
        answer = await ask(ledger, Question(("deployment", "outcome", "adapter")))
        assert answer.groups == [(("foal", "", ""), [0, 0, 0, 0, 2_000, 240])]
        subjects, periods = ("deployment:dep-1", "project:local"), ("total", "2026-10")
        found = await ledger.read(lambda session: spent(session, subjects, periods))
        assert (found["deployment:dep-1", "total"], found["project:local", "2026-10"]) == (2_000, 2_000)
        rows = await ledger.read(
            lambda session: session.scalar(select(func.count()).select_from(InstanceRow))
        )
        assert rows == 4

    async def test_beside_requests_and_at_the_edges(self, ledger: Ledger) -> None:
        await write(ledger, [entry(START + 30)])
        await ledger.write(
            lambda session: record_instances(session, [interval(START + 60 * n) for n in range(90)])
        )
        answer = await ask(ledger, Question(("key", "day"), START + 1, START + 61))
        assert answer.groups == [(("key-1", "2026-10-30"), [1, 10, 3, 7, 1_500, 60])]
        assert (await ask(ledger, Question())).total == [1, 10, 3, 7, 1_000 + 90 * 500, 90 * 60]


class TestWritten:
    async def test_json(self, ledger: Ledger) -> None:
        await write(ledger, [entry(key="", cost=1_234_567_890), entry(key="k")])
        group_by = ("key", "day")
        found = as_json(await ask(ledger, Question(group_by)), group_by, "EUR")
        assert found["data"][0] == {
            "key": None,
            "day": "2026-10-30",
            "requests": 1,
            "prompt_tokens": 10,
            "cached_tokens": 3,
            "completion_tokens": 7,
            "cost": {"amount": 1.23456789, "currency": "EUR"},
            "instance_seconds": 0,
        }
        assert found["total"]["requests"] == 2
        assert "key" not in found["total"]

    async def test_csv(self, ledger: Ledger) -> None:
        await write(ledger, [entry(model="mare, grey", cost=1_234_000_001), entry(model='"x"', cost=0)])
        text = as_csv(await ask(ledger, Question(("model",))), ("model",), "EUR")
        assert list(csv.reader(io.StringIO(text))) == [
            [
                "model",
                "requests",
                "prompt_tokens",
                "cached_tokens",
                "completion_tokens",
                "cost",
                "currency",
                "instance_seconds",
            ],
            ['"x"', "1", "10", "3", "7", "0", "EUR", "0"],
            ["mare, grey", "1", "10", "3", "7", "1.234000001", "EUR", "0"],
        ]
