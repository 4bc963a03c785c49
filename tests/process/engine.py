"""A real engine for tests, and small questions to it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from paddock.engines.engine import Program
from paddock.engines.program import EngineProgram
from paddock.runners.local import NODE, LocalRunner
from paddock.runners.process import LocalProcess

KEY = "a-key-for-tests"


def program(weights: Path, **changes: Any) -> EngineProgram:
    values: dict[str, Any] = {"context_length": 256, "slots": 2, "threads": 1}
    return EngineProgram(str(weights), **{"alias": "tiny", "api_key": KEY, **values, **changes})


async def start(
    runner: LocalRunner, what: Program, name: str = "a-process", timeout: float = 30
) -> LocalProcess:
    process = await runner.start(what, node=NODE, name=name, timeout=timeout, report=lambda _: None)
    assert isinstance(process, LocalProcess)
    return process


@contextlib.asynccontextmanager
async def running(weights: Path, folder: Path, **changes: Any) -> AsyncIterator[LocalProcess]:
    runner = LocalRunner(folder)
    try:
        yield await start(runner, program(weights, **changes))
    finally:
        await runner.close()


async def ask(process: LocalProcess, path: str, body: Any = None, key: str = KEY) -> tuple[int, Any]:
    """(HTTP status, parsed answer)."""
    return await asyncio.to_thread(ask_now, process.address + path, body, key)


def ask_now(url: str, body: Any = None, key: str = KEY) -> tuple[int, Any]:
    data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    request = urllib.request.Request(url, data, headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read() or b"null")
