"""Pure translation of an engine's answer into the exact shape of each endpoint.

`/v1` has OpenAI's shapes; `/inference/v1` sends exactly the fields that the published Fireworks client
(0.9.0) knows, because it forbids others. The same functions serve whole answers and stream chunks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

JSON = dict[str, Any]


def flat_logprobs(content: list[JSON], offset: int) -> JSON:
    """OpenAI's logprobs of plain completions (and Fireworks' of both) from the chat-shaped entries.

    Args:
        content: entries {token, logprob, top_logprobs: [{token, logprob}]}.
        offset: characters of text before the first entry.
    """
    offsets = []
    for entry in content:
        offsets.append(offset)
        offset += len(entry["token"])
    tops = [
        {top["token"]: top["logprob"] for top in entry.get("top_logprobs") or ()} or None for entry in content
    ]
    return {
        "tokens": [entry["token"] for entry in content],
        "token_logprobs": [entry["logprob"] for entry in content],
        "top_logprobs": tops if any(tops) else None,
        "text_offset": offsets,
    }


def chat_logprobs(content: list[JSON]) -> JSON:
    """OpenAI's logprobs of chat: llama.cpp adds token ids, which OpenAI's schema does not have."""

    def entry(raw: JSON) -> JSON:
        raw_bytes = raw.get("bytes")
        return {
            "token": raw["token"],
            "logprob": raw["logprob"],
            "bytes": list(raw["token"].encode()) if raw_bytes is None else raw_bytes,
        }

    return {
        "content": [
            {**entry(raw), "top_logprobs": [entry(top) for top in raw.get("top_logprobs") or ()]}
            for raw in content
        ],
        "refusal": None,
    }


def logprob_entries(choice: JSON) -> list[JSON] | None:
    """The chat-shaped entries that llama.cpp sends on both endpoints, if it sent any."""
    logprobs = choice.get("logprobs")
    entries = logprobs.get("content") if isinstance(logprobs, Mapping) else None
    return entries if isinstance(entries, list) else None


def v1_choice(choice: JSON, chat: bool, offset: int) -> JSON:
    """One choice of an answer or chunk in OpenAI's shape."""
    entries = logprob_entries(choice)
    if entries is None:
        return choice
    return {**choice, "logprobs": chat_logprobs(entries) if chat else flat_logprobs(entries, offset)}


def fireworks_usage(usage: Mapping[str, Any] | None) -> JSON | None:
    if not usage:
        return None
    return {name: usage.get(name, 0) for name in ("prompt_tokens", "total_tokens", "completion_tokens")}


def fireworks_choice(choice: JSON, chat: bool, streamed: bool, offset: int) -> JSON:
    """One choice of an answer or chunk with the published client's fields and no others."""
    result: JSON = {"index": choice.get("index", 0)}
    if not chat:
        result["text"] = choice.get("text", "")
    elif streamed:
        result["delta"] = _fireworks_message(choice.get("delta") or {}, streamed)
    else:
        result["message"] = _fireworks_message(choice.get("message") or {}, streamed)
    result["finish_reason"] = choice.get("finish_reason")
    entries = logprob_entries(choice)
    if entries is not None:
        flat = flat_logprobs(entries, offset)
    else:
        given = choice.get("logprobs")
        flat = given if isinstance(given, dict) and "tokens" in given else {}
    if flat:
        result["logprobs"] = {
            name: flat[name]
            for name in ("tokens", "token_logprobs", "top_logprobs", "text_offset")
            if name in flat
        }
        if result["logprobs"].get("top_logprobs") is not None:
            result["logprobs"]["top_logprobs"] = [top or {} for top in flat["top_logprobs"]]
    return result


def fireworks_answer(
    answer: JSON, model: str, chat: bool, streamed: bool, offsets: Mapping[int, int]
) -> JSON:
    """A whole answer or chunk with the published client's fields and no others.

    Args:
        offsets: by choice, the characters of text sent before this chunk.
    """
    kind = "chat.completion" if chat else "text_completion"
    result: JSON = {
        "id": answer.get("id", ""),
        "object": f"{kind}.chunk" if chat and streamed else kind,
        "created": answer.get("created", 0),
        "model": model,
        "choices": [
            fireworks_choice(choice, chat, streamed, offsets.get(choice.get("index", 0), 0))
            for choice in answer.get("choices") or ()
        ],
    }
    usage = fireworks_usage(answer.get("usage"))
    if usage is not None:
        result["usage"] = usage
    return result


def _fireworks_message(message: JSON, streamed: bool) -> JSON:
    result: JSON = {name: message[name] for name in ("role", "content") if name in message}
    if not streamed:
        result.setdefault("role", "assistant")
        result.setdefault("content", None)
    calls = message.get("tool_calls")
    if calls:
        result["tool_calls"] = [_fireworks_tool_call(call, index) for index, call in enumerate(calls)]
    return result


def _fireworks_tool_call(call: JSON, index: int) -> JSON:
    function = call.get("function") or {}
    return {
        "index": call.get("index", index),
        "id": call.get("id") or "",
        "type": "function",
        "function": {"name": function.get("name") or "", "arguments": function.get("arguments") or ""},
    }
