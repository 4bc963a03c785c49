"""Comma-separated rows as RFC 4180 has them: quoted fields may hold delimiters, line feeds, doubled quotes.

Not by Python's reader: it does not say on which line a quote opened, and bounds all fields of the process.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from paddock.schemas.jobs import problem
from paddock.services.finetunes.lines import JSON, LONGEST_ROW, Line

COLUMNS = ("prompt", "response")
DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs"}
MOST_HEADER_LINES = 20
_QUOTE = '"'
_SHOWN = 12


@dataclass(frozen=True)
class Record:
    """
    Attributes:
        line: the number of its first line.
    """

    line: int
    fields: list[str]


class Broken(Exception):
    """What cannot be a record. Its one argument is the fault, as `schemas.jobs.JobError` has it."""

    @property
    def fault(self) -> JSON:
        found: JSON = self.args[0]
        return found


class Records:
    """Puts records together from lines.

    Attributes:
        opened: the line on which the quote opened that has not closed; 0 if none is open.
    """

    def __init__(self, delimiter: str) -> None:
        self.opened = 0
        self._delimiter = delimiter
        self._line = 0
        self._fields: list[str] = []
        self._text: list[str] = []
        self._size = 0

    def take(self, line: Line) -> Record | None:
        """The record that ends with this line.

        Raises:
            Broken: this line, or the field that it goes on with. What was begun is forgotten.
        """
        if not self.opened:
            self._line, self._fields, self._size = line.number, [], 0
            if _QUOTE not in line.text:
                return Record(line.number, line.text.removesuffix("\r").split(self._delimiter))
        try:
            whole = self._read(line)
        except Broken:
            self._forget()
            raise
        return Record(self._line, self._fields) if whole else None

    def finish(self) -> None:
        """
        Raises:
            Broken: a quote is still open.
        """
        if self.opened:
            said = f"the quote that opens on line {self.opened} is never closed; double a quote that is meant"
            raise Broken(problem("broken_quoting", said, line=self.opened))

    def _read(self, line: Line) -> bool:
        """Whether the record is whole."""
        text = line.text
        place = 0
        if self.opened:
            self._text.append("\n")
            place = self._quoted(line, 0)
        while not self.opened:
            if place > len(text):
                return True
            place = (
                self._quoted(line, place + 1) if text.startswith(_QUOTE, place) else self._bare(line, place)
            )
        self._size += len(text) + 1
        if self._size > LONGEST_ROW:
            said = f"the quote that opens on line {self.opened} is not closed within {LONGEST_ROW} characters"
            raise Broken(problem("broken_quoting", said, line=self.opened))
        return False

    def _bare(self, line: Line, start: int) -> int:
        """Takes a field without quotes; where the next begins, which is behind the text after the last."""
        end = line.text.find(self._delimiter, start)
        value = line.text[start:].removesuffix("\r") if end < 0 else line.text[start:end]
        if value.lstrip(" ").startswith(_QUOTE):
            said = "blanks stand before an opening quote; a quoted field begins with its quote"
            raise Broken(problem("broken_quoting", said, line=line.number))
        self._fields.append(value)
        return len(line.text) + 1 if end < 0 else end + 1

    def _quoted(self, line: Line, start: int) -> int:
        """Takes a quoted field, or as much of it as this line has; returns as `_bare`."""
        text = line.text
        self.opened = self.opened or line.number
        while (end := text.find(_QUOTE, start)) >= 0 and text.startswith(_QUOTE, end + 1):
            self._text.append(text[start : end + 1])
            start = end + 2
        if end < 0:
            self._text.append(text[start:])
            return len(text) + 1
        self._text.append(text[start:end])
        rest = text[end + 1 :].removesuffix("\r")
        if rest and not rest.startswith(self._delimiter):
            said = (
                f"{rest[:_SHOWN]!r} follows the quote that closes the field which opens on line"
                f" {self.opened}; a quote within a field must be doubled"
            )
            raise Broken(problem("broken_quoting", said, line=self.opened))
        self._fields.append("".join(self._text))
        self._forget()
        return end + 2 if rest else len(text) + 1

    def _forget(self) -> None:
        self.opened = 0
        self._text = []


@dataclass(frozen=True)
class Header:
    """
    Attributes:
        delimiter: that it, and so all of the file, is written with.
        columns: how many there are.
        prompt, response: their numbers, from 0.
        ignored: the names of the others.
    """

    delimiter: str
    columns: int
    prompt: int
    response: int
    ignored: list[str]

    def faults(self, record: Record, row: int) -> Iterator[JSON]:
        """What is wrong with a record.

        Args:
            row: its number, from 1.
        """
        found = len(record.fields)
        if found != self.columns:
            said = f"row {row} has {_columns(found)} and the header {_columns(self.columns)}"
            if found > self.columns:
                said += f"; a field with {DELIMITERS[self.delimiter]} in it must stand in quotes"
            yield problem("wrong_column_count", said, line=record.line)
            return
        for name, value in self.values(record).items():
            if not value.strip():
                yield problem("empty_value", f"row {row}: the {name} is empty", param=name, line=record.line)

    def values(self, record: Record) -> dict[str, str]:
        return {"prompt": record.fields[self.prompt], "response": record.fields[self.response]}


def read_header(lines: list[Line]) -> Header | None:
    """The header that a file begins with; nothing if it goes on behind these lines.

    Raises:
        Broken: it is none, or lacks a column.
    """
    # Commas are tried last, so that it is their fault which is told.
    first: Record | Broken | None = None
    for delimiter in reversed(DELIMITERS):
        try:
            first = _single(lines, delimiter)
        except Broken as error:
            first = error
        if isinstance(first, Record) and set(COLUMNS) <= set(_names(first)):
            return _header(first, delimiter)
    if isinstance(first, Broken):
        raise first
    if first is None and len(lines) < MOST_HEADER_LINES:
        return None
    raise Broken(_missing(first or Record(lines[0].number, [lines[0].text])))


def _single(lines: list[Line], delimiter: str) -> Record | None:
    """The record that all of the lines make."""
    records = Records(delimiter)
    *before, last = [records.take(line) for line in lines]
    return None if any(before) else last


def _names(record: Record) -> list[str]:
    return [name.strip().lower() for name in record.fields]


def _header(record: Record, delimiter: str) -> Header:
    names = _names(record)
    for column in COLUMNS:
        if names.count(column) > 1:
            said = f"the header has {names.count(column)} columns named {column}; there must be one"
            raise Broken(problem("duplicate_column", said, param=column, line=record.line))
    prompt, response = (names.index(column) for column in COLUMNS)
    ignored = [name.strip() for i, name in enumerate(record.fields) if i not in (prompt, response)]
    return Header(delimiter, len(names), prompt, response, ignored)


def _missing(record: Record) -> JSON:
    names = _names(record)
    missing = [column for column in COLUMNS if column not in names]
    if any("\r" in name for name in record.fields):
        said = "lines must end with a line feed, not with a carriage return alone"
        return problem("invalid_csv", said, line=record.line)
    found = ", ".join(repr(name.strip()[:40]) for name in record.fields[:20])
    said = (
        f"the header has no column {' and none '.join(missing)}: the first line must name the columns prompt"
        f" and response, and it has {found}. JSON Lines must begin with an object"
    )
    return problem("missing_column", said, param=missing[0], line=record.line)


def _columns(count: int) -> str:
    return "1 column" if count == 1 else f"{count} columns"
