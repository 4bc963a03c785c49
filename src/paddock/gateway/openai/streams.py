"""Pure translation of an engine's event stream; each class is a `paddock.inference.relay.Translator`.

`Relayed` passes OpenAI's chunks on untouched and looks only for what must be counted or left out.
`Rewritten` parses each chunk: for Fireworks' exact fields, for logprobs, and for merged streams.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import orjson

from paddock.engines.llama_cpp.stops import pop_stop
from paddock.errors import PaddockError
from paddock.gateway.collect import told
from paddock.gateway.openai.answers import fireworks_usage
from paddock.gateway.openai.errors import error_body
from paddock.gateway.sse import DONE, Ending, cut_off, dump_event, parse_event, prompt_progress
from paddock.gateway.tokens import Tokens, holds_token

JSON = dict[str, Any]
ENDING = Ending(DONE, lambda error: b"data: %b\n\n" % error_body(error))


class Relayed:
    """Passes whole events on as they come.

    Args:
        include_usage: whether the caller asked for the usage chunk; the engine always sends it.
        rename: the engine's name of the model and the caller's, if they differ.

    Attributes:
        usage: the engine's usage object, once it came.
        prompt_tokens: length of the prompt, if the engine tells before the first token.
    """

    def __init__(self, include_usage: bool, rename: tuple[str, str] | None = None) -> None:
        self._include_usage = include_usage
        self._rename = _renaming(*rename) if rename else None
        self.restart()

    def restart(self) -> None:
        self.usage: JSON | None = None
        self.prompt_tokens = 0
        self._tokens = Tokens()
        self._rest = b""
        self._last = b""
        self._done = False

    @property
    def pieces(self) -> int:
        """Tokens that came."""
        return self._tokens.total()

    def feed(self, data: bytes) -> bytes:
        if self._rest:
            data = self._rest + data
        if b"\r" in data:
            data = data.replace(b"\r\n", b"\n")
        if data.endswith(b"\n\n"):
            self._rest = b""
        else:
            end = data.rfind(b"\n\n") + 2
            if end == 1:
                self._rest = data
                return b""
            data, self._rest = data[:end], data[end:]
        self._tokens.add(data)
        if _is_marked(data):
            events = data.split(b"\n\n")[:-1]
            data = b"".join([self._look(event) if _is_marked(event) else event + b"\n\n" for event in events])
        if data.endswith(DONE):
            self._done = True
        elif data:
            self._last = data
        return self._rename(data) if self._rename else data

    def finish(self) -> bytes:
        last = b""
        if self._rest.strip():
            # Some servers leave the last empty line out; what is no event is no part of a stream.
            whole = parse_event(self._rest) is not None or self._rest.rstrip().endswith(b"[DONE]")
            last = self.feed(b"\n\n") if whole else b""
        if self._done:
            return last
        if self.usage is None and not _FINISHED.search(self._last):
            raise cut_off()
        return last + DONE

    def fail(self, error: PaddockError) -> bytes:
        return ENDING.error(error)

    def _look(self, event: bytes) -> bytes:
        chunk = parse_event(event)
        if chunk is None:
            return event + b"\n\n"
        progress = prompt_progress(chunk)
        if progress is not None:
            self.prompt_tokens = progress
            return b""
        usage = chunk.pop("usage", _ABSENT)
        if usage is _ABSENT:
            return event + b"\n\n"
        self.usage = told(usage) or self.usage
        choices = chunk.get("choices")
        if not self._include_usage:
            return dump_event(chunk) if choices else b""
        if usage and choices:
            # llama.cpp puts the usage of a plain completion into the last chunk; OpenAI sends one more.
            return dump_event(chunk) + dump_event({**chunk, "choices": [], "usage": usage})
        return event + b"\n\n"


class Rewritten:
    """Parses each event and sends what `rewrite` makes of it.

    Args:
        rewrite: (chunk, characters of text sent before by choice) -> chunk, or None to leave it out.
        include_usage: whether the caller asked for the usage chunk.
        hold_last: keep the chunk with the finish reason back until the usage can be put into it, which is
            where Fireworks sends it.
        ending: how the caller's stream ends; None for a part of a merged one, which leaves that to the whole.
        last_usage: gives the usage to put into the last chunk, if it is not this stream's own.

    Attributes:
        released: whether the last chunk was sent.
    """

    def __init__(
        self,
        rewrite: Callable[[JSON, dict[int, int]], JSON | None],
        *,
        include_usage: bool = False,
        hold_last: bool = False,
        ending: Ending | None = ENDING,
        last_usage: Callable[[], JSON | None] | None = None,
    ) -> None:
        self._rewrite = rewrite
        self._include_usage = include_usage
        self._hold_last = hold_last
        self._ending = ending
        self._last_usage = last_usage
        self.restart()

    def restart(self) -> None:
        self.usage: JSON | None = None
        self.prompt_tokens = 0
        self.pieces = 0
        self.released = False
        self._held: JSON | None = None
        self._finished = False
        self._rest = b""
        self._offsets: dict[int, int] = {}

    def feed(self, data: bytes) -> bytes:
        data = (self._rest + data).replace(b"\r\n", b"\n")
        *events, self._rest = data.split(b"\n\n")
        return b"".join([self._event(event) for event in events if event])

    def finish(self) -> bytes:
        last = self.feed(b"\n\n") if self._rest.strip() else b""
        if not self._finished:
            raise cut_off()
        return last + self._release() + (self._ending.done if self._ending else b"")

    def fail(self, error: PaddockError) -> bytes:
        return self._release() + (self._ending.error(error) if self._ending else b"")

    def _event(self, event: bytes) -> bytes:
        chunk = parse_event(event)
        if chunk is None:
            self._finished = self._finished or event.endswith(b"[DONE]")
            return b""
        progress = prompt_progress(chunk)
        if progress is not None:
            self.prompt_tokens = progress
            return b""
        usage = chunk.pop("usage", None)
        self.usage = told(usage) or self.usage
        stop = pop_stop(chunk)
        choices = chunk.get("choices")
        if not choices:
            return self._usage_chunk(chunk)
        self.pieces += sum(map(holds_token, choices))
        if stop:
            _append(choices, stop)
        rewritten = self._rewrite(chunk, self._offsets)
        for choice in choices:
            text = choice.get("text") or (choice.get("delta") or {}).get("content") or ""
            index = choice.get("index", 0)
            self._offsets[index] = self._offsets.get(index, 0) + len(text)
            self._finished = self._finished or bool(choice.get("finish_reason"))
        if rewritten is None:
            return b""
        if not self._hold_last:
            return dump_event(rewritten) + (self._usage_chunk(chunk) if usage else b"")
        out = self._release()
        if any(choice.get("finish_reason") for choice in rewritten.get("choices") or ()):
            self._held = rewritten
            return out
        return out + dump_event(rewritten)

    def _usage_chunk(self, chunk: JSON) -> bytes:
        if not self._include_usage or self.usage is None:
            return b""
        rewritten = self._rewrite({**chunk, "choices": []}, self._offsets)
        return dump_event({**rewritten, "usage": self.usage}) if rewritten is not None else b""

    def _release(self) -> bytes:
        if self._held is None:
            return b""
        held, self._held = self._held, None
        self.released = True
        usage = self.usage if self._last_usage is None else self._last_usage()
        if usage is not None:
            held = {**held, "usage": fireworks_usage(usage)}
        return dump_event(held)


_ABSENT: Any = object()


def _append(choices: list[JSON], text: str) -> None:
    """Puts the text behind that of the choices that end here."""
    for choice in choices:
        if choice.get("finish_reason"):
            place, name = (choice["delta"], "content") if "delta" in choice else (choice, "text")
            place[name] = (place.get(name) or "") + text


def _is_marked(data: bytes) -> bool:
    """Whether there may be something in it to count or to leave out; asked for each token.

    Inside a JSON string the quotes would be escaped, so these match keys only. A usage that is null, which
    OpenAI sends with every token, is not worth a look.
    """
    return (
        b'"usage":{' in data
        or b'"usage": {' in data
        or b'"error":' in data
        or b'"prompt_progress":' in data
        or data.startswith(b"error:")
    )


_FINISHED = re.compile(rb'"finish_reason":\s*"')


def _renaming(engine_name: str, name: str) -> Callable[[bytes], bytes]:
    pattern = re.compile(rb'"model":\s*' + re.escape(orjson.dumps(engine_name)))
    replacement = b'"model":' + orjson.dumps(name)
    return lambda data: pattern.sub(lambda _: replacement, data)
