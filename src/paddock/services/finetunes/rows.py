"""Reads a file of training rows in pieces, whatever its format, and writes them as the trainer takes them.

It is CSV with the columns prompt and response, JSON Lines with these two fields, or OpenAI's JSON Lines of
chats. Which of them is seen in the file. No more of it is held than `WRITTEN_AT_ONCE` and its longest row.
"""

from __future__ import annotations

from array import array
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Protocol

import orjson

from paddock.schemas.jobs import problem
from paddock.services.finetunes import json_rows
from paddock.services.finetunes.csv_rows import Broken, Header, Records, read_header
from paddock.services.finetunes.json_rows import Kind
from paddock.services.finetunes.lines import JSON, LONGEST_ROW, Line, numbered
from paddock.services.lines import LineTooLong

MOST_ROWS = 100_000
MOST_ERRORS = 50
"""Faults that are told of one file; with so many it is not read further."""
WRITTEN_AT_ONCE = 256 * 1024
_JSON_NAMES = (".jsonl", ".ndjson", ".json")
_NO_TEXT = ("PK\x03\x04", "PAR1", "%PDF")


@dataclass(frozen=True)
class Counted:
    """
    Attributes:
        lengths: tokens of each row, in order; 0 where there is a fault.
        faults: by the row's place, from 0: why the model's chat template refuses it.
    """

    lengths: list[int]
    faults: dict[int, str] = field(default_factory=dict)


class Counter(Protocol):
    """Says how long rows are, as `tokens.Tokens` does."""

    async def count(self, rows: Sequence[JSON]) -> Counted: ...


@dataclass(frozen=True)
class Facts:
    """
    Attributes:
        rows: how many there are.
        kind: whether they are prompts with responses or chats; empty if no row could be read.
        ignored: names of columns or fields that say nothing here.
        errors: what is wrong, as `schemas.jobs.JobError` has it. Where there is something, what was written
            is of no use.
        lines: where each row begins in the file, from 1.
        lengths: tokens of each row; empty without a counter, or where something is wrong.
    """

    rows: int
    kind: Kind
    ignored: list[str]
    errors: list[JSON]
    lines: array[int]
    lengths: array[int]

    @property
    def longest(self) -> int:
        return max(self.lengths, default=0)


async def read(
    pieces: AsyncIterator[bytes],
    write: Callable[[bytes], Awaitable[None]],
    note: Callable[[int], None],
    *,
    filename: str = "",
    counter: Counter | None = None,
) -> Facts:
    """Checks every row and writes them, a JSON object a line: `{"prompt", "response"}` or `{"messages"}`,
    whose assistant's messages have `"weight": 0` where they are not learned.

    Args:
        write: takes whole lines.
        note: told the number of rows as it grows.
        filename: decides where the file itself does not: whether what is no JSON was meant to be.

    Raises:
        StorageFailed, NotFound: as `pieces` and `write` do.
    """
    found = _Found(write, note, counter)
    try:
        await _read(found, pieces, filename.lower())
        await found.flush()
    except _Stop:
        pass
    return found.facts()


async def _read(found: _Found, pieces: AsyncIterator[bytes], filename: str) -> None:
    reader: _Csv | _Json | None = None
    try:
        async with aclosing(numbered(pieces)) as lines:
            async for line in lines:
                if reader is None and line.text.strip():
                    _check_text(found, line)
                    is_json = line.text.lstrip().startswith(("{", "[")) or filename.endswith(_JSON_NAMES)
                    reader = _Json(found) if is_json else _Csv(found)
                if line.bad_byte:
                    said = f"byte {line.bad_byte} of line {line.number} is not UTF-8; save the file as UTF-8"
                    found.note([problem("invalid_encoding", said, line=line.number)])
                if reader is not None:
                    reader.take(line)
                if found.waiting >= WRITTEN_AT_ONCE:
                    await found.flush()
    except LineTooLong as error:
        said = f"line {error.number} is longer than {LONGEST_ROW} bytes"
        found.note([problem("row_too_long", said, line=error.number)])
    if reader is not None:
        reader.finish()
    if not found.rows and not found.errors:
        said = "the file has no rows: give it a prompt with a response, or a chat, for each thing to learn"
        found.note([problem("empty_file", said)])


def _check_text(found: _Found, line: Line) -> None:
    if "\0" in line.text or line.text.startswith(_NO_TEXT):
        said = "the file is no text in UTF-8 (UTF-16, or a workbook, archive or table in a binary format?)"
        found.note([problem("invalid_encoding", f"{said}; save it as CSV or JSON Lines in UTF-8", line=1)])
        raise _Stop


class _Stop(Exception):
    """Enough is wrong."""


class _Found:
    """What was read so far.

    Attributes:
        waiting: bytes that are not written yet.
    """

    def __init__(
        self,
        write: Callable[[bytes], Awaitable[None]],
        note: Callable[[int], None],
        counter: Counter | None,
    ) -> None:
        self.rows = 0
        self.kind: Kind = ""
        self.errors: list[JSON] = []
        self.waiting = 0
        self._ignored: dict[str, None] = {}
        self._lines = array("I")
        self._lengths = array("I")
        self._text: list[bytes] = []
        self._uncounted: list[JSON] = []
        self._write = write
        self._note = note
        self._counter = counter

    def facts(self) -> Facts:
        lengths = array("I") if self.errors else self._lengths
        return Facts(self.rows, self.kind, list(self._ignored), self.errors, self._lines, lengths)

    def note(self, faults: Iterable[JSON]) -> None:
        """
        Raises:
            _Stop: enough is wrong.
        """
        self.errors += faults
        if len(self.errors) >= MOST_ERRORS:
            del self.errors[MOST_ERRORS:]
            raise _Stop

    def begin(self, line: int) -> None:
        """There is one more row, which begins on this line."""
        if self.rows == MOST_ROWS:
            said = f"there are more than {MOST_ROWS} rows, which is the most that one fine-tune takes"
            self.note([problem("too_many_rows", said, line=line)])
            raise _Stop
        self.rows += 1
        self._lines.append(line)
        self._note(self.rows)

    def ignore(self, names: Iterable[str]) -> None:
        for name in names:
            if len(self._ignored) < MOST_ERRORS:
                self._ignored[name[:100]] = None

    def keep(self, row: JSON) -> None:
        # Nobody reads what is written beside an error.
        if self.errors:
            return
        text = orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)
        self._text.append(text)
        self.waiting += len(text)
        if self._counter is not None:
            self._uncounted.append(row)

    async def flush(self) -> None:
        text, self._text, self.waiting = b"".join(self._text), [], 0
        rows, self._uncounted = self._uncounted, []
        if self.errors or not text:
            return
        if self._counter is not None:
            self._count(await self._counter.count(rows))
        if not self.errors:
            await self._write(text)

    def _count(self, counted: Counted) -> None:
        first = len(self._lengths)
        self._lengths.extend(counted.lengths)
        for place, why in counted.faults.items():
            number = first + place
            said = f"row {number + 1} does not fit the model's chat template: {why}"
            self.note([problem("invalid_chat", said, param="messages", line=self._lines[number])])


class _Csv:
    def __init__(self, found: _Found) -> None:
        self._found = found
        self._begun: list[Line] = []
        self._header: Header | None = None
        self._records = Records(",")

    def take(self, line: Line) -> None:
        if self._header is None:
            self._take_header(line)
        elif self._records.opened or line.text.strip():
            self._take_row(self._header, line)

    def finish(self) -> None:
        try:
            if self._header is None:
                for line in self._begun:
                    self._records.take(line)
            self._records.finish()
        except Broken as broken:
            self._found.note([broken.fault])

    def _take_header(self, line: Line) -> None:
        self._begun.append(line)
        try:
            self._header = read_header(self._begun)
        except Broken as broken:
            self._found.note([broken.fault])
            # Without it no row means anything.
            raise _Stop from None
        if self._header is not None:
            self._records = Records(self._header.delimiter)
            self._found.kind = "prompts"
            self._found.ignore(self._header.ignored)

    def _take_row(self, header: Header, line: Line) -> None:
        try:
            record = self._records.take(line)
        except Broken as broken:
            self._found.note([broken.fault])
            return
        if record is None:
            return
        self._found.begin(record.line)
        faults = list(header.faults(record, self._found.rows))
        self._found.note(faults)
        if not faults:
            self._found.keep(header.values(record))


class _Json:
    def __init__(self, found: _Found) -> None:
        self._found = found

    def take(self, line: Line) -> None:
        if not line.text.strip():
            return
        found = self._found
        found.begin(line.number)
        if line.bad_byte:
            return
        if found.rows == 1 and line.text.lstrip().startswith("["):
            said = "the file is one JSON list; write each row as a JSON object on a line of its own"
            found.note([problem("invalid_json_line", said, line=line.number)])
            raise _Stop
        checked = json_rows.check(line, found.rows)
        if not found.kind:
            found.kind = checked.kind
        found.ignore(checked.ignored)
        faults = [*checked.faults, *json_rows.mixed(found.kind, checked, line.number, found.rows)]
        found.note(faults)
        if not faults:
            found.keep(checked.row)

    def finish(self) -> None:
        """Each line is whole."""
