"""How log lines are written, and what they may say of the request that is being answered."""

from __future__ import annotations

import json
import logging
import time
import traceback
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any

import orjson

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""Of the request whose task, or a task that it started, writes the line; empty outside of all."""

_UNQUOTED = frozenset(' "=')


class Lines(logging.Formatter):
    """One line for each record: its time, level, logger and message, and the request that it is about.

    A record's `fields` (from `extra`) follow as fields of their own, a traceback as `exception`.

    Args:
        as_json: a JSON object instead of logfmt.
    """

    def __init__(self, *, as_json: bool) -> None:
        super().__init__()
        self._as_json = as_json

    def format(self, record: logging.LogRecord) -> str:
        seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        fields: dict[str, Any] = {
            "time": f"{seconds}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if identity := request_id.get():
            fields["request_id"] = identity
        fields |= getattr(record, "fields", {})
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return dump(fields) if self._as_json else logfmt(fields)


def logfmt(fields: Mapping[str, Any]) -> str:
    return " ".join([f"{name}={quoted(str(value))}" for name, value in fields.items()])


def dump(fields: Mapping[str, Any]) -> str:
    """
    Raises:
        TypeError: a value is none that JSON has.
    """
    try:
        return orjson.dumps(fields).decode()
    except TypeError:
        # It is strict about surrogates, which file names have.
        return json.dumps(fields)


def quoted(value: str) -> str:
    """A value that cannot forge a field or a line."""
    if value and value.isascii() and value.isprintable() and not _UNQUOTED & set(value):
        return value
    return json.dumps(value, ensure_ascii=not value.isprintable())


def outline(error: BaseException) -> str:
    """Where an error came from, and its kind, without its words: they may quote a prompt."""
    lines = []
    seen: BaseException | None = error
    while seen is not None:
        lines.append(f"{type(seen).__name__} at\n{''.join(traceback.format_tb(seen.__traceback__))}")
        seen = seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)
    return "".join(lines).rstrip()
