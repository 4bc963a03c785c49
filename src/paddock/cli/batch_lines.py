"""Rows of prompts as the lines of an OpenAI batch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Literal

from paddock.cli.batch_rows import BatchLine, Row, WrongInput

JSON = dict[str, Any]
Endpoint = Literal["chat", "completions"]
URLS: dict[Endpoint, str] = {"chat": "/v1/chat/completions", "completions": "/v1/completions"}
ADDED = ("response", "error")
"""What the output has beside the columns of the input."""


@dataclass(frozen=True)
class Asking:
    """How prompts are asked; lines that are those of a batch already say it themselves.

    Attributes:
        system: stands before the messages of a chat that does not begin with such a message itself.
        options: sampling parameters, by their names in OpenAI's API.
    """

    model: str | None
    endpoint: Endpoint = "chat"
    system: str | None = None
    options: JSON = field(default_factory=dict)

    def line(self, row: Row, number: int) -> tuple[str, bytes]:
        """The row's custom_id, and its line with its end.

        Raises:
            WrongInput: it cannot be asked so.
        """
        if isinstance(row.asked, BatchLine):
            return row.asked.custom_id, row.asked.raw + b"\n"
        custom_id = f"row-{number}"
        line = {
            "custom_id": custom_id,
            "method": "POST",
            "url": URLS[self.endpoint],
            "body": {"model": self._model(row), **self._question(row, row.asked), **self.options},
        }
        try:
            text = json.dumps(line, ensure_ascii=False, separators=(",", ":"))
            return custom_id, text.encode() + b"\n"
        except UnicodeEncodeError:
            raise WrongInput(f"{row.where}: it has half of a surrogate pair, which is no text") from None

    def _model(self, row: Row) -> str:
        if self.model is None:
            raise WrongInput(f"{row.where} names no model: say which with --model")
        return self.model

    def _question(self, row: Row, asked: str | list[Any]) -> JSON:
        if self.endpoint == "completions":
            if isinstance(asked, list):
                raise WrongInput(f"{row.where} has messages, which --endpoint completions does not take")
            return {"prompt": asked}
        messages = [{"role": "user", "content": asked}] if isinstance(asked, str) else asked
        if self.system is not None and not _begins_with_system(messages):
            messages = [{"role": "system", "content": self.system}, *messages]
        return {"messages": messages}


@dataclass(frozen=True)
class Sent:
    """What was made of a whole input.

    Attributes:
        sha256: of its lines, in hexadecimal; the same prompts asked in the same way have the same.
        endpoint: the path that its lines name.
        columns: all that any of its rows has, in the order in which they came.
        lines_given: whether its rows were lines of a batch already.
    """

    rows: int
    sha256: str
    endpoint: str
    columns: list[str]
    lines_given: bool


def write_lines(rows: Iterable[Row], asking: Asking, out: BinaryIO) -> Sent:
    """Writes the batch that the rows make.

    Raises:
        WrongInput: there are no rows, or one is not as it should be.
    """
    digest = hashlib.sha256()
    columns: dict[str, None] = {}
    rows_before: dict[str, str] = {}
    first: Row | None = None
    count = 0
    for row, custom_id, line in lines(rows, asking):
        count += 1
        first = first or row
        given = isinstance(row.asked, BatchLine)
        if given != isinstance(first.asked, BatchLine):
            raise WrongInput(
                f"{row.where}: a line of an OpenAI batch and a prompt cannot stand in one file;"
                f" {first.where} is the {'prompt' if given else 'line'}"
            )
        if given:
            if custom_id in rows_before:
                raise WrongInput(
                    f"{row.where}: the custom_id {custom_id!r} is that of {rows_before[custom_id]} too"
                )
            rows_before[custom_id] = row.where
        else:
            columns.update(dict.fromkeys(row.columns))
        digest.update(line)
        out.write(line)
    if first is None:
        raise WrongInput("there is no prompt in it")
    taken = next((name for name in ADDED if name in columns), None)
    if taken is not None:
        raise WrongInput(f"it has a {taken!r} of its own, which is what the output calls its answers")
    if isinstance(first.asked, BatchLine):
        endpoint = first.asked.url if isinstance(first.asked.url, str) else URLS[asking.endpoint]
        return Sent(count, digest.hexdigest(), endpoint, ["custom_id"], True)
    return Sent(count, digest.hexdigest(), URLS[asking.endpoint], list(columns), False)


def lines(rows: Iterable[Row], asking: Asking) -> Iterator[tuple[Row, str, bytes]]:
    """Each row with its custom_id and its line."""
    for number, row in enumerate(rows, 1):
        yield (row, *asking.line(row, number))


def _begins_with_system(messages: list[Any]) -> bool:
    first = messages[0] if messages else None
    return isinstance(first, dict) and first.get("role") in ("system", "developer")
