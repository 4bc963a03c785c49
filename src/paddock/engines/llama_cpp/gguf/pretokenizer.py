"""Which of llama.cpp's built-in ways to cut text into words a `tokenizer.json` asks for.

llama.cpp knows each by a name and cannot take a pattern, so an unknown one is refused: with a wrong one a
model answers, but worse, and nobody sees why.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from paddock.errors import StartupError

_CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_WORDS = r"|[^\r\n\p{L}\p{N}]?\p{L}+"
_CASED = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
)
PATTERNS = {
    f"{_CONTRACTIONS}{_WORDS}|\\p{{N}}{{1,3}}{_REST}": "llama-bpe",
    f"{_CONTRACTIONS}{_WORDS}|\\p{{N}}{_REST}": "qwen2",
    f"{_CASED}|\\p{{N}}| ?[^\\s\\p{{L}}\\p{{N}}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+": "tekken",
}
# The same pattern as llama-bpe, but without looking a whole word up before merging it.
MERGED_LLAMA = "smaug-bpe"


def name_pretokenizer(tokenizer: Mapping[str, Any]) -> str:
    """The value of `tokenizer.ggml.pre` for a byte-level BPE `tokenizer.json`.

    Raises:
        StartupError: no name of llama.cpp means the same.
    """
    steps = _steps(tokenizer.get("pre_tokenizer"))
    kinds = [step.get("type") for step in steps]
    byte_level = steps[-1] if kinds and kinds[-1] == "ByteLevel" else {}
    if byte_level and not byte_level.get("add_prefix_space"):
        if kinds == ["ByteLevel"] and byte_level.get("use_regex", True):
            return "gpt-2"
        if kinds == ["Digits", "ByteLevel"] and steps[0].get("individual_digits"):
            return "smollm"
        if kinds == ["Split", "ByteLevel"] and not byte_level.get("use_regex", True):
            name = PATTERNS.get(steps[0].get("pattern", {}).get("Regex", ""))
            whole_words = bool(tokenizer["model"].get("ignore_merges"))
            if name and steps[0].get("behavior") == "Isolated" and not steps[0].get("invert"):
                return MERGED_LLAMA if name == "llama-bpe" and not whole_words else name
    raise StartupError(
        f"the tokenizer cuts words in a way that llama.cpp has no name for ({_describe(steps)}); "
        "take the model as a .gguf file instead"
    )


def _steps(pre_tokenizer: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    if not pre_tokenizer:
        return []
    if pre_tokenizer.get("type") == "Sequence":
        return list(pre_tokenizer.get("pretokenizers", []))
    return [pre_tokenizer]


def _describe(steps: list[Mapping[str, Any]]) -> str:
    words = [f"{step.get('type')} {step.get('pattern', {}).get('Regex', '')}".strip() for step in steps]
    return ", then ".join(words) or "no pre_tokenizer"
