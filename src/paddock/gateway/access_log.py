"""One line for each answered request, gathered for a moment so that logging costs no write each."""

from __future__ import annotations

import asyncio
import time
from typing import Any, TextIO

from paddock.gateway.http import Request
from paddock.inference.log_lines import dump, quoted

FLUSH_SECONDS = 0.2
_LONGEST_PATH = 200


class AccessLog:
    """Writes lines such as

    time=2026-11-20T12:00:00Z request_id=4bf9… client=127.0.0.1 key=key_5d… project=shop method=POST
    path=/v1/chat/completions status=200 model=paddock/foal prompt_tokens=12 completion_tokens=9
    first_token_ms=31 ms=340

    Prompts and answers are never written.

    Args:
        as_json: write each as a JSON object with these fields.
    """

    def __init__(self, out: TextIO, *, as_json: bool = False) -> None:
        self._out = out
        self._as_json = as_json
        self._lines: list[str] = []
        self._flusher: asyncio.TimerHandle | None = None
        self._second = 0
        self._stamp = ""

    def write(self, request: Request, seconds: float) -> None:
        self._lines.append(self._json(request, seconds) if self._as_json else self._logfmt(request, seconds))
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

    def _logfmt(self, request: Request, seconds: float) -> str:
        record, key = request.record, request.key
        whose = f" key={key.id} project={quoted(key.project)}" if key.id else ""
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
        return (
            f"time={self._now()} request_id={request.id} client={request.connection.peer}{whose}"
            f" method={request.method} path={quoted(request.path[:_LONGEST_PATH])} status={record.status}"
            f"{usage} ms={seconds * 1000:.0f}\n"
        )

    def _json(self, request: Request, seconds: float) -> str:
        record, key = request.record, request.key
        fields: dict[str, Any] = {
            "time": self._now(),
            "request_id": request.id,
            "client": request.connection.peer,
        }
        if key.id:
            fields |= {"key": key.id, "project": key.project}
        fields |= {
            "method": request.method,
            "path": request.path[:_LONGEST_PATH],
            "status": record.status,
        }
        if record.model:
            fields |= {
                "model": record.model,
                "prompt_tokens": record.prompt_tokens,
                "completion_tokens": record.completion_tokens,
            }
        if record.first_token:
            fields["first_token_ms"] = round(record.first_token * 1000)
        if record.outcome:
            fields["outcome"] = record.outcome
        return dump({**fields, "ms": round(seconds * 1000)}) + "\n"

    def _now(self) -> str:
        second = int(time.time())
        if second != self._second:
            self._second = second
            self._stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(second))
        return self._stamp
