"""Reads the input of an OpenAI batch: JSON Lines, each a request with an id of its own.

The codes of faults are those that OpenAI's own batches end with, as far as they are known.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

import orjson

from paddock.control.batches.reading import MOST_ERRORS, Read, numbered
from paddock.errors import JobFailed
from paddock.schemas.jobs import problem

JSON = dict[str, Any]
Fault = tuple[str, str | None, str]
"""(code, field, message)."""
LONGEST_ID = 512
_DIGEST_BYTES = 15
"""Python keeps them in the memory of 8; so many, and two ids of one batch never look alike."""
_SHOWN = 60


async def read(pieces: AsyncIterator[bytes], endpoint: str, note: Callable[[int], None]) -> Read:
    """Checks every line, as far as can be told without its endpoint's schema: what is wrong beyond that is
    the answer to its row.

    Args:
        endpoint: that all lines must name.
        note: told the number of rows as it grows.

    Raises:
        StorageFailed, NotFound: as `pieces` does.
    """
    rows = _Rows(endpoint)
    try:
        async with aclosing(numbered(pieces)) as found:
            async for number, line in found:
                if not line or line.isspace():
                    continue
                rows.take(number, line)
                note(rows.total)
                if len(rows.errors) == MOST_ERRORS:
                    break
    except JobFailed as failure:
        rows.errors += failure.errors
    if not rows.total and not rows.errors:
        rows.errors.append(problem("empty_file", "the input has no requests: each line of it must be one"))
    return Read(rows.total, rows.model or "", rows.errors)


class _Rows:
    """What was found so far."""

    def __init__(self, endpoint: str) -> None:
        self.total = 0
        self.model: str | None = None
        self.errors: list[JSON] = []
        self._endpoint = endpoint
        self._ids: set[bytes] = set()

    def take(self, number: int, line: bytes) -> None:
        self.total += 1
        fault: Fault | None
        try:
            row = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            fault = _unreadable(line, error)
        else:
            fault = self._fault(row)
        if fault is not None:
            code, param, message = fault
            self.errors.append(problem(code, message, param=param, line=number))

    def _fault(self, row: Any) -> Fault | None:
        if not isinstance(row, dict):
            return "invalid_json_line", None, f"the line must be a JSON object, not {_shown(row)}"
        body = row.get("body")
        return (
            self._id_fault(row)
            or _unless(row, "method", "invalid_method", "POST")
            or _unless(row, "url", "invalid_url", self._endpoint, ", the endpoint of the batch")
            or (_wrong(row, "body", "an object") if not isinstance(body, dict) else self._body_fault(body))
        )

    def _id_fault(self, row: JSON) -> Fault | None:
        identity = row.get("custom_id")
        if not isinstance(identity, str) or not 0 < len(identity) <= LONGEST_ID:
            return _wrong(row, "custom_id", f"a text of 1 to {LONGEST_ID} characters")
        digest = hashlib.blake2b(identity.encode(), digest_size=_DIGEST_BYTES).digest()
        if digest in self._ids:
            said = f"custom_id {_shown(identity)} stands on an earlier line too; each must be unique"
            return "duplicate_custom_id", "custom_id", said
        self._ids.add(digest)
        return None

    def _body_fault(self, body: JSON) -> Fault | None:
        model = body.get("model")
        # No model is called so, and PostgreSQL cannot even keep what was asked for.
        if not isinstance(model, str) or not model or "\0" in model:
            return _wrong(body, "model", "the name of a model", "body.")
        if self.model is None:
            self.model = model
        if model != self.model:
            said = f"model {_shown(model)} is not {_shown(self.model)}, which the lines before ask for"
            return "mismatched_model", "body.model", said
        if body.get("stream"):
            return "invalid_value", "body.stream", "body.stream must not be true: a batch has no streams"
        return None


def _unless(row: JSON, name: str, code: str, right: str, why: str = "") -> Fault | None:
    if row.get(name) == right:
        return None
    return _wrong(row, name, f'"{right}"{why}', code=code)


def _wrong(row: JSON, name: str, right: str, within: str = "", code: str = "invalid_value") -> Fault:
    param = within + name
    if name not in row:
        return "missing_required_parameter", param, f"{param} is required"
    return code, param, f"{param} must be {right}, not {_shown(row[name])}"


def _unreadable(line: bytes, error: orjson.JSONDecodeError) -> Fault:
    try:
        line.decode()
    except UnicodeDecodeError as found:
        return "invalid_encoding", None, f"byte {found.start + 1} of the line is not UTF-8"
    if line.startswith(b"\xef\xbb\xbf"):
        return "invalid_json_line", None, "the file begins with a byte order mark; save it without one"
    return "invalid_json_line", None, f"the line is not valid JSON: {error.msg} (character {error.pos + 1})"


def _shown(value: Any) -> str:
    text = orjson.dumps(value).decode()
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."
