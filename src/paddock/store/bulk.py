"""Many rows in few steps.

Python's driver for SQLite gives its thread's turn away for each statement and for each row that it reads, and
in a busy process gets it back after up to 5 ms: a thousand rows that are a thousand statements then take
seconds. And each turn that it gets costs the event loop some tenths of a millisecond.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import orjson
from sqlalchemy import CompoundSelect, Connection, Dialect, Table, func, select
from sqlalchemy.orm import Session

_MOST_ROWS = 1024
"""In one of SQLite's statements, and in most a power of two: any number of rows is few statements then, and
few different ones, which the driver keeps prepared."""
_FEW_ROWS = 16
"""Up to so many are one statement."""
_MOST_VALUES = 32_766
"""In one of SQLite's statements."""
_NOTHING: Mapping[str, Any] = MappingProxyType({})


class OneRow:
    """What a statement finds, few rows of numbers and texts, in one step of SQLite.

    Args:
        statement: its columns need no conversion.
    """

    def __init__(self, statement: CompoundSelect[Any]) -> None:
        self._rows = statement
        found = statement.subquery()
        self._packed = select(func.json_group_array(func.json_array(*found.c))).select_from(found)

    def of(self, session: Session, parameters: Mapping[str, Any]) -> Sequence[Sequence[Any]]:
        if session.connection().dialect.name != "sqlite":
            return session.execute(self._rows, parameters).all()
        packed: list[list[Any]] = orjson.loads(session.execute(self._packed, parameters).scalar_one())
        return packed


def insert_rows(
    session: Session,
    table: Any,
    columns: tuple[str, ...],
    rows: Sequence[Sequence[Any]],
    end: str = "",
    *,
    same: Mapping[str, Any] = _NOTHING,
) -> list[tuple[Any, ...]]:
    """
    Args:
        table: a `Table`.
        rows: values in the order of the columns.
        end: of the statement, such as `ON CONFLICT …`; no two rows may have the same key then.
        same: the values of other columns, which are the same in all rows: they are handed over once.

    Returns:
        What comes back if `end` has a `RETURNING`.
    """
    return insert_values(session, table, columns, list(itertools.chain.from_iterable(rows)), end, same=same)


def insert_values(
    session: Session,
    table: Any,
    columns: tuple[str, ...],
    values: Sequence[Any],
    end: str = "",
    *,
    same: Mapping[str, Any] = _NOTHING,
) -> list[tuple[Any, ...]]:
    """`insert_rows` of rows of which the values of the one stand after those of the other.

    Raises:
        ValueError: the last row is shorter than the others.
    """
    if len(values) % len(columns):
        raise ValueError(f"{len(values)} values are no rows of {len(columns)}")
    if not values:
        return []
    connection = session.connection()
    shared, names = tuple(same.values()), tuple(same)
    width = len(columns)
    if connection.dialect.name != "sqlite":
        # An array for each column is a tenth of the work of a parameter for each value.
        statement = _of_arrays(table, names, columns, end, connection.dialect)
        arrays = [_array(values[column::width]) for column in range(width)]
        return _run(connection, statement, (*shared, *arrays))
    found = []
    begin = 0
    while begin < len(values):
        size = _size((len(values) - begin) // width, (_MOST_VALUES - len(shared)) // width)
        statement = _of_values(table, names, columns, size, end)
        found += _run(connection, statement, (*shared, *values[begin : begin + size * width]))
        begin += size * width
    return found


def _size(rows: int, most: int) -> int:
    """How many of these rows the next statement takes, which may take so many."""
    rows = min(rows, most, _MOST_ROWS)
    return rows if rows <= _FEW_ROWS else 1 << (rows.bit_length() - 1)


def _run(connection: Connection, statement: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    result = connection.exec_driver_sql(statement, values)
    return [tuple(row) for row in result] if result.returns_rows else []


@functools.lru_cache(256)
def _of_values(table: Table, same: tuple[str, ...], columns: tuple[str, ...], size: int, end: str) -> str:
    # SQLite takes a question mark for the value after the last one. One with a number it looks for among all
    # numbers that it has met, one after the other.
    marks = [f"?{number}" for number in range(1, 1 + len(same))] + ["?"] * len(columns)
    row = f"({', '.join(marks)})"
    return f"{_into(table, same + columns)} VALUES {', '.join([row] * size)} {end}"


@functools.lru_cache(64)
def _of_arrays(
    table: Table, same: tuple[str, ...], columns: tuple[str, ...], end: str, dialect: Dialect
) -> str:
    def typed(name: str) -> str:
        return f"%s::{table.c[name].type.compile(dialect=dialect)}"

    arrays = ", ".join(f"{typed(name)}[]" for name in columns)
    selected = ", ".join([*map(typed, same), "each.*"])
    return f"{_into(table, same + columns)} SELECT {selected} FROM unnest({arrays}) AS each {end}"


def _into(table: Table, columns: tuple[str, ...]) -> str:
    names = ", ".join(f'"{name}"' for name in columns)
    return f"INSERT INTO {table.name} ({names})"


def _array(values: Sequence[Any]) -> str:
    """As PostgreSQL writes one; the driver's own way takes ten times as long."""
    if not isinstance(values[0], str):
        return f"{{{','.join(map(str, values))}}}"
    joined = '","'.join(values)
    if "\\" in joined or joined.count('"') != 2 * (len(values) - 1):
        joined = '","'.join(value.replace("\\", "\\\\").replace('"', '\\"') for value in values)
    return f'{{"{joined}"}}'
