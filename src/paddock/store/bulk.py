"""Many rows in few statements.

Python's drivers give their thread's turn away for each statement, and in a busy process get it back after 5
ms only: a thousand rows that are a thousand statements then take seconds.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Dialect, Table
from sqlalchemy.orm import Session

_SIZES = (512, 64, 16, 4, 1)
"""Rows in one of SQLite's statements; few sizes, so that the driver keeps them prepared."""
_MOST_VALUES = 32_766
"""In one of SQLite's statements."""


def insert_rows(
    session: Session, table: Any, columns: tuple[str, ...], rows: Sequence[Sequence[Any]], end: str = ""
) -> list[tuple[Any, ...]]:
    """
    Args:
        table: a `Table`.
        rows: values in the order of the columns.
        end: of the statement, such as `ON CONFLICT …`; no two rows may have the same key then.

    Returns:
        What comes back if `end` has a `RETURNING`.
    """
    if not rows:
        return []
    connection = session.connection()
    if connection.dialect.name != "sqlite":
        # An array for each column is a tenth of the work of a parameter for each value.
        arrays = tuple(map(_array, zip(*rows, strict=True)))
        return _run(connection, _of_arrays(table, columns, end, connection.dialect), arrays)
    found = []
    begin = 0
    for size in _SIZES:
        if size * len(columns) > _MOST_VALUES:
            continue
        statement = _of_values(table, columns, size, end)
        while len(rows) - begin >= size:
            values = tuple(itertools.chain.from_iterable(rows[begin : begin + size]))
            found += _run(connection, statement, values)
            begin += size
    return found


def _run(connection: Connection, statement: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    result = connection.exec_driver_sql(statement, values)
    return [tuple(row) for row in result] if result.returns_rows else []


@functools.lru_cache(256)
def _of_values(table: Table, columns: tuple[str, ...], size: int, end: str) -> str:
    row = f"({', '.join('?' * len(columns))})"
    return f"{_into(table, columns)} VALUES {', '.join([row] * size)} {end}"


@functools.lru_cache(64)
def _of_arrays(table: Table, columns: tuple[str, ...], end: str, dialect: Dialect) -> str:
    types = [table.c[name].type.compile(dialect=dialect) for name in columns]
    arrays = ", ".join(f"%s::{type}[]" for type in types)
    return f"{_into(table, columns)} SELECT * FROM unnest({arrays}) {end}"


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
