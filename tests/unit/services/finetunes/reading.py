"""Reads bytes as a stored file's are read."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

from paddock.services.finetunes.rows import Counter, Facts, read

JSON = dict[str, Any]


async def reading(
    data: bytes | str, size: int = 7, filename: str = "", counter: Counter | None = None
) -> tuple[Facts, list[JSON]]:
    """What is found, and the rows that were written."""
    raw = data.encode() if isinstance(data, str) else data
    written: list[bytes] = []
    notes: list[int] = []

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(raw), size):
            yield raw[start : start + size]

    async def write(lines: bytes) -> None:
        assert lines.endswith(b"\n")
        written.append(lines)

    facts = await read(pieces(), write, notes.append, filename=filename, counter=counter)
    assert notes == list(range(1, facts.rows + 1))
    return facts, [json.loads(line) for line in b"".join(written).splitlines()]


def jsonl(*rows: Any) -> str:
    return "\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows)


def told(facts: Facts) -> list[tuple[str, str | None, int | None]]:
    """Code, field and line of each fault."""
    return [(one["code"], one["param"], one["line"]) for one in facts.errors]


def pair(prompt: str, response: str) -> JSON:
    return {"prompt": prompt, "response": response}


def chat(*messages: tuple[str, str], **more: Any) -> JSON:
    return {"messages": [{"role": role, "content": content} for role, content in messages], **more}
