"""Reads the input of an LLM Engine batch: one JSON document of any length, which becomes one row a line.

A prompt becomes a JSON string, a request an object. No more of the document is held than its longest row.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any

import ijson
import orjson
from ijson.backends import yajl2_c

from paddock.control.batches.reading import MOST_ERRORS, Read
from paddock.schemas.jobs import Dialect, problem
from paddock.services.batches.content import PROMPTS, Fault, Requests, check_fields, prompt_fault, shown
from paddock.services.lines import LONGEST_LINE, TURN

JSON = dict[str, Any]
Event = tuple[str, Any]
WRITTEN_AT_ONCE = 256 * 1024
SLICE = 64 * 1024
LARGE_SLICE = 4 * SLICE
"""Bytes that are parsed without a break. A long text is read from its beginning again with each slice, so
larger ones are taken where there is one.
"""
BETWEEN_LOOKS = 256
"""Events between two looks at the clock."""
MOST_DEPTH = 200
_MARK = b"\xef\xbb\xbf"


async def read(
    dialect: Dialect,
    pieces: AsyncIterator[bytes],
    write: Callable[[bytes], Awaitable[None]],
    note: Callable[[int], None],
) -> Read:
    """Checks the document and writes its rows. Where something is wrong they are of no use.

    Args:
        write: takes whole lines.
        note: told the number of rows as it grows.

    Returns:
        With `fields`: what goes with all prompts, as a completion takes it; empty for requests.

    Raises:
        StorageFailed, NotFound: as `pieces` and `write` do.
    """
    document = _Document(takes_requests=dialect != "llm_engine.v1")
    try:
        async for _ in _parsed(document, pieces):
            note(document.total)
            if len(document.lines) >= WRITTEN_AT_ONCE:
                await write(document.take_lines())
        document.finish()
    except _Stop:
        pass
    await write(document.take_lines())
    errors = [problem(fault.code, fault.message, param=fault.param or None) for fault in document.faults]
    return Read(document.total, document.requests.model, errors[:MOST_ERRORS], document.fields)


async def _parsed(document: _Document, pieces: AsyncIterator[bytes]) -> AsyncIterator[None]:
    """Feeds the document; a step for each slice of it.

    Raises:
        _Stop: there is no use in reading on.
    """
    events: list[Event] = ijson.sendable_list()
    parser = yajl2_c.basic_parse_coro(events, use_float=True)
    end = time.perf_counter() + TURN
    async for part in _slices(pieces, document):
        try:
            parser.send(part)
        except ijson.JSONError as error:
            document.take(events)
            raise document.broken(error) from None
        before = document.completed
        for first in range(0, max(1, len(events)), BETWEEN_LOOKS):
            document.take(events[first : first + BETWEEN_LOOKS])
            if time.perf_counter() > end:
                await asyncio.sleep(0)
                end = time.perf_counter() + TURN
        events.clear()
        document.unfinished = 0 if document.completed > before else document.unfinished + len(part)
        if document.unfinished > LONGEST_LINE:
            raise document.stopped("row_too_long", f"{document.place} is longer than {LONGEST_LINE} bytes")
        yield
    try:
        parser.close()
    except ijson.JSONError as error:
        if not document.begun:
            raise document.stopped("empty_input", "the input is empty") from None
        raise document.broken(error) from None
    document.take(events)


async def _slices(pieces: AsyncIterator[bytes], document: _Document) -> AsyncIterator[bytes]:
    start = len(_MARK)
    async for piece in pieces:
        # A mark of the byte order is no JSON, and some editors begin every file with one.
        start = start if piece.startswith(_MARK) else 0
        while start < len(piece):
            end = start + (LARGE_SLICE if document.unfinished > SLICE else SLICE)
            yield piece[start:end]
            start = end
        start = 0


class _Stop(Exception):
    """Nothing of the rest matters: it cannot be read, or enough is wrong."""


class _Document:
    """What was read so far.

    Attributes:
        lines: rows that were not written yet.
        completed: rows and fields that are whole.
        unfinished: about how many bytes there are of the one that is not.
        begun: whether there was anything.
    """

    def __init__(self, *, takes_requests: bool) -> None:
        self.total = 0
        self.completed = 0
        self.unfinished = 0
        self.begun = False
        self.faults: list[Fault] = []
        self.fields: JSON = {}
        self.lines = bytearray()
        self.requests = Requests()
        self._takes_requests = takes_requests
        self._inside: Callable[[str, Any], None] = self._root
        self._value = _Value()
        self._key = ""
        self._given: JSON = {}
        self._is_object = False
        self._has_prompts = False

    @property
    def place(self) -> str:
        """For a message: what would come next."""
        if self._inside in (self._prompts, self._list):
            return f"{PROMPTS}.{self.total}" if self._inside == self._prompts else f"request {self.total}"
        return f"the value of {self._key!r}" if self._key else "the input"

    def take_lines(self) -> bytes:
        lines, self.lines = self.lines, bytearray()
        return bytes(lines)

    def take(self, events: Iterable[Event]) -> None:
        """
        Raises:
            _Stop: enough is wrong.
        """
        for event, value in events:
            self._inside(event, value)

    def finish(self) -> None:
        """The document is over."""
        if self._is_object:
            self.fields, faults = check_fields(self._given)
            self.faults += faults
        if self._is_object and not self._has_prompts:
            self._note(Fault("missing_field", PROMPTS, f"{PROMPTS} is required"))
        elif not self.total:
            what = f"{PROMPTS} must not be empty" if self._is_object else "the list of requests is empty"
            self._note(Fault("empty_input", PROMPTS if self._is_object else "", what))

    def broken(self, error: ijson.JSONError) -> _Stop:
        """The parser's own complaint has three lines: what it is, where in the text, and an arrow."""
        said = error.args[0] if error.args else ""
        said = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
        reason, _, rest = said.partition("\n")
        near = rest.partition("\n")[0].strip()
        reason = reason.removeprefix("lexical error: ").removeprefix("parse error: ").rstrip(".")
        if "EOF" in reason:
            reason, near = "it ends too early", ""
        where = f" near {near!r}" if near else ""
        return self.stopped("invalid_json", f"the input is not valid JSON: {reason}, in {self.place}{where}")

    def stopped(self, code: str, message: str) -> _Stop:
        self.faults.append(Fault(code, "", message))
        return _Stop()

    def _note(self, fault: Fault) -> None:
        self.faults.append(fault)
        if len(self.faults) >= MOST_ERRORS:
            raise _Stop

    def _row(self, row: Any, fault: Fault | None) -> None:
        if fault is None:
            try:
                self.lines += orjson.dumps(row)
                self.lines += b"\n"
            except TypeError as error:
                fault = Fault("invalid_request", "", f"{self.place}: {error}")
        if fault is not None:
            self._note(fault)
        self.total += 1
        self.completed += 1

    # ---- where in the document an event is met

    def _root(self, event: str, value: Any) -> None:
        self.begun = True
        self._is_object = event == "start_map"
        if event == "start_map":
            self._inside = self._object
        elif event == "start_array" and self._takes_requests:
            self._inside = self._list
        else:
            right = f"an object with {PROMPTS}" + (", or a list of requests" if self._takes_requests else "")
            found = "a list" if event == "start_array" else shown(value)
            raise self.stopped("wrong_input", f"the input must be {right}, not {found}")

    def _object(self, event: str, value: Any) -> None:
        if event == "end_map":
            self._inside = self._over
            return
        self._key = value
        self._inside = self._before_prompts if value == PROMPTS else self._field

    def _field(self, event: str, value: Any) -> None:
        if self._built(event, value):
            self._given[self._key] = self._value.value
            self.completed += 1
            self._inside = self._object

    def _before_prompts(self, event: str, value: Any) -> None:
        if event != "start_array" or self._has_prompts:
            wrong = "stands there twice" if self._has_prompts else "must be a list of strings"
            raise self.stopped("invalid_request", f"{PROMPTS} {wrong}")
        self._has_prompts = True
        self._inside = self._prompts

    def _prompts(self, event: str, value: Any) -> None:
        if event == "string" and not self._value.depth:
            self._row(value, None)
        elif event == "end_array" and not self._value.depth:
            self._inside = self._object
            self._key = ""
        elif self._built(event, value):
            self._row(None, prompt_fault(self.total, self._value.value))

    def _list(self, event: str, value: Any) -> None:
        if event == "end_array" and not self._value.depth:
            self._inside = self._over
        elif self._built(event, value):
            row = self._value.value
            self._row(row, self.requests.fault(self.total, row))

    def _over(self, event: str, value: Any) -> None:
        raise AssertionError("the parser lets nothing follow a document")

    def _built(self, event: str, value: Any) -> bool:
        whole = self._value.take(event, value)
        if self._value.depth > MOST_DEPTH:
            raise self.stopped("invalid_request", f"{self.place} is nested deeper than {MOST_DEPTH}")
        return whole


class _Value:
    """One JSON value, put together. Not by the parser's library, which takes the square of its depth for it.

    Attributes:
        value: the last whole one.
    """

    def __init__(self) -> None:
        self.value: Any = None
        self._open: list[Any] = []
        self._keys: list[str] = []

    @property
    def depth(self) -> int:
        return len(self._open)

    def take(self, event: str, value: Any) -> bool:
        """Whether a value is whole now."""
        if event == "map_key":
            self._keys[-1] = value
            return False
        if event in ("start_map", "start_array"):
            self._open.append({} if event == "start_map" else [])
            self._keys.append("")
            return False
        if event in ("end_map", "end_array"):
            value = self._open.pop()
            self._keys.pop()
        if not self._open:
            self.value = value
            return True
        around = self._open[-1]
        if type(around) is list:
            around.append(value)
        else:
            around[self._keys[-1]] = value
        return False
