"""What a server's ledger says: asked by its API, and read as its rows."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bench import probe
from bench.servers import HOST
from paddock.schemas.limits import NANO
from paddock.store.ledger import FILE

COUNTS = ("requests", "prompt_tokens", "completion_tokens")


class Row(NamedTuple):
    """A row of the ledger, as far as it is compared; `cost` in billionths of the currency."""

    id: str
    key: str
    outcome: str
    prompt: int
    completion: int
    cost: int


class Sums(NamedTuple):
    """Of a key, or of all."""

    requests: int = 0
    prompt: int = 0
    completion: int = 0
    cost: int = 0


def said(port: int, secret: str, group_by: str = "key") -> dict[str, Sums]:
    """What `GET /api/v1/usage` says of each key, or what else is grouped by; `total` of all.

    Raises:
        RuntimeError: it does not answer.
    """
    head = f"Host: {HOST}\r\nAuthorization: Bearer {secret}\r\n"
    with probe.connected(port) as connection:
        request = f"GET /api/v1/usage?group_by={group_by} HTTP/1.1\r\n{head}\r\n"
        answer = connection.ask(request.encode())
    if answer.status != 200:
        raise RuntimeError(f"usage: {answer.status} {answer.body[:500]!r}")
    found = json.loads(answer.body)
    return {**{one[group_by]: _sums(one) for one in found["data"]}, "total": _sums(found["total"])}


def rows(data: Path) -> list[Row]:
    """Those that are written, in the order in which they were."""
    columns = "id, key, outcome, prompt_tokens, completion_tokens, cost"
    with contextlib.closing(sqlite3.connect(data / FILE)) as ledger:
        found = ledger.execute(f"SELECT {columns} FROM usage_requests ORDER BY number").fetchall()
    return [Row(*one) for one in found]


def writers(data: Path) -> int:
    """Processes that wrote some of it."""
    with contextlib.closing(sqlite3.connect(data / FILE)) as ledger:
        return int(ledger.execute("SELECT count(*) FROM usage_batches").fetchone()[0])


def summed(found: Sequence[Row]) -> dict[str, Sums]:
    """The rows as `said` has them."""
    sums: dict[str, Sums] = {}
    for row in found:
        for name in (row.key, "total"):
            known = sums.get(name, Sums())
            more = (1, row.prompt, row.completion, row.cost)
            sums[name] = Sums._make(before + after for before, after in zip(known, more, strict=True))
    return sums


def _sums(one: dict[str, Any]) -> Sums:
    requests, prompt, completion = (int(one[name]) for name in COUNTS)
    return Sums(requests, prompt, completion, round(one["cost"]["amount"] * NANO))
