"""What a request's record says of the tokens and of the time that it took."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from paddock.errors import PaddockError
from paddock.gateway.collect import cached, merge_usage, told
from paddock.gateway.http import Record, Request
from paddock.gateway.limit_words import prompt_tokens
from paddock.gateway.tokens import number

JSON = dict[str, Any]


class Counted(Protocol):
    """A stream or collected answer, whole or cut short.

    Attributes:
        usage: the engine's usage object, once it came.
        prompt_tokens: length of the prompt, if the engine tells before the first token.
    """

    usage: JSON | None
    prompt_tokens: int

    @property
    def pieces(self) -> int:
        """Tokens that came; of a stream that is cut off there is no other count."""


def count(record: Record, usage: Any) -> None:
    """What is no count is none: a server of somebody else's may send anything."""
    if told(usage):
        record.prompt_tokens = number(usage.get("prompt_tokens"))
        record.completion_tokens = number(usage.get("completion_tokens"))
        record.cached_tokens = min(cached(usage), record.prompt_tokens)


def count_parts(request: Request, parts: Sequence[Counted], *, choices_each: int = 1) -> None:
    """Also of parts that were cut short."""
    counted = [
        part.usage or {"prompt_tokens": part.prompt_tokens, "completion_tokens": part.pieces}
        for part in parts
    ]
    count(request.record, counted[0] if len(counted) == 1 else merge_usage(counted, choices_each))
    if any(part.usage or part.pieces for part in parts):
        estimate_prompt(request)


def estimate_prompt(request: Request) -> None:
    """For what an engine has answered: a prompt whose length it did not tell is not free for that."""
    record = request.record
    if not record.prompt_tokens:
        record.prompt_tokens = prompt_tokens(len(request.body))


def finish_stream(request: Request, first: float, error: PaddockError | None) -> None:
    """Nothing, if nothing of the stream was sent: it is to be answered otherwise then.

    Args:
        first: `time.perf_counter()` at the first bytes of the answer; 0.0 if there were none.
        error: why the stream was cut short, if it was.
    """
    if not first:
        return
    record = request.record
    record.status = 200
    record.first_token = first - request.started
    if error is not None:
        record.outcome = error.code
