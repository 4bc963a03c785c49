"""What llama.cpp answers, streamed or not, as one whole answer.

It surely notices that its caller has left only while it streams, so it is asked for a stream unless the
answer is soon over; a caller who wants the whole answer gets it from here. Several of them, for a list of
prompts or `n` choices of one prompt, are merged into one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from paddock.engines.llama_cpp.stops import pop_stop
from paddock.gateway.sse import parse_event, prompt_progress
from paddock.gateway.tokens import holds_token, number
from paddock.inference.relay import broken_answer

JSON = dict[str, Any]
_HEAD = ("id", "created", "model", "system_fingerprint")


class Collector:
    """Takes the bytes of an engine's event stream, or its whole answer.

    Attributes:
        usage: the engine's usage object, once it came.
        prompt_tokens: length of the prompt, known before the first token.
        pieces: tokens so far.
    """

    def __init__(self, chat: bool) -> None:
        self._chat = chat
        self.restart()

    def restart(self) -> None:
        self.usage: JSON | None = None
        self.prompt_tokens = 0
        self.pieces = 0
        self._rest = b""
        self._head: JSON | None = None
        self._choices: dict[int, _Choice] = {}

    def feed(self, data: bytes) -> None:
        *events, self._rest = (self._rest + data).replace(b"\r\n", b"\n").split(b"\n\n")
        for event in events:
            chunk = parse_event(event)
            if chunk is None:
                continue
            progress = prompt_progress(chunk)
            if progress is not None:
                self.prompt_tokens = progress
                continue
            self._take(chunk)

    def take_whole(self, answer: JSON) -> None:
        """Takes an answer that the engine made in one piece, as if it had streamed it."""
        chunk = dict(answer)
        chunk["choices"] = [
            {**choice, "delta": _numbered(choice["message"])} if self._chat else choice
            for choice in answer["choices"]
        ]
        self._take(chunk)

    def answer(self) -> JSON:
        """The whole answer in the shape of the endpoint's own.

        Raises:
            EngineFailed: what came is no whole answer.
        """
        if self._head is None or not self._choices or self._rest.strip():
            raise broken_answer("it has no end")
        kind = "chat.completion" if self._chat else "text_completion"
        if any(choice.finish_reason is None for choice in self._choices.values()):
            raise broken_answer("it has no finish_reason")
        choices = [self._choices[index].whole(index, self._chat) for index in sorted(self._choices)]
        return {**self._head, "object": kind, "choices": choices, "usage": self.usage}

    def _take(self, chunk: JSON) -> None:
        usage = told(chunk.get("usage"))
        if usage:
            self.usage = usage
        if self._head is None:
            self._head = {name: chunk[name] for name in _HEAD if name in chunk}
        stop = pop_stop(chunk)
        for raw in chunk.get("choices") or ():
            self.pieces += holds_token(raw)
            choice = self._choices.get(raw.get("index", 0))
            if choice is None:
                choice = self._choices[raw.get("index", 0)] = _Choice()
            choice.take(raw)
            if stop and choice.finish_reason:
                choice.text.append(stop)


def told(usage: Any) -> JSON | None:
    """A usage object, if it is one."""
    return usage if isinstance(usage, dict) and usage else None


def cached(usage: JSON) -> int:
    """Tokens of the prompt that the engine had computed before."""
    details = usage.get("prompt_tokens_details")
    return number(details.get("cached_tokens")) if isinstance(details, dict) else 0


def merge_usage(usages: Sequence[JSON | None], choices_each: int) -> JSON | None:
    """The sum; a prompt that was sent once for each of its choices counts once, as in OpenAI's API."""
    known = [told(usage) or {} for usage in usages]
    if not any(known):
        return None
    prompts = known[::choices_each]
    prompt = sum(number(usage.get("prompt_tokens")) for usage in prompts)
    completion = sum(number(usage.get("completion_tokens")) for usage in known)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": sum(map(cached, prompts))},
    }


def merge_answers(answers: Sequence[JSON], choices_each: int) -> JSON:
    """One answer with all choices in order, under the first one's id."""
    choices = [{**answer["choices"][0], "index": index} for index, answer in enumerate(answers)]
    return {
        **answers[0],
        "choices": choices,
        "usage": merge_usage([answer.get("usage") for answer in answers], choices_each),
    }


def _numbered(message: JSON) -> JSON:
    """A message with its tool calls numbered, as those of a stream are."""
    calls = message.get("tool_calls") or ()
    return {**message, "tool_calls": [{**call, "index": position} for position, call in enumerate(calls)]}


class _Choice:
    __slots__ = ("calls", "finish_reason", "logprobs", "reasoning", "text")

    def __init__(self) -> None:
        self.text: list[str] = []
        self.reasoning: list[str] = []
        self.calls: dict[int, JSON] = {}
        self.logprobs: list[JSON] | None = None
        self.finish_reason: str | None = None

    def take(self, raw: JSON) -> None:
        delta = raw.get("delta") or raw
        text = delta.get("content") or delta.get("text")
        if text:
            self.text.append(text)
        if delta.get("reasoning_content"):
            self.reasoning.append(delta["reasoning_content"])
        for call in delta.get("tool_calls") or ():
            self._take_call(call)
        entries = (raw.get("logprobs") or {}).get("content")
        if entries:
            self.logprobs = (self.logprobs or []) + entries
        self.finish_reason = raw.get("finish_reason") or self.finish_reason

    def whole(self, index: int, chat: bool) -> JSON:
        logprobs = None if self.logprobs is None else {"content": self.logprobs}
        choice: JSON = {"index": index, "logprobs": logprobs, "finish_reason": self.finish_reason}
        text = "".join(self.text)
        if not chat:
            return {**choice, "text": text}
        message: JSON = {"role": "assistant", "content": text, "refusal": None}
        if self.reasoning:
            message["reasoning_content"] = "".join(self.reasoning)
        if self.calls:
            message["tool_calls"] = [self.calls[position] for position in sorted(self.calls)]
            message["content"] = text or None
        return {**choice, "message": message}

    def _take_call(self, call: JSON) -> None:
        """The first piece of a call has its id and name; the arguments come in pieces."""
        position = call.get("index", 0)
        function = call.get("function") or {}
        known = self.calls.setdefault(
            position, {"id": "", "type": "function", "function": {"name": "", "arguments": ""}}
        )
        known["id"] = call.get("id") or known["id"]
        known["function"]["name"] = function.get("name") or known["function"]["name"]
        known["function"]["arguments"] += function.get("arguments") or ""
