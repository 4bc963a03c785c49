"""The server that commands talk to, in OpenAI's dialect at `/v1`."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from paddock.cli.connection import connect
from paddock.clients.transport import Call
from paddock.errors import PaddockError

JSON = dict[str, Any]
# Seconds within which several tokens count as having come at once.
_BURST = 0.02


@dataclass(slots=True)
class Answer:
    """One answer, as far as it came.

    Attributes:
        usage: tokens as the server counted them; None if it did not say.
        pieces: events that brought text, which is about the number of tokens.
        first_token: seconds from sending the request to the first text; None if none came.
        last_token: the same for the last text.
        seconds: until the answer ended.
        stopped: whether Ctrl-C ended it.
    """

    model: str
    text: str = ""
    finish_reason: str | None = None
    usage: JSON | None = None
    pieces: int = 0
    first_token: float | None = None
    last_token: float | None = None
    seconds: float = 0.0
    stopped: bool = False
    tool_calls: list[JSON] = field(default_factory=list)

    @property
    def tokens(self) -> int:
        return int((self.usage or {}).get("completion_tokens") or self.pieces)

    @property
    def tokens_per_second(self) -> float | None:
        """How fast tokens came once the first was there; None when there were fewer than two.

        Tokens that all came at once, as from a small model, say nothing about each other: then it is their
        number over the whole time.
        """
        if self.tokens < 2 or self.first_token is None or self.last_token is None:
            return None
        span = self.last_token - self.first_token
        return (self.tokens - 1) / span if span > _BURST else self.tokens / self.last_token

    def summary(self) -> str:
        """One line: `42 tokens · 118 tokens/s · first token 31 ms`."""
        parts = [f"{self.tokens} token{'' if self.tokens == 1 else 's'}"]
        speed = self.tokens_per_second
        if speed is not None:
            parts.append(f"{speed:.1f} tokens/s" if speed < 10 else f"{speed:.0f} tokens/s")
        if self.first_token is not None:
            parts.append(f"first token {self.first_token * 1000:.0f} ms")
        if self.finish_reason == "length":
            parts.append("cut off: --max-tokens or the context is used up")
        if self.stopped:
            parts.append("stopped")
        return " · ".join(parts)

    def to_json(self) -> JSON:
        speed = self.tokens_per_second
        result: JSON = {
            "model": self.model,
            "text": self.text,
            "finish_reason": self.finish_reason,
            "usage": self.usage,
            "timings": {
                "first_token_ms": None if self.first_token is None else round(self.first_token * 1000, 1),
                "total_ms": round(self.seconds * 1000, 1),
                "tokens_per_second": None if speed is None else round(speed, 1),
            },
        }
        return {**result, "tool_calls": self.tool_calls} if self.tool_calls else result


class Server:
    """Sends requests to the server that settings and options name.

    Raises (all methods):
        PaddockError: the request failed; the message is a line for a person.
    """

    def __init__(self, base_url: str | None, api_key: str | None) -> None:
        connection = connect(base_url, api_key, "/v1")
        self.url = connection.url
        self.data_dir = connection.data_dir
        self._transport = connection.transport

    def models(self) -> list[JSON]:
        """The served models: at least {id}; {context_length, engine, ready} where the server says so."""
        return self._transport.request(Call("GET", "models", _model_list, repeatable=True))

    def default_model(self) -> str:
        """The only model, or the first."""
        models = self.models()
        if not models:
            raise PaddockError(f"the server at {self.url} serves no model")
        return str(models[0]["id"])

    def chat(
        self, model: str, messages: list[JSON], options: JSON, show: Callable[[str, bool], None]
    ) -> Answer:
        """The answer to a conversation; `show` gets each piece, and whether it is reasoning, as it comes."""
        return self._generate("chat/completions", {"model": model, "messages": messages, **options}, show)

    def complete(self, model: str, prompt: str, options: JSON, show: Callable[[str, bool], None]) -> Answer:
        """The continuation of a text."""
        return self._generate("completions", {"model": model, "prompt": prompt, **options}, show)

    def _generate(self, path: str, body: JSON, show: Callable[[str, bool], None]) -> Answer:
        body = {**body, "stream": True, "stream_options": {"include_usage": True}}
        answer = Answer(model=body["model"])
        began = time.perf_counter()
        call: Call[JSON] = Call("POST", path, _chunk, body=body, repeatable=True)
        try:
            # Closing the stream is what tells the server to stop generating.
            with closing(self._transport.stream(call)) as chunks:
                for chunk in chunks:
                    _add(answer, chunk, time.perf_counter() - began, show)
        except KeyboardInterrupt:
            answer.stopped = True
        answer.seconds = time.perf_counter() - began
        return answer


def _add(answer: Answer, chunk: JSON, now: float, show: Callable[[str, bool], None]) -> None:
    answer.usage = chunk.get("usage") or answer.usage
    for choice in chunk.get("choices") or ():
        delta = choice.get("delta") or {}
        text = choice.get("text") or delta.get("content") or ""
        reasoning = delta.get("reasoning_content") or ""
        answer.finish_reason = choice.get("finish_reason") or answer.finish_reason
        answer.tool_calls += delta.get("tool_calls") or ()
        if not text and not reasoning:
            continue
        if answer.first_token is None:
            answer.first_token = now
        answer.last_token = now
        answer.pieces += 1
        answer.text += text
        show(text or reasoning, not text)


def _model_list(body: Any) -> list[JSON]:
    if not isinstance(body, dict) or not isinstance(body.get("data"), list):
        raise ValueError(
            "it is not a list of models; is this the address of a Paddock or OpenAI-style server?"
        )
    return [model for model in body["data"] if isinstance(model, dict) and "id" in model]


def _chunk(event: Any) -> JSON:
    if not isinstance(event, dict):
        raise ValueError("an event is not an object")
    return event
