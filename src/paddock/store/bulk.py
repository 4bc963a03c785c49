"""Many rows in few statements.

Python's drivers give their thread's turn away for each statement, and in a busy process get it back after 5
ms only: a thousand rows that are a thousand statements then take seconds.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from sqlalchemy import Connection, Dialect, Table
from sqlalchemy.orm import Session

_SIZES = (512, 64, 16, 4, 1)
"""Rows in one of SQLite's statements; few sizes, so that the driver keeps them prepared."""
_MOST_VALUES = 32_766
"""In one of SQLite's statements."""
_NOTHING: Mapping[str, Any] = MappingProxyType({})


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
    if not rows:
        return []
    connection = session.connection()
    shared, names = tuple(same.values()), tuple(same)
    values = list(zip(*rows, strict=True))
    if connection.dialect.name != "sqlite":
        # An array for each column is a tenth of the work of a parameter for each value.
        statement = _of_arrays(table, names, columns, end, connection.dialect)
        return _run(connection, statement, (*shared, *map(_array, values)))
    found = []
    begin = 0
    for size in _SIZES:
        if size * len(columns) + len(names) > _MOST_VALUES:
            continue
        statement = _of_values(table, names, columns, size, end)
        while len(rows) - begin >= size:
            of_columns = (column[begin : begin + size] for column in values)
            found += _run(connection, statement, (*shared, *itertools.chain.from_iterable(of_columns)))
            begin += size
    return found


def _run(connection: Connection, statement: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    result = connection.exec_driver_sql(statement, values)
    return [tuple(row) for row in result] if result.returns_rows else []


@functools.lru_cache(256)
def _of_values(table: Table, same: tuple[str, ...], columns: tuple[str, ...], size: int, end: str) -> str:
    """First come the values that are the same, then those of the first column, and so on."""
    firsts = [1 + len(same) + size * number for number in range(len(columns))]
    rows = (
        ", ".join(f"?{number}" for number in (*range(1, 1 + len(same)), *(first + row for first in firsts)))
        for row in range(size)
    )
    return f"{_into(table, same + columns)} VALUES {', '.join(f'({row})' for row in rows)} {end}"


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
