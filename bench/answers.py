"""What the stub engines answer: OpenAI-style JSON and server-sent events, built once as bytes.

Both stubs (`bench/stub.c` for load, `bench/stub.py` for faults) send these very bytes.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

MODEL = "stub"
CHUNKS = 64
CREATED = 1_760_000_000
PROMPT_TOKENS = 9
SENTENCE = "A foal can stand within an hour and run before the day"
WORDS = SENTENCE.split()
STREAMED = "".join(WORDS[i % len(WORDS)] + " " for i in range(CHUNKS))
DONE = b"data: [DONE]\n\n"
CHAT, TEXT = "chat", "text"


def plain(kind: str) -> bytes:
    """One whole answer of about 600 bytes, JSON."""
    choice: dict[str, Any] = {"index": 0, "finish_reason": "stop", "logprobs": None}
    if kind == CHAT:
        choice["message"] = {"role": "assistant", "content": SENTENCE, "refusal": None, "tool_calls": []}
    else:
        choice |= {"text": SENTENCE, "stop_reason": None}
    answer = _envelope(kind, stream=False) | {
        "choices": [choice],
        "usage": usage(12) | {"prompt_tokens_details": {"cached_tokens": 0}},
        "timings": {"prompt_n": PROMPT_TOKENS, "prompt_ms": 21.3, "predicted_n": 12, "predicted_ms": 98.45},
        "service_tier": None,
    }
    return json.dumps(answer).encode()


def events(kind: str, chunks: int = CHUNKS, include_usage: bool = False) -> list[bytes]:
    """A whole streamed answer, event by event: `chunks` tokens, finish, usage if asked, [DONE]."""
    deltas = [_event(kind, WORDS[i % len(WORDS)] + " ", first=i == 0) for i in range(chunks)]
    deltas.append(_event(kind, None))
    if include_usage:
        deltas.append(_sse(_envelope(kind, stream=True) | {"choices": [], "usage": usage(chunks)}))
    return [*deltas, DONE]


def holds_token(event: bytes) -> bool:
    """Whether it is one of the events with text."""
    return any(key in event and key + b'"' not in event for key in (b'"content":"', b'"text":"'))


def usage(completion_tokens: int) -> dict[str, Any]:
    total = PROMPT_TOKENS + completion_tokens
    return {"prompt_tokens": PROMPT_TOKENS, "completion_tokens": completion_tokens, "total_tokens": total}


def models() -> bytes:
    model = {"id": MODEL, "object": "model", "created": CREATED, "owned_by": "bench", "max_model_len": 4096}
    return json.dumps({"object": "list", "data": [model]}).encode()


def error(status: int, message: str) -> bytes:
    kind = "invalid_request_error" if status < 500 else "server_error"
    return json.dumps({"error": {"message": message, "type": kind, "param": None, "code": status}}).encode()


def http_json(body: bytes, status: str = "200 OK") -> bytes:
    """A whole HTTP/1.1 response with a JSON body."""
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def http_stream_head() -> bytes:
    return (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n"
    )


def http_chunk(body: bytes) -> bytes:
    """One chunk of HTTP's chunked transfer coding; an empty body ends the response."""
    return b"%x\r\n%s\r\n" % (len(body), body)


def write_pieces(folder: Path) -> None:
    """Files for the C stub: each piece, which it sends in one write, as a uint32 length and bytes."""
    _write(folder / "models", [http_json(models())])
    _write(folder / "health", [http_json(b'{"status":"ok"}')])
    _write(folder / "missing", [http_json(error(404, "no such path"), "404 Not Found")])
    for kind in (CHAT, TEXT):
        _write(folder / f"{kind}.plain", [http_json(plain(kind))])
        for name, include_usage in (("stream", False), ("usage", True)):
            chunks = [http_chunk(event) for event in events(kind, include_usage=include_usage)]
            first, last = http_stream_head() + chunks[0], chunks[-1] + http_chunk(b"")
            _write(folder / f"{kind}.{name}", [first, *chunks[1:-1], last])


def _write(path: Path, pieces: list[bytes]) -> None:
    path.write_bytes(b"".join(struct.pack("=I", len(piece)) + piece for piece in pieces))


def _envelope(kind: str, stream: bool) -> dict[str, Any]:
    name = "text_completion" if kind == TEXT else "chat.completion.chunk" if stream else "chat.completion"
    identity = ("chatcmpl-" if kind == CHAT else "cmpl-") + "2f6c1a0b9d8e4f7a"
    return {"id": identity, "object": name, "created": CREATED, "model": MODEL, "system_fingerprint": "stub"}


def _event(kind: str, text: str | None, first: bool = False) -> bytes:
    choice: dict[str, Any] = {"index": 0, "finish_reason": "stop" if text is None else None}
    if kind == TEXT:
        choice["text"] = text or ""
    else:
        choice["delta"] = {} if text is None else {"content": text}
        if first:
            choice["delta"] |= {"role": "assistant"}
    return _sse(_envelope(kind, stream=True) | {"choices": [choice]})


def _sse(payload: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(payload, separators=(",", ":")).encode() + b"\n\n"
