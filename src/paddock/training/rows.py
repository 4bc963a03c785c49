"""Rows of a file as tokens, each of them learned or not."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from paddock.errors import JobFailed
from paddock.training.conversations import BadRow, Text, texts

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_AT_ONCE = 1000
_NAMED = 20


@dataclass(frozen=True, eq=False)
class Row:
    """
    Attributes:
        tokens: (n,) what the model sees, up to the last one that is learned.
        learned: (n,) which of them it learns to say after those before; never the first.
    """

    tokens: NDArray[np.int32]
    learned: NDArray[np.bool_]


def read(path: Path, tokenizer: PreTrainedTokenizerBase, max_length: int, truncate: bool) -> list[Row]:
    """The rows of the file at `path`, in order. One that truncation leaves nothing to learn of is left out.

    Raises:
        JobFailed: bad_rows, with their numbers; bad_model where the tokenizer cannot say where tokens lie.
    """
    if not tokenizer.is_fast:
        raise JobFailed(
            "the model's tokenizer does not say where tokens lie in the text; it needs a tokenizer.json",
            code="bad_model",
        )
    encoder = _Encoder(tokenizer)
    numbered = _texts(path, tokenizer)
    rows, long, empty = [], {}, []
    for first in range(0, len(numbered), _AT_ONCE):
        part = numbered[first : first + _AT_ONCE]
        for (number, _), row in zip(part, encoder.encode([text for _, text in part]), strict=True):
            if len(row.tokens) > max_length and not truncate:
                long[number] = len(row.tokens)
            cut = _trimmed(row, max_length)
            if cut is None:
                empty.append(number)
            else:
                rows.append(cut)
    _refuse(path, long, max_length, [] if truncate and rows else empty)
    if empty:
        print(f"{_numbers(empty)} of {path.name}: nothing to learn within max_length", file=sys.stderr)
    return rows


def _texts(path: Path, tokenizer: PreTrainedTokenizerBase) -> list[tuple[int, Text]]:
    found, bad = [], []
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                found += [(number, text) for text in texts(_object(line), tokenizer)]
            except BadRow as error:
                bad.append((number, str(error)))
    if bad:
        others = f"; also wrong: {_numbers([number for number, _ in bad[1:]])}" if bad[1:] else ""
        raise JobFailed(f"{path.name}: row {bad[0][0]} {bad[0][1]}{others}", code="bad_rows")
    if not found:
        raise JobFailed(f"{path.name} has no rows", code="bad_rows")
    return found


def _object(line: bytes) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise BadRow(f"is not JSON: {error}") from error
    if not isinstance(row, dict):
        raise BadRow("is not a JSON object")
    return row


def _trimmed(row: Row, max_length: int) -> Row | None:
    """Up to the last learned token within `max_length`; None where there is none."""
    learned = row.learned[:max_length].copy()
    learned[:1] = False
    if not learned.any():
        return None
    end = int(np.flatnonzero(learned)[-1]) + 1
    return Row(row.tokens[:end], learned[:end])


def _refuse(path: Path, long: dict[int, int], max_length: int, empty: list[int]) -> None:
    if long:
        raise JobFailed(
            f"{path.name}: {_numbers(list(long))} longer than max_length, {max_length} tokens (the longest"
            f" has {max(long.values())}): raise max_length, shorten them, or set truncate",
            code="bad_rows",
        )
    if empty:
        raise JobFailed(f"{path.name}: {_numbers(empty)} with nothing to learn", code="bad_rows")


def _numbers(numbers: list[int]) -> str:
    numbers = sorted(set(numbers))
    shown = ", ".join(map(str, numbers[:_NAMED]))
    more = f" and {len(numbers) - _NAMED} more" if len(numbers) > _NAMED else ""
    return f"row{'s' if numbers[1:] else ''} {shown}{more}"


class _Encoder:
    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._tokenizer = tokenizer
        self._added = np.array(
            sorted({*tokenizer.all_special_ids, *tokenizer.added_tokens_decoder}), dtype=np.int32
        )
        beginning = tokenizer("a")["input_ids"][:1]
        self._begin = beginning if beginning == [tokenizer.bos_token_id] else []
        if tokenizer.eos_token_id is None:
            raise JobFailed(
                "the model's tokenizer names no eos_token to end an answer with", code="bad_model"
            )

    def encode(self, found: list[Text]) -> list[Row]:
        encoded = self._tokenizer(
            [text.text for text in found],
            add_special_tokens=False,
            return_offsets_mapping=True,
            return_attention_mask=False,
            verbose=False,
        )
        return [
            self._row(text, tokens, offsets)
            for text, tokens, offsets in zip(
                found, encoded["input_ids"], encoded["offset_mapping"], strict=True
            )
        ]

    def _row(self, text: Text, tokens: list[int], offsets: list[tuple[int, int]]) -> Row:
        places = np.array(offsets, dtype=np.int64).reshape(-1, 2)
        if _straddles(text, places):
            tokens, places = self._apart(text) or (tokens, places)
        ids, learned = np.array(tokens, dtype=np.int32), np.zeros(len(tokens), dtype=np.bool_)
        ended = False
        for start, end in text.learned:
            part = (places[:, 1] > start) & (places[:, 0] < end)
            ended = self._cut_after_end(text.text, ids, places, part)
            learned |= part
        begin = [] if text.special else self._begin
        close = [] if ended else [self._tokenizer.eos_token_id]
        return Row(
            np.concatenate([begin, ids, close]).astype(np.int32),
            np.concatenate([[False] * len(begin), learned, [True] * len(close)]).astype(np.bool_),
        )

    def _cut_after_end(
        self, text: str, ids: NDArray[np.int32], places: NDArray[np.int64], part: NDArray[np.bool_]
    ) -> bool:
        """Takes the white space behind the token that ends the turn out of `part`; False where none does."""
        ends = np.flatnonzero(part & np.isin(ids, self._added))
        if not len(ends):
            return False
        last = ends[-1]
        behind = np.flatnonzero(part[last + 1 :]) + last + 1
        if len(behind) and text[places[behind[0], 0] : places[behind[-1], 1]].strip():
            return False
        part[behind] = False
        return True

    def _apart(self, text: Text) -> tuple[list[int], NDArray[np.int64]] | None:
        """Tokens of what comes before each answer as a request has it; None where that reads differently."""
        tokens: list[int] = []
        places: list[tuple[int, int]] = []
        for first, end in pairwise([0, *(start for start, _ in text.learned), len(text.text)]):
            encoded = self._tokenizer(
                text.text[first:end], add_special_tokens=False, return_offsets_mapping=True, verbose=False
            )
            tokens += encoded["input_ids"]
            places += [(first + start, first + stop) for start, stop in encoded["offset_mapping"]]
        if self._tokenizer.decode(tokens, clean_up_tokenization_spaces=False) != text.text:
            return None
        return tokens, np.array(places, dtype=np.int64).reshape(-1, 2)


def _straddles(text: Text, places: NDArray[np.int64]) -> bool:
    """Whether a token may lie on both sides of where an answer begins, which it does in no request."""
    return any(
        # Some tokenizers leave a leading blank out of a token's place.
        (start and text.text[start - 1] in " \t")
        or bool(np.any((places[:, 0] < start) & (places[:, 1] > start)))
        for start, _ in text.learned
    )
