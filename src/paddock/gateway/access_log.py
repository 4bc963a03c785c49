"""One line (logfmt) for each answered request, gathered for a moment so that logging costs no write each."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TextIO

from paddock.gateway.http import Request

FLUSH_SECONDS = 0.2


class AccessLog:
    """Writes lines such as

    time=2026-11-20T12:00:00Z request_id=4bf9… client=127.0.0.1 method=POST path=/v1/chat/completions
    status=200 model=paddock/foal prompt_tokens=12 completion_tokens=9 first_token_ms=31 ms=340

    Prompts and answers are never written.
    """

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._lines: list[str] = []
        self._flusher: asyncio.TimerHandle | None = None
        self._second = 0
        self._stamp = ""

    def write(self, request: Request, seconds: float) -> None:
        record = request.record
        usage = ""
        if record.model:
            usage = (
                f" model={record.model} prompt_tokens={record.prompt_tokens}"
                f" completion_tokens={record.completion_tokens}"
            )
        if record.first_token:
            usage += f" first_token_ms={record.first_token * 1000:.0f}"
        if record.outcome:
            usage += f" outcome={record.outcome}"
        self._lines.append(
            f"time={self._now()} request_id={request.id} client={request.connection.peer}"
            f" method={request.method} path={_plain(request.path)} status={record.status}{usage}"
            f" ms={seconds * 1000:.0f}\n"
        )
        if self._flusher is None:
            self._flusher = asyncio.get_running_loop().call_later(FLUSH_SECONDS, self.flush)

    def flush(self) -> None:
        if self._flusher is not None:
            self._flusher.cancel()
            self._flusher = None
        lines, self._lines = self._lines, []
        try:
            self._out.write("".join(lines))
            self._out.flush()
        except (OSError, ValueError):
            # A full disk or a closed pipe must not stop the answers.
            return

    def _now(self) -> str:
        second = int(time.time())
        if second != self._second:
            self._second = second
            self._stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(second))
        return self._stamp


def _plain(path: str) -> str:
    """A path cannot forge a field or a line."""
    if path.isascii() and path.isprintable() and len(path) <= 200 and not {" ", '"', "="} & set(path):
        return path
    return json.dumps(path[:200])
