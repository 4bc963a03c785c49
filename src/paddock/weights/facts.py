"""What there is to know about a model before it is served. Reads small files and headers, never weights."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from paddock.errors import StartupError
from paddock.weights.card import read_card
from paddock.weights.config import context_length, read_json
from paddock.weights.gguf_header import read_header
from paddock.weights.resolve import Weights
from paddock.weights.safetensors_header import read_index, weight_files


@dataclass(frozen=True)
class ModelFacts:
    """A model as its files describe it.

    Attributes:
        name: `paddock/foal`.
        source: what `resolve` takes to find the weights again, on a machine that has them or fetches them.
        context_length: tokens that it was made for; 0 if not known.
        size: bytes of weights; 0 if not known.
        parameters: their number; 0 if not known.
        cache_bytes: of attention cache for each token, in 16 bits; 0 if not known.
        generates: completes text.
        embeds: was made for embeddings.
        creator: the first part of the name, or who the files say made it.
        description: a paragraph; empty if there is none.
        screen_name: what a person reads in a list.
        parent: the model that it was fine-tuned from; empty if it was not made here.
    """

    name: str
    source: str
    kind: Literal["checkpoint", "gguf"]
    context_length: int
    size: int
    parameters: int
    cache_bytes: int
    generates: bool
    embeds: bool
    creator: str
    description: str
    screen_name: str
    parent: str = ""


def describe(weights: Weights) -> ModelFacts:
    """The facts about weights that are on this machine; `source` is their path.

    Raises:
        StartupError: a file is missing, cut short or not what it should be; says which.
    """
    return _describe_gguf(weights) if weights.kind == "gguf" else _describe_checkpoint(weights)


def _describe_checkpoint(weights: Weights) -> ModelFacts:
    folder = weights.path
    config = read_json(folder, "config.json", required=True)
    # Models that see or hear keep the numbers of their language part apart.
    text = {**config, **(config.get("text_config") or {})}
    tensors = read_index(folder).values()
    card = read_card(folder)
    generates = any("CausalLM" in name or "Generation" in name for name in config.get("architectures") or [])
    try:
        length, cache_bytes = context_length(text), _cache_bytes(text)
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        raise StartupError(f"{folder / 'config.json'} has no usable {error}") from error
    return ModelFacts(
        name=weights.name,
        source=str(folder),
        kind="checkpoint",
        context_length=length,
        size=sum(file.stat().st_size for file in weight_files(folder)),
        # Packed weights hold several in one number.
        parameters=0 if config.get("quantization_config") else sum(math.prod(one.shape) for one in tensors),
        cache_bytes=cache_bytes,
        generates=generates,
        embeds=not generates,
        creator=_creator(weights.name) or card.fields.get("author", ""),
        description=card.description,
        screen_name=card.fields.get("model_name") or _last(weights.name),
    )


def _describe_gguf(weights: Weights) -> ModelFacts:
    header = read_header(weights.path)
    return ModelFacts(
        name=weights.name,
        source=str(weights.path),
        kind="gguf",
        context_length=header.context_length,
        size=header.size,
        parameters=header.parameters,
        cache_bytes=header.cache_bytes,
        generates=not header.embeds,
        embeds=header.embeds,
        creator=_creator(weights.name) or header.organization,
        description=header.description,
        screen_name=header.title or _last(weights.name),
    )


def _cache_bytes(config: Mapping[str, Any]) -> int:
    heads = int(config["num_attention_heads"])
    head_dim = int(config.get("head_dim") or int(config["hidden_size"]) // heads)
    return (
        int(config["num_hidden_layers"]) * int(config.get("num_key_value_heads") or heads) * head_dim * 2 * 2
    )


def _creator(name: str) -> str:
    return name.rpartition("/")[0].rpartition("/")[2]


def _last(name: str) -> str:
    return name.rpartition("/")[2]
