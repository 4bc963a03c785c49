"""What the commands' server answers in these tests, in OpenAI's shapes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.unit.clients.server import Exchange

MODELS = [
    {
        "id": "paddock/foal",
        "object": "model",
        "created": 1,
        "context_length": 1024,
        "engine": "llama.cpp",
        "ready": True,
    },
    {"id": "big", "object": "model", "created": 1, "engine": "attached", "ready": False},
]
USAGE = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}


def chunk(text: str | None = None, finish_reason: str | None = None, chat: bool = True) -> dict[str, Any]:
    choice: dict[str, Any] = {"index": 0, "finish_reason": finish_reason}
    if chat:
        choice["delta"] = {} if text is None else {"content": text}
    else:
        choice["text"] = text or ""
    return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "foal", "choices": [choice]}


def answering(*pieces: str, models: list[dict[str, Any]] | None = None) -> Callable[[Exchange], None]:
    """Lists models, and answers every generation with `pieces`."""

    def respond(exchange: Exchange) -> None:
        if exchange.path == "/v1/models":
            exchange.answer({"object": "list", "data": MODELS if models is None else models})
            return
        chat = exchange.path == "/v1/chat/completions"
        exchange.begin_stream()
        for piece in pieces:
            exchange.event(chunk(piece, chat=chat))
        exchange.event(chunk(None, "stop", chat=chat))
        exchange.event(
            {"id": "c", "object": "x", "created": 1, "model": "foal", "choices": [], "usage": USAGE}
        )
        exchange.end_stream()

    return respond
