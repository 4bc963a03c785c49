"""Log lines: each one line, which nothing in it can forge, with the request that it is about."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from typing import Any

import pytest

from paddock.inference.log_lines import Lines, logfmt, outline, quoted, request_id


def record(message: str, *values: Any, **more: Any) -> logging.LogRecord:
    made = logging.LogRecord("paddock.x", logging.WARNING, "", 0, message, values, more.pop("exc_info", None))
    made.created, made.msecs = 1_795_874_400.25, 250.0
    made.__dict__.update(more)
    return made


class TestLines:
    def test_logfmt(self) -> None:
        line = Lines(as_json=False).format(record("%s is slow", "it", fields={"ms": 5}))
        assert line == (
            'time=2026-11-28T14:00:00.250Z level=warning logger=paddock.x message="it is slow" ms=5'
        )

    def test_json(self) -> None:
        line = Lines(as_json=True).format(record('a "b"\nc \udcff'))
        assert "\n" not in line
        assert json.loads(line) == {
            "time": "2026-11-28T14:00:00.250Z",
            "level": "warning",
            "logger": "paddock.x",
            "message": 'a "b"\nc \udcff',
        }

    @pytest.mark.parametrize("as_json", [False, True])
    def test_a_traceback_is_in_the_line(self, as_json: bool) -> None:
        try:
            raise ValueError("of no use")
        except ValueError:
            line = Lines(as_json=as_json).format(record("it failed", exc_info=sys.exc_info()))
        assert "\n" not in line
        assert "ValueError: of no use" in line

    async def test_the_request_is_that_of_the_task_and_of_those_that_it_starts(self) -> None:
        lines = Lines(as_json=False)

        async def answer(identity: str) -> list[str]:
            request_id.set(identity)

            async def part() -> str:
                return lines.format(record("x"))

            return await asyncio.gather(part(), asyncio.create_task(part()))

        for identity, found in zip("ab", await asyncio.gather(answer("a"), answer("b")), strict=True):
            assert all(line.endswith(f" request_id={identity}") for line in found)
        assert "request_id" not in lines.format(record("x"))


class TestValues:
    @pytest.mark.parametrize("value", ["", "a b", "a=b", 'a"b', "a\nb", "a\x1bb", "größer", "\u2028"])
    def test_odd_ones_are_quoted(self, value: str) -> None:
        line = quoted(value)
        assert line.isprintable()
        assert json.loads(line) == value

    def test_plain_ones_are_not(self) -> None:
        assert logfmt({"a": "x/y:z", "b": 1}) == "a=x/y:z b=1"


def test_an_outline_has_the_places_and_not_the_words() -> None:
    try:
        try:
            raise KeyError("PRIVATE")
        except KeyError as error:
            raise ValueError("PRIVATE too") from error
    except ValueError as error:
        text = outline(error)
    assert "PRIVATE" not in text.replace('raise KeyError("PRIVATE")', "").replace('("PRIVATE too")', "")
    assert text.startswith("ValueError at\n")
    assert "KeyError at\n" in text
    assert "test_log_lines.py" in text
