from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from paddock.errors import StoreFailed
from paddock.gateway import ledger as writers
from paddock.gateway.ledger import LedgerWriter
from paddock.schemas.usage import Entry, Series
from paddock.services.usage.record import Costs
from paddock.store.ledger import Ledger
from paddock.store.ledger_tables import RequestRow
from tests.sqlite import ledger_in

SERIES = Series("local", "key", "model", "", "model", "", "ok", 200, streamed=False)


def add(writer: LedgerWriter, number: int, **values: Any) -> None:
    entry = Entry(SERIES, f"{number}", 1_700_000_000.0 + number, 1, 0, 1, 0.1, 0.0, 1)._replace(**values)
    writer.entries.add(entry.series, entry[1:])


class Faulty:
    """The ledger's `write`, which does as it is told before it works again.

    Attributes:
        faults: what happens at the next calls: `refused`, `unheard` if it is written and nobody hears so.
        hold: nothing is answered while this is not set.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._write = ledger.write
        self.faults: list[str] = []
        self.calls = 0
        self.hold = asyncio.Event()
        self.hold.set()

    async def __call__(self, work: Callable[[Any], Any]) -> Any:
        self.calls += 1
        await self.hold.wait()
        fault = self.faults.pop(0) if self.faults else ""
        if fault == "refused":
            raise StoreFailed("the ledger failed: disk full")
        result = await self._write(work)
        if fault == "unheard":
            raise StoreFailed("the ledger failed: connection lost")
        return result


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[Ledger]:
    ledger = ledger_in(tmp_path)
    yield ledger
    ledger.close()


@pytest.fixture
def faulty(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Faulty:
    found = Faulty(ledger)
    monkeypatch.setattr(ledger, "write", found)
    return found


async def ids(ledger: Ledger) -> list[str]:
    return await ledger.read(
        lambda session: list(session.scalars(select(RequestRow.id).order_by(RequestRow.number)))
    )


def numbers(count: int, first: int = 0) -> list[str]:
    return [str(number) for number in range(first, first + count)]


async def running(writer: LedgerWriter, monkeypatch: pytest.MonkeyPatch) -> asyncio.Task[None]:
    monkeypatch.setattr(writers, "FLUSH_SECONDS", 0.001)
    monkeypatch.setattr(writers, "_LOOK_SECONDS", 0.001)
    return asyncio.create_task(writer.run())


async def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.001)


class TestLedgerWriter:
    async def test_a_flush_writes_what_was_added(self, ledger: Ledger) -> None:
        told: list[Costs] = []
        writer = LedgerWriter(ledger, told.append)
        add(writer, 0)
        add(writer, 1, cost=20)
        add(writer, 2, series=replace(SERIES, key=""), cost=300)
        assert writer.waiting == 3
        await ledger.flush()
        assert await ids(ledger) == numbers(3)
        assert told == [{("key", "local"): 21, ("", "local"): 300}]
        assert (writer.written, writer.dropped, writer.waiting) == (3, 0, 0)
        await writer.flush()
        assert len(told) == 1

    async def test_it_writes_by_itself(self, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
        writer = LedgerWriter(ledger)
        task = await running(writer, monkeypatch)
        add(writer, 0)
        await until(lambda: writer.written == 1)
        task.cancel()
        add(writer, 1)
        await writer.close()
        assert await ids(ledger) == numbers(2)

    async def test_large_amounts_in_parts(self, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(writers, "BATCH", 10)
        parts: list[int] = []
        writer = LedgerWriter(ledger, lambda costs: parts.append(costs["key", "local"]))
        for number in range(25):
            add(writer, number)
        await writer.flush()
        assert parts == [10, 10, 5]
        assert await ids(ledger) == numbers(25)

    async def test_a_ledger_that_fails_is_tried_again(
        self,
        ledger: Ledger,
        faulty: Faulty,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        writer = LedgerWriter(ledger)
        faulty.faults = ["refused", "unheard", "refused"]
        add(writer, 0)
        with pytest.raises(StoreFailed):
            await writer.flush()
        add(writer, 1)
        with caplog.at_level(logging.WARNING):
            task = await running(writer, monkeypatch)
            await until(lambda: writer.written == 2)
            task.cancel()
        assert await ids(ledger) == numbers(2)
        assert "2 entries wait for the ledger" in caplog.text
        assert "0 were lost: the ledger failed: connection lost" in caplog.text

    async def test_who_is_interrupted_writes_nothing_twice(self, ledger: Ledger, faulty: Faulty) -> None:
        told: list[Costs] = []
        writer = LedgerWriter(ledger, told.append)
        add(writer, 0, cost=1)
        flushing = asyncio.create_task(writer.flush())
        await until(lambda: faulty.calls == 1)
        # From here on the thread writes, whoever waits for it.
        await asyncio.sleep(0)
        flushing.cancel()
        await asyncio.gather(flushing, return_exceptions=True)
        add(writer, 1, cost=20)
        await writer.flush()
        assert await ids(ledger) == numbers(2)
        assert told == [{("key", "local"): 1}, {("key", "local"): 20}]

    async def test_the_oldest_are_lost_when_it_fails_for_long(
        self,
        ledger: Ledger,
        faulty: Faulty,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        writer = LedgerWriter(ledger, most_kept=5)
        faulty.hold.clear()
        task = await running(writer, monkeypatch)
        add(writer, 0)
        await until(lambda: faulty.calls == 1)
        for number in range(1, 10):
            add(writer, number)
        await until(lambda: writer.dropped == 4)
        faulty.faults = ["refused"]
        with caplog.at_level(logging.WARNING):
            faulty.hold.set()
            await until(lambda: writer.written == 6)
            await until(lambda: any("takes entries again" in one.getMessage() for one in caplog.records))
        task.cancel()
        assert await ids(ledger) == ["0", *numbers(5, first=5)]
        assert "the ledger takes entries again; 4 were lost" in caplog.text

    @pytest.mark.parametrize("bad", [{"prompt_tokens": 2**80}, {"series": replace(SERIES, model="\ud800")}])
    async def test_an_entry_that_no_ledger_takes_stops_no_other(
        self, ledger: Ledger, bad: dict[str, Any], caplog: pytest.LogCaptureFixture
    ) -> None:
        writer = LedgerWriter(ledger)
        for number in range(9):
            add(writer, number, **(bad if number == 4 else {}))
        await writer.flush()
        assert sorted(await ids(ledger)) == [*numbers(4), *numbers(4, first=5)]
        assert (writer.written, writer.dropped, writer.waiting) == (8, 1, 0)
        assert "the ledger cannot take" in caplog.text

    async def test_what_cannot_be_written_at_the_end_is_said(
        self, ledger: Ledger, faulty: Faulty, caplog: pytest.LogCaptureFixture
    ) -> None:
        writer = LedgerWriter(ledger)
        add(writer, 0)
        faulty.faults = ["refused"]
        await writer.close()
        assert "the ledger lost 1 entries: the ledger failed: disk full" in caplog.text
