"""Tool calls that `tool_choice` demands.

llama.cpp accepts `tool_choice: required` and lets the model answer in prose all the same, so the call is
forced by a JSON schema instead, and the JSON that comes back is put into the shape of a call here.
"""

from __future__ import annotations

from typing import Any

import orjson

from paddock.gateway.openai.answers import fireworks_usage

JSON = dict[str, Any]


def forced_tool_calls(answer: JSON, request_id: str) -> JSON:
    """The answer with each choice's JSON as a call; a choice that was cut short stays text."""
    return {
        **answer,
        "choices": [
            _choice(choice, f"call_{request_id[:24]}{choice['index']}") for choice in answer["choices"]
        ],
    }


def as_chunks(answer: JSON, include_usage: bool, fireworks: bool) -> list[JSON]:
    """A whole chat answer as the chunks of a stream."""
    head: JSON = {name: answer[name] for name in ("id", "created", "model") if name in answer}
    head["object"] = "chat.completion.chunk"
    chunks = []
    for choice in answer["choices"]:
        calls = [{**call, "index": at} for at, call in enumerate(choice["message"].get("tool_calls") or ())]
        delta = {"role": "assistant", "content": choice["message"]["content"]}
        if calls:
            delta["tool_calls"] = calls
        index = choice["index"]
        chunks.append({**head, "choices": [{"index": index, "delta": delta, "finish_reason": None}]})
        last = {"index": index, "delta": {}, "finish_reason": choice["finish_reason"]}
        chunks.append({**head, "choices": [last]})
    if fireworks:
        chunks[-1]["usage"] = fireworks_usage(answer["usage"] or {})
    elif include_usage:
        chunks.append({**head, "choices": [], "usage": answer["usage"]})
    return chunks


def _choice(choice: JSON, call_id: str) -> JSON:
    try:
        call = orjson.loads(choice["message"]["content"] or "")
        function = {"name": call["name"], "arguments": orjson.dumps(call["arguments"]).decode()}
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return choice
    message = {**choice["message"], "content": None}
    message["tool_calls"] = [{"id": call_id, "type": "function", "function": function}]
    return {**choice, "message": message, "finish_reason": "tool_calls"}
