"""What a request's record says of the tokens and of the time that it took."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from paddock.errors import PaddockError
from paddock.gateway.collect import merge_usage
from paddock.gateway.http import Record, Request

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
    if isinstance(usage, dict) and usage:
        record.prompt_tokens = usage.get("prompt_tokens") or 0
        record.completion_tokens = usage.get("completion_tokens") or 0
        record.cached_tokens = (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0


def count_parts(record: Record, parts: Sequence[Counted], *, choices_each: int = 1) -> None:
    """Also of parts that were cut short."""
    counted = [
        part.usage or {"prompt_tokens": part.prompt_tokens, "completion_tokens": part.pieces}
        for part in parts
    ]
    count(record, counted[0] if len(counted) == 1 else merge_usage(counted, choices_each))


def finish_stream(request: Request, first: float, error: PaddockError | None) -> None:
    """
    Args:
        first: `time.perf_counter()` at the first bytes of the answer; 0.0 if there were none.
        error: why the stream was cut short, if it was.
    """
    record = request.record
    record.status = 200
    record.first_token = first - request.started if first else 0.0
    if error is not None:
        record.outcome = error.code
