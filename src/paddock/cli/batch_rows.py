"""The rows of a file of prompts: CSV, JSON lines or plain text."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from paddock.errors import StartupError

JSON = dict[str, Any]
# A quote that is never closed makes one cell of the rest of the file; this is where that is noticed.
_MOST_CHARACTERS = 32 * 1024 * 1024
_KINDS = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", type(None): "null"}


class WrongInput(Exception):
    """A file of prompts is not as it should be. Says where in it, and what is wrong there."""


@dataclass(frozen=True, slots=True)
class BatchLine:
    """A line that OpenAI's batches know already: it is sent as it is.

    Attributes:
        url: as it stands there, whatever that is.
    """

    raw: bytes
    custom_id: str
    url: Any


@dataclass(frozen=True, slots=True)
class Row:
    """
    Attributes:
        where: the place in the file, for a person: `row 3 (line 5)`.
        asked: a prompt, a list of messages, or a whole line of a batch.
        columns: what the row has, which the output repeats.
    """

    where: str
    asked: str | list[Any] | BatchLine
    columns: JSON


def read_rows(path: Path, column: str) -> Iterator[Row]:
    """The rows as they are read; only the one at hand is in memory.

    Args:
        path: its suffix tells what it is: one of `FORMATS`.
        column: the heading of a CSV file's prompts.

    Raises:
        StartupError: the file cannot be read.
        WrongInput: a row is not as it should be.
    """
    parse = FORMATS[path.suffix.lower()]
    try:
        with path.open("rb") as file:
            yield from parse(_Lines(file), column)
    except OSError as error:
        raise StartupError(f"cannot read {path}: {error.strerror or error}") from error


class _Lines:
    """The lines of a file, with their ends.

    Attributes:
        number: of the last one, from 1.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.number = 0

    def __iter__(self) -> Iterator[str]:
        for raw in self._file:
            self.number += 1
            try:
                # Spreadsheets begin their UTF-8 with a byte order mark.
                yield raw.decode("utf-8-sig" if self.number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise WrongInput(
                    f"line {self.number}: it is not UTF-8: byte 0x{raw[error.start]:02x} at {error.start + 1}"
                ) from None


def _csv_rows(lines: _Lines, column: str) -> Iterator[Row]:
    csv.field_size_limit(_MOST_CHARACTERS)
    reader = csv.reader(lines, strict=True)
    heading: list[str] | None = None
    number, began = 0, 1
    while True:
        try:
            cells = next(reader, None)
        except csv.Error as error:
            where = "the heading" if heading is None else f"row {number + 1} (line {began})"
            raise WrongInput(f"{where}: it is not CSV: {error}") from None
        if cells is None:
            return
        if cells and heading is None:
            heading = _heading(cells, column)
        elif cells and heading is not None:
            number += 1
            where = f"row {number} (line {began})"
            if len(cells) != len(heading):
                raise WrongInput(
                    f"{where}: it has {len(cells)} cells, and the heading has {len(heading)};"
                    ' a cell with a comma in it must stand in "quotes"'
                )
            columns = dict(zip(heading, cells, strict=True))
            yield Row(where, columns[column], columns)
        began = reader.line_num + 1


def _heading(cells: list[str], column: str) -> list[str]:
    twice = next((name for name in cells if cells.count(name) > 1), None)
    if twice is not None:
        raise WrongInput(f"the heading: the column {twice!r} is there twice")
    if column not in cells:
        raise WrongInput(
            f"the heading: there is no column {column!r}, only {', '.join(map(repr, cells))};"
            " name that of the prompts with --prompt-column"
        )
    return cells


def _json_rows(lines: _Lines, column: str) -> Iterator[Row]:
    for text in lines:
        if not text.strip():
            continue
        where = f"line {lines.number}"
        try:
            value = json.loads(text, parse_constant=_no_constant)
        except (ValueError, RecursionError) as error:
            raise WrongInput(f"{where}: it is not JSON: {error}") from None
        yield _json_row(where, value, text, column)


def _json_row(where: str, value: Any, text: str, column: str) -> Row:
    match value:
        case str():
            return Row(where, value, {column: value})
        case {"custom_id": custom_id, "body": _}:
            if not isinstance(custom_id, str):
                raise WrongInput(f"{where}: `custom_id` must be a string, not {_kind(custom_id)}")
            line = BatchLine(text.strip().encode(), custom_id, value.get("url"))
            return Row(where, line, {"custom_id": custom_id})
        case {"messages": list() as messages}:
            return Row(where, messages, value)
        case {"messages": other}:
            raise WrongInput(f"{where}: `messages` must be a list, not {_kind(other)}")
        case dict() if isinstance(value.get(column), str):
            return Row(where, value[column], value)
        case dict() if column in value:
            raise WrongInput(f"{where}: `{column}` must be a string, not {_kind(value[column])}")
    raise WrongInput(
        f'{where}: it must be {{"{column}": …}}, {{"messages": […]}}, a string, or a line of an OpenAI batch'
        f" with `custom_id` and `body`; it is {_kind(value)}"
        + (f" with {', '.join(map(repr, value))}" if isinstance(value, dict) and value else "")
    )


def _text_rows(lines: _Lines, column: str) -> Iterator[Row]:
    for text in lines:
        prompt = text.rstrip("\r\n")
        if prompt.strip():
            yield Row(f"line {lines.number}", prompt, {column: prompt})


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no value of JSON")


def _kind(value: Any) -> str:
    return _KINDS.get(type(value), "a number")


FORMATS: dict[str, Callable[[_Lines, str], Iterator[Row]]] = {
    ".csv": _csv_rows,
    ".jsonl": _json_rows,
    ".ndjson": _json_rows,
    ".txt": _text_rows,
}
"""How a file of prompts is read, by its suffix."""
