"""An engine that answers as llama.cpp does: chat-shaped log probabilities on both endpoints, progress while
it reads the prompt, usage in the last chunk of a plain completion, always one choice."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from paddock.inference.routing import Deployment
from tests.api import scripted
from tests.api.gateway import attached

TOKENS = ["The", " capi", "tal ", "é", "."]
PROMPT_TOKENS = 7


@dataclass
class Llama:
    """What it answers next.

    Attributes:
        tokens: the pieces of each answer; `{seed}` in one is replaced by the request's seed.
        cut: whether a stop string cut the last token off.
        stopping_word: the stop string that it says ended the answer, where it is asked.
        special: its special tokens.
        calls: tool calls in a whole answer, instead of text.
        delays: seconds before the answer to each request, in their order.
    """

    tokens: list[str] = field(default_factory=lambda: list(TOKENS))
    finish: str = "stop"
    cut: bool = False
    stopping_word: str = ""
    special: dict[int, str] = field(default_factory=dict)
    delays: list[float] = field(default_factory=list)
    die_after: int | None = None
    calls: int = 0
    engine: scripted.Engine = field(default_factory=scripted.Engine)

    async def __call__(self, writer: asyncio.StreamWriter, body: dict[str, Any]) -> None:
        path = self.engine.paths[-1]
        if path == "/detokenize":
            return writer.write(scripted.plain({"content": "".join(f"<{id}>" for id in body["tokens"])}))
        if path == "/tokenize":
            return writer.write(scripted.plain({"tokens": _taken_apart(self, body)}))
        if path.endswith("/embeddings"):
            return writer.write(scripted.plain(_embeddings(body)))
        if self.delays:
            await asyncio.sleep(self.delays.pop(0))
        if not body.get("stream"):
            return writer.write(scripted.plain(_whole(self, body, chat=path.endswith("/chat/completions"))))
        events = _events(self, body, chat=path.endswith("/chat/completions"))
        writer.write(scripted.STREAM)
        for event in events[: self.die_after]:
            writer.write(scripted.chunk(event))
            await asyncio.sleep(0)
        if self.die_after is not None:
            await asyncio.sleep(0.02)
            raise ConnectionResetError
        writer.write(scripted.chunk(b""))
        return None


@contextlib.asynccontextmanager
async def serving(llama: Llama | None = None) -> AsyncIterator[Llama]:
    llama = llama or Llama()
    async with scripted.serving(llama) as engine:
        llama.engine = engine
        yield llama


def hosted(llama: Llama, **more: Any) -> Deployment:
    """The deployment `paddock/foal` on it."""
    settings = {"context_length": 512, "tools": False, "vocabulary": 1000, **more}
    return attached(llama.engine.url, "paddock/foal", "paddock/foal", engine="llama.cpp", **settings)


def _taken_apart(llama: Llama, body: dict[str, Any]) -> list[dict[str, Any]]:
    """A text of `/detokenize`, with the ids that are special only if that is asked for."""
    ids = [int(id) for id in body["content"].strip("<>").split("><")]
    known = llama.special if body["parse_special"] else {}
    pieces = [{"id": id, "piece": known.get(id, [0xC3])} for id in ids]
    return [one for one in pieces if one["id"] in known or one["id"] not in llama.special]


def _events(llama: Llama, body: dict[str, Any], *, chat: bool) -> list[bytes]:
    tops = int(body.get("top_logprobs", 20) if chat else body.get("logprobs") or 0)
    wanted = bool(body.get("logprobs"))
    kind = "chat.completion.chunk" if chat else "text_completion"
    head = {
        "created": 1,
        "id": "engine-id",
        "model": "paddock/foal",
        "system_fingerprint": "b1",
        "object": kind,
    }

    def chunk(text: str | None, finish: str | None, logprobs: Any, **more: Any) -> bytes:
        choice: dict[str, Any] = {"index": 0, "finish_reason": finish}
        if chat:
            choice["delta"] = {} if text is None else {"content": text}
        else:
            choice |= {"text": text or "", "logprobs": None}
        if wanted:
            choice["logprobs"] = logprobs
        return scripted.event({"choices": [choice], **head, **more})

    progress = {"total": PROMPT_TOKENS, "cache": 0, "processed": PROMPT_TOKENS, "time_ms": 1}
    role = {"index": 0, "delta": {"role": "assistant", "content": None}, "finish_reason": None}
    events = [scripted.event({"choices": [role], **head})] if chat else []
    if body.get("return_progress"):
        choice = {"index": 0, "delta": {}, "finish_reason": None} if chat else {"index": 0, "text": ""}
        events.append(scripted.event({"choices": [choice], **head, "prompt_progress": progress}))
    events.append(b": ping\n\n")
    for count, text in enumerate(llama.tokens, start=1):
        said = text.replace("{seed}", str(body.get("seed"))).replace("{prompt}", str(body.get("prompt")))
        more = {"timings": {"predicted_n": count}} if body.get("timings_per_token") else {}
        events.append(chunk(said, None, {"content": [_logprob(said, tops)]}, **more))
    if llama.cut:
        events.append(chunk("", None, {"content": [_logprob("", tops)]}))
    usage = {
        "prompt_tokens": PROMPT_TOKENS,
        "completion_tokens": len(llama.tokens),
        "total_tokens": PROMPT_TOKENS + len(llama.tokens),
        "prompt_tokens_details": {"cached_tokens": 3},
    }
    timings = {"prompt_n": PROMPT_TOKENS, "predicted_n": len(llama.tokens)}
    named = {"__verbose": {"stopping_word": llama.stopping_word}} if body.get("verbose") else {}
    if chat:
        events.append(chunk(None, llama.finish, None, **named))
        events.append(scripted.event({"choices": [], **head, "usage": usage, "timings": timings}))
    else:
        events.append(chunk("", llama.finish, None, usage=usage, timings=timings, **named))
    return [*events, b"data: [DONE]\n\n"]


def _whole(llama: Llama, body: dict[str, Any], *, chat: bool) -> dict[str, Any]:
    """What it answers where it is not asked for a stream."""
    text = "".join(llama.tokens)
    choice: dict[str, Any] = {"index": 0, "finish_reason": llama.finish}
    choice |= (
        {"message": {"role": "assistant", "content": text}} if chat else {"text": text, "logprobs": None}
    )
    if chat and llama.calls:
        function = {"name": "f", "arguments": "{}"}
        calls = [{"type": "function", "function": function, "id": f"call-{i}"} for i in range(llama.calls)]
        choice["message"] = {"role": "assistant", "content": None, "tool_calls": calls}
    usage = {
        "prompt_tokens": PROMPT_TOKENS,
        "completion_tokens": len(llama.tokens),
        "total_tokens": PROMPT_TOKENS + len(llama.tokens),
        "prompt_tokens_details": {"cached_tokens": 3},
    }
    return {
        "choices": [choice],
        "created": 1,
        "model": "paddock/foal",
        "system_fingerprint": "b1",
        "object": "chat.completion" if chat else "text_completion",
        "usage": usage,
        "id": "engine-id",
        "timings": {"prompt_n": PROMPT_TOKENS},
        **({"__verbose": {"stopping_word": llama.stopping_word}} if body.get("verbose") else {}),
    }


def _logprob(text: str, tops: int) -> dict[str, Any]:
    entry = {"id": 5, "token": text, "bytes": list(text.encode()), "logprob": -0.5}
    others = [
        {"id": i, "token": f"t{i}", "bytes": [116, 48 + i % 10], "logprob": -1.0 - i} for i in range(tops)
    ]
    return {**entry, "top_logprobs": others}


def _embeddings(body: dict[str, Any]) -> dict[str, Any]:
    inputs = body["input"] if isinstance(body["input"], list) else [body["input"]]
    data = [{"embedding": [0.5, -0.25], "index": i, "object": "embedding"} for i in range(len(inputs))]
    return {
        "model": "paddock/foal",
        "object": "list",
        "usage": {"prompt_tokens": 4, "total_tokens": 4},
        "data": data,
    }
