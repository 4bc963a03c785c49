"""Pure translation of what engines say into the dialect's outputs: whole ones, tokens, and stream events."""

from __future__ import annotations

from typing import Any

from paddock.engines.llama_cpp.stops import pop_stop
from paddock.errors import PaddockError
from paddock.gateway.collect import told
from paddock.gateway.llm_engine.errors import stream_error
from paddock.gateway.sse import cut_off, dump_event, parse_event, prompt_progress

JSON = dict[str, Any]
_IMPOSSIBLE = -9999.0
"""For a token without any probability, where llama.cpp has null for minus infinity."""
_INCOMPLETE = "\ufffd"


def output(answer: JSON, *, with_tokens: bool) -> JSON:
    """The `CompletionOutput` of an engine's whole completion."""
    choice = answer["choices"][0]
    usage = told(answer.get("usage")) or {}
    return {
        "text": choice["text"],
        "num_prompt_tokens": usage.get("prompt_tokens"),
        "num_completion_tokens": usage.get("completion_tokens", 0),
        "tokens": tokens(choice.get("logprobs")) if with_tokens else None,
    }


def tokens(logprobs: JSON | None) -> list[JSON]:
    """The generated tokens as `TokenOutput`s, from log probabilities as llama.cpp or as OpenAI has them.

    All tokens are there that the engine generated: those of a stop string too, and the one by which the model
    ends its answer, which has no text. Of a character that is spread over several tokens llama.cpp tells the
    last one only, and calls it by the whole character.
    """
    if not logprobs:
        return []
    if "content" in logprobs:
        pairs = [(_text(one), one["logprob"]) for one in logprobs["content"] or ()]
    else:
        pairs = list(zip(logprobs.get("tokens") or (), logprobs.get("token_logprobs") or (), strict=False))
    return [{"token": text, "log_prob": _IMPOSSIBLE if value is None else value} for text, value in pairs]


def _text(entry: JSON) -> str:
    """llama.cpp calls a token by the text that it sent for it. While that may be the beginning of a stop
    string it sends none, and more of it later; but among the likeliest tokens each has its own text.
    """
    own = next((one["token"] for one in entry.get("top_logprobs") or () if one["id"] == entry["id"]), None)
    return str(own) if own and _INCOMPLETE not in own else str(entry["token"])


class Events:
    """An engine's stream of a completion as the dialect's events; a `paddock.inference.relay.Translator`.

    Each token is an event as soon as it is there, but for the last one, which says that it is the last, with
    the counts: it waits for them if it has no text, or may be the last.

    Args:
        limit: how many tokens there can be.
        with_tokens: whether events say their token.

    Attributes:
        usage: the engine's usage object, once it came.
        prompt_tokens: length of the prompt, if the engine tells before the first token.
        pieces: tokens that came.
    """

    def __init__(self, request_id: str, limit: int, *, with_tokens: bool) -> None:
        self._request_id = request_id
        self._limit = limit
        self._with_tokens = with_tokens
        self.restart()

    def restart(self) -> None:
        self.usage: JSON | None = None
        self.prompt_tokens = 0
        self.pieces = 0
        self._rest = b""
        self._held: JSON | None = None
        self._stop = ""
        self._finished = False

    def feed(self, data: bytes) -> bytes:
        *events, self._rest = (self._rest + data).replace(b"\r\n", b"\n").split(b"\n\n")
        return b"".join([self._take(event) for event in events if event])

    def finish(self) -> bytes:
        before = self.feed(b"\n\n") if self._rest.strip() else b""
        if not self._finished:
            raise cut_off()
        last = self._held or self._output("", None, None)
        usage = self.usage or {}
        last |= {
            "text": last["text"] + self._stop,
            "finished": True,
            "num_prompt_tokens": usage.get("prompt_tokens"),
            "num_completion_tokens": usage.get("completion_tokens"),
        }
        return before + self._event(last)

    def fail(self, error: PaddockError) -> bytes:
        failure = {"request_id": self._request_id, "output": None, "error": stream_error(error)}
        return self._release() + dump_event(failure)

    def _take(self, event: bytes) -> bytes:
        chunk = parse_event(event)
        if chunk is None:
            return b""
        progress = prompt_progress(chunk)
        if progress is not None:
            self.prompt_tokens = progress
            return b""
        self.usage = told(chunk.get("usage")) or self.usage
        stop = pop_stop(chunk)
        choices = chunk.get("choices")
        if not choices:
            return b""
        choice = choices[0]
        if choice.get("finish_reason"):
            self._finished = True
            self._stop = stop
        return self._put(choice.get("text") or "", choice.get("logprobs"), _generated(chunk))

    def _put(self, text: str, logprobs: JSON | None, count: int | None) -> bytes:
        found = tokens(logprobs) if self._with_tokens else []
        if not text and not found:
            return b""
        self.pieces = max(self.pieces + max(1, len(found)), count or 0)
        out = self._release()
        # An engine of somebody else's may send several tokens at once.
        for token in found[:-1]:
            out += self._event(self._output("", token, None))
        self._held = self._output(text, found[-1] if found else None, count)
        is_last = self._finished or (count is not None and count >= self._limit)
        # What remains of a stop sequence's first token comes with its last token.
        may_be_last = len(found) == 1 and found[0]["token"] != text
        return out + self._release() if text and not is_last and not may_be_last else out

    def _release(self) -> bytes:
        held, self._held = self._held, None
        return self._event(held) if held else b""

    def _output(self, text: str, token: JSON | None, count: int | None) -> JSON:
        return {
            "text": text,
            "finished": False,
            "num_prompt_tokens": None,
            "num_completion_tokens": count,
            "token": token,
        }

    def _event(self, output: JSON) -> bytes:
        return dump_event({"request_id": self._request_id, "output": output, "error": None})


def _generated(chunk: JSON) -> int | None:
    """How many tokens there are so far, if the chunk says so: llama.cpp's do, and some of vLLM's."""
    timings, usage = chunk.get("timings") or {}, told(chunk.get("usage")) or {}
    count = timings.get("predicted_n", usage.get("completion_tokens"))
    return count if isinstance(count, int) else None
