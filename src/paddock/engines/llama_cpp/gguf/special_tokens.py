"""Tokens with a meaning (begin, end, padding) and chat templates: spread over four files, gathered here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from paddock.engines.llama_cpp.gguf.tokenizer import flatten
from paddock.errors import StartupError

TEMPLATE_FILE = "chat_template.jinja"


@dataclass(frozen=True)
class SpecialTokens:
    """Token numbers. `ends` holds every token that ends an answer, the tokenizer's own first."""

    bos: int | None = None
    ends: list[int] = field(default_factory=list)
    unknown: int | None = None
    padding: int | None = None
    add_bos: bool = False
    add_eos: bool = False


def read_special_tokens(
    tokenizer: Mapping[str, Any],
    tokenizer_config: Mapping[str, Any],
    config: Mapping[str, Any],
    generation_config: Mapping[str, Any],
) -> SpecialTokens:
    """From the parsed files of the same names."""
    numbers = dict(tokenizer["model"]["vocab"])
    numbers |= {added["content"]: added["id"] for added in tokenizer.get("added_tokens") or []}

    def named(role: str) -> int | None:
        token = tokenizer_config.get(role)
        return numbers.get(token["content"] if isinstance(token, dict) else token) if token else None

    ends = [named("eos_token"), *_listed(generation_config), *_listed(config)]
    bos = named("bos_token")
    bos = config.get("bos_token_id") if bos is None else bos
    begins, finishes = _template_adds(tokenizer, numbers)
    add_bos = tokenizer_config.get("add_bos_token")
    add_eos = tokenizer_config.get("add_eos_token")
    return SpecialTokens(
        bos=bos,
        ends=list(dict.fromkeys(token for token in ends if token is not None)),
        unknown=named("unk_token"),
        padding=named("pad_token"),
        add_bos=(bos in begins if add_bos is None else bool(add_bos)) and bos is not None,
        add_eos=bool(finishes) if add_eos is None else bool(add_eos),
    )


def read_chat_templates(folder: Path, tokenizer_config: Mapping[str, Any]) -> dict[str, str]:
    """Templates by name; the one that is used has the name `default`. Empty for a model without one.

    Raises:
        StartupError: `chat_template.jinja` is not UTF-8.
    """
    given = tokenizer_config.get("chat_template")
    templates = {"default": given} if isinstance(given, str) else {}
    if isinstance(given, list):
        templates = {entry["name"]: entry["template"] for entry in given}
    try:
        if (folder / TEMPLATE_FILE).is_file():
            templates["default"] = (folder / TEMPLATE_FILE).read_text("utf-8")
    except UnicodeDecodeError as error:
        raise StartupError(f"{folder / TEMPLATE_FILE} is not UTF-8: {error}") from error
    return templates


def _listed(config: Mapping[str, Any]) -> list[int | None]:
    given = config.get("eos_token_id")
    return list(given) if isinstance(given, list) else [given]


def _template_adds(tokenizer: Mapping[str, Any], numbers: Mapping[str, int]) -> tuple[set[int], set[int]]:
    """Tokens that the post-processor puts before and after a single text."""
    before: set[int] = set()
    after: set[int] = set()
    for step in flatten(tokenizer.get("post_processor"), "processors"):
        seen_text = False
        for part in step.get("single", []) if step.get("type") == "TemplateProcessing" else []:
            if "Sequence" in part:
                seen_text = True
            elif (number := numbers.get(part["SpecialToken"]["id"])) is not None:
                (after if seen_text else before).add(number)
    return before, after
