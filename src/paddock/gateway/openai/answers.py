"""Pure translation of an engine's answers and chunks into the exact shape of each endpoint.

`/v1` has OpenAI's shapes; `/inference/v1` sends exactly the fields that the published Fireworks client
(0.9.0) knows, because it forbids others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

JSON = dict[str, Any]
_FIREWORKS_LOGPROBS = ("tokens", "token_logprobs", "top_logprobs", "text_offset")
_FIREWORKS_REASONS = frozenset({None, "stop", "length", "tool_calls", "function_call"})
_IMPOSSIBLE = -9999.0
"""What OpenAI sends for a token without any probability, where llama.cpp has null for minus infinity."""
_FIREWORKS_USAGE = ("prompt_tokens", "total_tokens", "completion_tokens")


@dataclass(frozen=True, slots=True)
class Shape:
    """How the answer to one request must look.

    Attributes:
        model: the name that the caller knows.
        top_logprobs: alternatives at each token that the caller asked for; the engine may send more.
    """

    model: str
    chat: bool
    fireworks: bool
    top_logprobs: int = 0

    def whole(self, answer: JSON, offsets: Mapping[int, int]) -> JSON:
        """A whole answer. `offsets` gives by choice the characters of text before its first token."""
        return self._shape(answer, offsets, streamed=False)

    def chunk(self, chunk: JSON, offsets: Mapping[int, int]) -> JSON:
        """One chunk of a stream. `offsets` gives by choice the characters of text sent before."""
        return self._shape(chunk, offsets, streamed=True)

    def _shape(self, answer: JSON, offsets: Mapping[int, int], streamed: bool) -> JSON:
        shape = self._fireworks_choice if self.fireworks else self._openai_choice
        choices = [
            shape(choice, offsets.get(choice.get("index", 0), 0), streamed)
            for choice in answer.get("choices") or ()
        ]
        if not self.fireworks:
            return {**answer, "model": self.model, "choices": choices}
        kind = "chat.completion" if self.chat else "text_completion"
        result: JSON = {
            "id": answer.get("id", ""),
            "object": f"{kind}.chunk" if self.chat and streamed else kind,
            "created": answer.get("created", 0),
            "model": self.model,
            "choices": choices,
        }
        if answer.get("usage") or not (streamed or self.chat):
            # The client wants it in every whole completion, also from an engine that counts nothing.
            result["usage"] = fireworks_usage(answer.get("usage") or {})
        return result

    def _openai_choice(self, choice: JSON, offset: int, streamed: bool) -> JSON:
        entries = _entries(choice, self.top_logprobs)
        if entries is None:
            return choice
        return {**choice, "logprobs": _nested(entries) if self.chat else _flat(entries, offset)}

    def _fireworks_choice(self, choice: JSON, offset: int, streamed: bool) -> JSON:
        result: JSON = {"index": choice.get("index", 0)}
        if not self.chat:
            result["text"] = choice.get("text", "")
        elif streamed:
            result["delta"] = _fireworks_message(choice.get("delta") or {})
        else:
            message = _fireworks_message(choice.get("message") or {})
            result["message"] = {"role": "assistant", "content": None, **message}
        reason = choice.get("finish_reason")
        # Engines have more reasons (`abort`, `content_filter`, …) than the client lets through.
        result["finish_reason"] = reason if reason in _FIREWORKS_REASONS else "stop"
        entries = _entries(choice, self.top_logprobs)
        given = choice.get("logprobs")
        if entries is not None:
            result["logprobs"] = _fireworks_logprobs(_flat(entries, offset))
        elif isinstance(given, dict) and "tokens" in given:
            result["logprobs"] = _fireworks_logprobs(given)
        return result


def fireworks_usage(usage: Mapping[str, Any]) -> JSON:
    return {name: usage.get(name, 0) for name in _FIREWORKS_USAGE}


def _entries(choice: JSON, top: int) -> list[JSON] | None:
    """The chat-shaped log probabilities that llama.cpp sends on both endpoints, with OpenAI's fields only.

    A token of which a stop string left nothing comes without text and without bytes, and is left out.
    """
    logprobs = choice.get("logprobs")
    content = logprobs.get("content") if isinstance(logprobs, dict) else None
    if not isinstance(content, list):
        return None
    return [
        {**_entry(raw), "top_logprobs": [_entry(one) for one in (raw.get("top_logprobs") or ())[:top]]}
        for raw in content
        if raw["token"] or raw.get("bytes")
    ]


def _entry(raw: JSON) -> JSON:
    known = raw.get("bytes")
    return {
        "token": raw["token"],
        "logprob": _IMPOSSIBLE if raw["logprob"] is None else raw["logprob"],
        "bytes": list(raw["token"].encode()) if known is None else known,
    }


def _nested(entries: list[JSON]) -> JSON:
    """OpenAI's logprobs of chat."""
    return {"content": entries, "refusal": None}


def _flat(entries: list[JSON], offset: int) -> JSON:
    """OpenAI's logprobs of plain completions, and Fireworks' of both."""
    offsets = []
    for entry in entries:
        offsets.append(offset)
        offset += len(entry["token"])
    tops = [{one["token"]: one["logprob"] for one in entry["top_logprobs"]} for entry in entries]
    for top, entry in zip(tops, entries, strict=True):
        # The token that was taken is among them, however unlikely it was.
        if top:
            top.setdefault(entry["token"], entry["logprob"])
    return {
        "tokens": [entry["token"] for entry in entries],
        "token_logprobs": [entry["logprob"] for entry in entries],
        "top_logprobs": tops if any(tops) else None,
        "text_offset": offsets,
    }


def _fireworks_logprobs(flat: JSON) -> JSON:
    """With echo OpenAI has null for the first token, which the client does not let through."""
    result = {name: flat[name] or [] for name in _FIREWORKS_LOGPROBS if name in flat}
    result["token_logprobs"] = [0.0 if one is None else one for one in result.get("token_logprobs", ())]
    result["top_logprobs"] = [one or {} for one in result.get("top_logprobs", ())]
    return result


def _fireworks_message(message: JSON) -> JSON:
    result: JSON = {name: message[name] for name in ("role", "content") if name in message}
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
