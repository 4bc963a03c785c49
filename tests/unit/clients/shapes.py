"""Answers in the Fireworks shapes."""

from __future__ import annotations

from typing import Any

CHAT = {
    "id": "chat-1",
    "object": "chat.completion",
    "created": 1,
    "model": "foal",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hay."}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 3, "total_tokens": 5, "completion_tokens": 2},
}
COMPLETION = {
    "id": "cmpl-1",
    "object": "text_completion",
    "created": 1,
    "model": "foal",
    "choices": [
        {
            "index": 0,
            "text": " a horse",
            "logprobs": {
                "tokens": [" a", " horse"],
                "token_logprobs": [None, -0.5],
                "top_logprobs": [{" a": -0.1}, {" horse": -0.5}],
                "text_offset": [0, 2],
                "token_ids": [4, 5],
            },
            "finish_reason": "length",
        }
    ],
    "usage": {"prompt_tokens": 3, "total_tokens": 5, "completion_tokens": 2},
}
MODELS = {"object": "list", "data": [{"id": "foal", "object": "model", "created": 1, "owned_by": "paddock"}]}
ERROR = {
    "error": {"message": "no such model", "type": "invalid_request_error", "param": "model", "code": None}
}


def chat_chunk(content: str | None, finish_reason: str | None = None, **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": {"content": content}, "finish_reason": finish_reason}
    return {
        "id": "chat-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "foal",
        "choices": [choice],
        **more,
    }


def text_chunk(text: str) -> dict[str, Any]:
    choice = {"index": 0, "text": text, "finish_reason": None}
    return {"id": "c", "object": "text_completion", "created": 1, "model": "foal", "choices": [choice]}
