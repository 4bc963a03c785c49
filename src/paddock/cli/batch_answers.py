"""The answers of a batch, put where its rows were."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from paddock.cli.batch_lines import ADDED, Asking, Sent, lines
from paddock.cli.batch_rows import Row, WrongInput
from paddock.cli.files_written import new_file
from paddock.errors import PaddockError

JSON = dict[str, Any]
FORMATS = (".jsonl", ".ndjson", ".csv")
_NONE = {"code": "no_answer", "message": "the batch ended before this was answered"}


@dataclass
class Written:
    """How many rows were written, and how many of them are errors."""

    rows: int = 0
    failed: int = 0


class Answers:
    """Finds answers by their custom_id.

    Servers write them in the order of the input, so that what is asked for is what comes next; from one that
    does not, those that come too early are kept in memory.

    Args:
        files: what the server wrote: one for answers and one for errors.
    """

    def __init__(self, files: Iterable[BinaryIO]) -> None:
        self._streams = [_parsed(file) for file in files]
        self._heads = [next(stream, None) for stream in self._streams]
        self._early: dict[str, JSON] = {}

    def take(self, custom_id: str) -> JSON:
        """A line as OpenAI's output files have them; with an error that says so if there is none."""
        if custom_id in self._early:
            return self._early.pop(custom_id)
        for at, head in enumerate(self._heads):
            if head is not None and head["custom_id"] == custom_id:
                self._heads[at] = next(self._streams[at], None)
                return head
        return self._search(custom_id)

    def _search(self, custom_id: str) -> JSON:
        for at, stream in enumerate(self._streams):
            while (head := self._heads[at]) is not None:
                self._heads[at] = next(stream, None)
                if head["custom_id"] == custom_id:
                    return head
                self._early[str(head["custom_id"])] = head
        return {"id": None, "custom_id": custom_id, "response": None, "error": _NONE}


def write_answers(path: Path, rows: Iterable[Row], asking: Asking, sent: Sent, answers: Answers) -> Written:
    """Writes the whole output, which is there at once or not at all.

    Args:
        rows: the input, read again.
        sent: what was made of it when it was sent.

    Raises:
        PaddockError: the input is not any more what was sent, or the output cannot be written.
    """
    written = Written()
    with new_file(path) as out:
        write = _CsvOutput(out, sent) if path.suffix.lower() == ".csv" else _JsonOutput(out, sent)
        for row, custom_id in _unchanged(rows, asking, sent):
            answer = answers.take(custom_id)
            problem = error_of(answer)
            written.rows += 1
            written.failed += problem is not None
            write(row, answer, problem)
    return written


def _unchanged(rows: Iterable[Row], asking: Asking, sent: Sent) -> Iterator[tuple[Row, str]]:
    """The rows with their custom_ids; raises at the end if they are not what was sent."""
    digest = hashlib.sha256()
    changed = False
    try:
        for row, custom_id, line in lines(rows, asking):
            digest.update(line)
            yield row, custom_id
    except WrongInput:
        changed = True
    if changed or digest.hexdigest() != sent.sha256:
        raise PaddockError(
            "the file of prompts has changed since it was sent, so that its rows and the answers do not go"
            " together: make it what it was, and run the same command again"
        )


def error_of(answer: JSON) -> str | None:
    """What went wrong with a row, for a person; None if nothing did."""
    if answer.get("error"):
        return _message(answer["error"])
    response = answer.get("response")
    if not isinstance(response, dict):
        return str(_NONE["message"])
    status = response.get("status_code")
    if isinstance(status, int) and status < 400:
        return None
    body = response.get("body")
    said = body.get("error") if isinstance(body, dict) else None
    return _message(said) if said else f"it was answered with status {status}"


def text_of(answer: JSON) -> str:
    """What the model said; for what is no text (embeddings, calls of tools) its JSON."""
    body = answer["response"].get("body")
    match body:
        case {"choices": [{"message": {"content": str() as text}}, *_]}:
            return text
        case {"choices": [{"text": str() as text}, *_]}:
            return text
        case {"choices": [{"message": message}, *_]}:
            return _json(message)
        case {"data": [{"embedding": embedding}]}:
            return _json(embedding)
    return _json(body)


class _JsonOutput:
    def __init__(self, out: BinaryIO, sent: Sent) -> None:
        self._out = out
        self._lines_given = sent.lines_given

    def __call__(self, row: Row, answer: JSON, problem: str | None) -> None:
        if not self._lines_given:
            text = None if problem is not None else text_of(answer)
            answer = {**row.columns, **dict(zip(ADDED, (text, problem), strict=True))}
        self._out.write(_json(answer).encode("utf-8", "replace") + b"\n")


class _CsvOutput:
    def __init__(self, out: BinaryIO, sent: Sent) -> None:
        self._out = out
        self._columns = sent.columns
        self._line = io.StringIO(newline="")
        self._writer = csv.writer(self._line, lineterminator="\n")
        self._write([*self._columns, *ADDED])

    def __call__(self, row: Row, answer: JSON, problem: str | None) -> None:
        cells = [row.columns.get(name) for name in self._columns]
        text = "" if problem is not None else text_of(answer)
        self._write([*(_cell(cell) for cell in cells), text, problem or ""])

    def _write(self, cells: list[str]) -> None:
        self._writer.writerow(cells)
        self._out.write(self._line.getvalue().encode("utf-8", "replace"))
        self._line.seek(0)
        self._line.truncate()


def _parsed(file: BinaryIO) -> Iterator[JSON]:
    for number, line in enumerate(file, 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except ValueError:
            value = None
        if not isinstance(value, dict) or not isinstance(value.get("custom_id"), str):
            raise PaddockError(f"line {number} of the server's output file is not understood")
        yield value


def _message(error: Any) -> str:
    said = error.get("message") or error.get("code") if isinstance(error, dict) else error
    return str(said or "it failed")


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else _json(value)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
