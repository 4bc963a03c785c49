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

from paddock.engines.engine import EngineOptions
from paddock.engines.llama_cpp.launch import LlamaCppWheel
from paddock.runners.local import EngineProcess, start_engine

KEY = "a-key-for-tests"


def options(weights: Path, **changes: Any) -> EngineOptions:
    values: dict[str, Any] = {
        "alias": "tiny",
        "api_key": KEY,
        "context_length": 256,
        "slots": 2,
        "threads": 1,
    }
    return EngineOptions(weights=weights, **{**values, **changes})


@contextlib.asynccontextmanager
async def running(weights: Path, folder: Path, **changes: Any) -> AsyncIterator[EngineProcess]:
    process = await start_engine(LlamaCppWheel(), options(weights, **changes), folder / "engine.log", 30)
    try:
        yield process
    finally:
        await process.stop()


async def ask(process: EngineProcess, path: str, body: Any = None, key: str = KEY) -> tuple[int, Any]:
    """(HTTP status, parsed answer)."""
    return await asyncio.to_thread(ask_now, process.base_url + path, body, key)


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
