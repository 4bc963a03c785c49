"""From `tokenizer.json` to llama.cpp's vocabulary: byte-level BPE and SentencePiece-style BPE."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from paddock.engines.llama_cpp.gguf.pretokenizer import name_pretokenizer
from paddock.errors import StartupError

SPACE = "▁"


class TokenType(IntEnum):
    """llama.cpp's numbers. Only control and user-defined tokens are found in text before it is cut up."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    UNUSED = 5
    BYTE = 6


@dataclass(frozen=True)
class Vocabulary:
    """Ready for GGUF: `tokens[i]` is token i.

    `model` is `gpt2` (byte-level BPE, with `pre` and `merges`: "a b", best first) or `llama` (SentencePiece-
    style, with `scores` and `space_prefix`).
    """

    model: str
    tokens: list[str]
    types: list[TokenType]
    pre: str | None = None
    merges: list[str] | None = None
    scores: list[float] | None = None
    space_prefix: bool | None = None


def read_vocabulary(tokenizer: Mapping[str, Any], vocab_size: int) -> Vocabulary:
    """From the parsed `tokenizer.json`; padded to `vocab_size`, the number of rows of the embedding.

    Raises:
        StartupError: not a BPE, more tokens than rows, or cut in a way that llama.cpp has no name for.
    """
    model = tokenizer.get("model") or {}
    if model.get("type", "BPE") != "BPE" or "vocab" not in model:
        raise StartupError(
            f"tokenizer.json holds a {model.get('type', 'nameless')} model; only BPE can be converted"
        )
    tokens, types = _tokens(tokenizer, vocab_size)
    merges = [tuple(m.split(" ", 1)) if isinstance(m, str) else tuple(m) for m in model.get("merges", [])]
    if model.get("byte_fallback"):
        _refuse_normalizers(tokenizer, {"Prepend", "Replace"})
        _mark_sentencepiece(tokens, types, model)
        scores = _scores(tokens, merges)
        return Vocabulary("llama", tokens, types, "default", None, scores, _prepends_space(tokenizer))
    _refuse_normalizers(tokenizer, {"NFC"})
    joined = [" ".join(pair) for pair in merges]
    return Vocabulary("gpt2", tokens, types, name_pretokenizer(tokenizer), joined)


def _tokens(tokenizer: Mapping[str, Any], vocab_size: int) -> tuple[list[str], list[TokenType]]:
    by_id: dict[int, tuple[str, TokenType]] = {
        number: (text, TokenType.NORMAL) for text, number in tokenizer["model"]["vocab"].items()
    }
    for added in tokenizer.get("added_tokens") or []:
        kind = TokenType.CONTROL if added.get("special") else TokenType.USER_DEFINED
        by_id[added["id"]] = (added["content"], kind)
    if by_id and max(by_id) >= vocab_size:
        raise StartupError(
            f"the tokenizer has a token {max(by_id)}, but the model only {vocab_size} rows for tokens"
        )
    entries = [by_id.get(i, (f"[PAD{i}]", TokenType.UNUSED)) for i in range(vocab_size)]
    return [text for text, _ in entries], [kind for _, kind in entries]


def _mark_sentencepiece(tokens: list[str], types: list[TokenType], model: Mapping[str, Any]) -> None:
    unknown = model.get("unk_token")
    for i, text in enumerate(tokens):
        if len(text) == 6 and text.startswith("<0x") and text.endswith(">"):
            types[i] = TokenType.BYTE
        elif text == unknown:
            types[i] = TokenType.UNKNOWN
        elif types[i] is TokenType.USER_DEFINED:
            # llama.cpp compares these with the raw text, in which a space is a space.
            tokens[i] = text.replace(SPACE, " ")


def _scores(tokens: list[str], merges: list[tuple[str, ...]]) -> list[float]:
    """llama.cpp merges the pair whose result scores best: the earlier in the list of merges, the better."""
    ranks: dict[str, int] = {}
    for rank, pair in enumerate(merges):
        ranks.setdefault("".join(pair), rank)
    return [-float(ranks.get(text, len(merges))) for text in tokens]


def _prepends_space(tokenizer: Mapping[str, Any]) -> bool:
    for step in flatten(tokenizer.get("normalizer"), "normalizers"):
        if step.get("type") == "Prepend":
            return True
    for step in flatten(tokenizer.get("pre_tokenizer"), "pretokenizers"):
        if step.get("type") == "Metaspace":
            return bool(
                step.get("prepend_scheme", "always") != "never" and step.get("add_prefix_space", True)
            )
    return False


def _refuse_normalizers(tokenizer: Mapping[str, Any], known: set[str]) -> None:
    for step in flatten(tokenizer.get("normalizer"), "normalizers"):
        if step.get("type") not in known:
            raise StartupError(
                f"the tokenizer normalizes text with {step.get('type')}, which llama.cpp does not; "
                "take the model as a .gguf file instead"
            )


def flatten(step: Mapping[str, Any] | None, children: str) -> list[Mapping[str, Any]]:
    """The steps of a `Sequence` in a `tokenizer.json`, or the one step there is."""
    if not step:
        return []
    if step.get("type") != "Sequence":
        return [step]
    return [leaf for child in step.get(children, []) for leaf in flatten(child, children)]
