"""What an engine's error means to the caller, whatever the dialect."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson

from paddock.errors import (
    BodyTooLarge,
    ContextLengthExceeded,
    EngineFailed,
    InvalidRequest,
    NotFound,
    PaddockError,
    RateLimited,
    Unavailable,
)
from paddock.inference.relay import EngineRefused

# Statuses by which an engine says that the request itself is wrong.
_CALLERS_FAULT = frozenset({400, 405, 409, 415, 422})
_LONGEST = 2000  # characters of an engine's message; some repeat the whole request


def refused(error: EngineRefused, prompt: str = "messages") -> PaddockError:
    """What the caller is told when the engine answered with an error status.

    Args:
        prompt: the field that holds the prompt.
    """
    retry_after = error.headers.get(b"retry-after", b"")
    seconds = int(retry_after) if retry_after.isdigit() and len(retry_after) < 8 else None
    return engine_error(error.engine_status, error.body, seconds, prompt)


def engine_error(
    status: int, body: bytes, retry_after: float | None, prompt: str = "messages"
) -> PaddockError:
    """An engine's error body as one of ours; llama.cpp, vLLM and OpenAI nest it alike."""
    detail = _detail(body)
    # FastAPI's own errors say `detail`.
    said = detail.get("message") or detail.get("detail") or f"the engine answered with status {status}"
    message = str(said)[:_LONGEST]
    own_code = detail.get("code")
    if isinstance(own_code, int) and 400 <= own_code < 600:
        status = own_code
    if detail.get("type") == "exceed_context_size_error" or own_code == "context_length_exceeded":
        tokens, limit = detail.get("n_prompt_tokens"), detail.get("n_ctx")
        if tokens and limit:
            message = (
                f"the prompt has {tokens} tokens and this model's context is {limit} tokens;"
                " shorten the prompt or serve the model with a longer context"
            )
        return ContextLengthExceeded(message, param=detail.get("param") or prompt)
    if "too large to process" in message:
        # llama.cpp's words, with status 500, for an input of /embeddings beyond its batch.
        tokens, limit = [*re.findall(r"\d+", message), "?", "?"][:2]
        return ContextLengthExceeded(
            f"the input has {tokens} tokens, and at most {limit} make one embedding; split it", param="input"
        )
    if status in (401, 403):
        return EngineFailed(f"the engine refused this server's key: {message}")
    if status == 429:
        return RateLimited(message, retry_after=retry_after or 1)
    if status == 503:
        return Unavailable(message, retry_after=retry_after or 1)
    param = detail.get("param")
    param = param if isinstance(param, str) else None
    if status == 404:
        return NotFound(f"the engine does not have it: {message}", param=param)
    if status == 413:
        return BodyTooLarge(message)
    if status in _CALLERS_FAULT:
        return InvalidRequest(message, param=param)
    return EngineFailed(f"the engine failed: {message}")


def _detail(body: bytes) -> Mapping[str, Any]:
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {"message": body[:300].decode("utf-8", "replace").strip()}
    if not isinstance(answer, dict):
        return {}
    detail = answer.get("error", answer)
    return detail if isinstance(detail, dict) else {"message": str(detail)}
