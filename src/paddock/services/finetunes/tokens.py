"""How long rows are for a model, in tokens of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from paddock.errors import StartupError, UnsupportedParameter
from paddock.schemas.jobs import problem
from paddock.services.finetunes.lines import JSON
from paddock.services.finetunes.rows import Counted, Facts
from paddock.services.finetunes.template import Template, load_template

TOKENIZER = "tokenizer.json"
AT_ONCE = 256 * 1024
"""Characters that are encoded in one call, so that who cancels does not wait long for the thread."""
NAMED = 5
"""Rows that are too long of which the numbers are told."""


class Tokens:
    """Counts with a checkpoint's tokenizer and chat template; `rows.read` takes it as its counter."""

    def __init__(self, tokenizer: Any, template: Template | None) -> None:
        self._tokenizer = tokenizer
        self._template = template
        self._ends = tuple(one.content for one in tokenizer.get_added_tokens_decoder().values())

    async def count(self, rows: Sequence[JSON]) -> Counted:
        """The tokens of each row: of the chat as the template writes it, where a prompt and its response are
        two messages. Where the model has no template it is prompt and response. The token that ends a text is
        counted where the template does not write one. The trainer may find a token more for an answer whose
        border lies within one.

        Args:
            rows: as `rows.read` writes them.
        """
        texts, faults = await asyncio.to_thread(self._texts, rows)
        lengths: list[int] = []
        for part in _slices(texts):
            lengths += await asyncio.to_thread(self._lengths, part)
        return Counted([0 if i in faults else length for i, length in enumerate(lengths)], faults)

    def _texts(self, rows: Sequence[JSON]) -> tuple[list[str], dict[int, str]]:
        texts, faults = [], {}
        for place, row in enumerate(rows):
            try:
                texts.append(self._text(row))
            except ValueError as error:
                texts.append("")
                faults[place] = str(error)
        return texts, faults

    def _text(self, row: JSON) -> str:
        messages = row.get("messages")
        if self._template is not None:
            return self._template.render(_plain(messages) if messages else _as_chat(row))
        if messages:
            raise ValueError("the model has none, so that it takes rows of a prompt with a response only")
        return str(row["prompt"] + row["response"])

    def _lengths(self, texts: list[str]) -> list[int]:
        # A template writes the tokens that begin a text itself.
        bare = self._template is None
        found = self._tokenizer.encode_batch_fast(texts, add_special_tokens=bare)
        ended = [not bare and text.rstrip().endswith(self._ends) for text in texts]
        return [len(one) + (not end) for one, end in zip(found, ended, strict=True)]


def load(folder: Path) -> Tokens:
    """The tokens of the checkpoint in a folder. Blocks.

    Raises:
        StartupError: a file is missing or broken; says which.
        UnsupportedParameter: the library that reads it is not installed.
    """
    try:
        # Who serves models and tunes none need not have it.
        import tokenizers
    except ImportError:
        raise UnsupportedParameter(
            "fine-tuning needs more than what is installed here: pip install 'paddock[train]'",
            code="not_installed",
        ) from None
    path = folder / TOKENIZER
    if not path.is_file():
        hint = "transformers makes one: AutoTokenizer.from_pretrained(x).save_pretrained(x)"
        raise StartupError(f"{folder} has no {TOKENIZER}, which a fine-tune needs; {hint}")
    try:
        tokenizer = tokenizers.Tokenizer.from_file(str(path))
    # The library raises nothing more special.
    except Exception as error:
        raise StartupError(f"{path} cannot be read: {error}") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return Tokens(tokenizer, load_template(folder))


def too_long(
    facts: Facts, max_length: int, context_length: int, param: str = "hyperparameters"
) -> JSON | None:
    """The fault of a file of which rows are longer than `max_length`, as `schemas.jobs.JobError` has it.

    Args:
        param: the field of the request that holds the hyperparameters.
    """
    places = [i for i, length in enumerate(facts.lengths) if length > max_length]
    if not places:
        return None
    named = [f"row {i + 1} on line {facts.lines[i]} has {facts.lengths[i]}" for i in places[:NAMED]]
    more = f" and {len(places) - NAMED} more" if len(places) > NAMED else ""
    count = "1 row is" if len(places) == 1 else f"{len(places)} rows are"
    said = f"{count} longer than {max_length} tokens: {', '.join(named)}{more}"
    ways = ["shorten them"]
    if max_length < context_length:
        ways.append(f"set {param}.max_length up to {min(facts.longest, context_length)}")
    ways.append(f"set {param}.truncate to true, which cuts them at their end")
    said = f"{said}; {', '.join(ways[:-1])}, or {ways[-1]}"
    return problem("row_too_long", said, param=f"{param}.max_length", line=facts.lines[places[0]])


def _as_chat(row: JSON) -> list[JSON]:
    return [{"role": "user", "content": row["prompt"]}, {"role": "assistant", "content": row["response"]}]


def _plain(messages: Sequence[JSON]) -> list[JSON]:
    """Without weights, which are the trainer's."""
    return [{"role": one["role"], "content": one["content"]} for one in messages]


def _slices(texts: list[str]) -> Iterator[list[str]]:
    part: list[str] = []
    size = 0
    for text in texts:
        part.append(text)
        size += len(text)
        if size >= AT_ONCE:
            yield part
            part, size = [], 0
    if part:
        yield part
