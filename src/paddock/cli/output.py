"""What commands write: text of models made harmless for a terminal, JSON for scripts, remarks."""

from __future__ import annotations

import json
import re
import sys
from typing import Any

import click

# All control characters but tab and newline, and halves of surrogate pairs, which no encoding can write.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_NOT_IN_JSON = re.compile("[\x7f-\x9f\ud800-\udfff]")


def printable(text: str) -> str:
    """`text` without the characters by which it could command a terminal: others wrote it."""
    return _UNPRINTABLE.sub("", text)


def dump_json(value: Any, indent: int | None = None) -> str:
    """JSON that keeps every character, and shows those that could command a terminal as escapes."""
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    return _NOT_IN_JSON.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def write(text: str, dim: bool = False) -> None:
    """A piece of a model's text, at once and without a line's end."""
    text = printable(text)
    click.echo(click.style(text, dim=True) if dim else text, nl=False)


def remark(text: str) -> None:
    """A line about what happened, for a person: on stderr, so that stdout has only answers."""
    sys.stdout.flush()
    click.echo(click.style(printable(text), dim=True), err=True)
