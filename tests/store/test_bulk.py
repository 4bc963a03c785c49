"""Many rows in few statements: of whatever number they are, all come to the database, and each once."""

from __future__ import annotations

import pytest
from sqlalchemy import String, bindparam, func, literal, select, union_all

from paddock.store.bulk import OneRow, insert_rows, insert_values
from paddock.store.database import WriteSession
from paddock.store.ledger import Ledger
from paddock.store.ledger_tables import LimitWindowRow

TABLE = LimitWindowRow.__table__
COLUMNS = ("tick", "taken")
SAME = {"subject": 'key:it\'s "mine" \\', "kind": "tokens"}
ADD = "ON CONFLICT (subject, kind, tick) DO UPDATE SET taken = limit_windows.taken + excluded.taken"


async def written(ledger: Ledger) -> dict[int, int]:
    """How much is taken under each tick."""
    rows = await ledger.read(lambda session: session.execute(select(TABLE.c.tick, TABLE.c.taken)).all())
    return {row.tick: row.taken for row in rows}


class TestInserting:
    @pytest.mark.parametrize("count", [0, 1, 15, 16, 17, 31, 1023, 1024, 1025, 3000])
    async def test_all_come_and_once(self, ledger: Ledger, count: int) -> None:
        rows = [(tick, 7 * tick) for tick in range(count)]
        for _ in range(2):
            await ledger.write(lambda session: insert_rows(session, TABLE, COLUMNS, rows, ADD, same=SAME))
        assert await written(ledger) == {tick: 14 * tick for tick in range(count)}

    async def test_values_in_a_row(self, ledger: Ledger) -> None:
        def work(session: WriteSession) -> list[tuple[int, ...]]:
            values = [value for tick in range(40) for value in (tick, 1)]
            return insert_values(session, TABLE, COLUMNS, values, 'RETURNING "tick"', same=SAME)

        assert sorted(await ledger.write(work)) == [(tick,) for tick in range(40)]
        assert await written(ledger) == dict.fromkeys(range(40), 1)

    async def test_half_a_row_is_refused(self, ledger: Ledger) -> None:
        with pytest.raises(ValueError, match="3 values are no rows of 2"):
            await ledger.write(lambda session: insert_values(session, TABLE, COLUMNS, [1, 2, 3], same=SAME))
        assert await written(ledger) == {}


class TestOneRow:
    FOUND = OneRow(
        union_all(
            select(literal("sum", String), TABLE.c.subject, func.sum(TABLE.c.taken))
            .where(TABLE.c.tick >= bindparam("first"))
            .group_by(TABLE.c.subject),
            select(literal("row", String), TABLE.c.subject, TABLE.c.taken).where(TABLE.c.tick == 0),
        )
    )

    async def test_what_is_there(self, ledger: Ledger) -> None:
        many = 2**62
        rows = [(0, many), (1, 5), (2, 6)]
        await ledger.write(lambda session: insert_rows(session, TABLE, COLUMNS, rows, same=SAME))
        found = await ledger.read(lambda session: self.FOUND.of(session, {"first": 1}))
        assert sorted((what, subject, int(count)) for what, subject, count in found) == [
            ("row", SAME["subject"], many),
            ("sum", SAME["subject"], 11),
        ]

    async def test_nothing(self, ledger: Ledger) -> None:
        assert list(await ledger.read(lambda session: self.FOUND.of(session, {"first": 0}))) == []
