"""What a fine-tune must know of the model that it begins with."""

from __future__ import annotations

import re
from dataclasses import dataclass

from paddock.errors import UnsupportedParameter
from paddock.weights.config import read_json
from paddock.weights.facts import describe
from paddock.weights.resolve import Weights
from paddock.weights.safetensors_header import read_index

_IN_LAYER = re.compile(r".*\.\d+\.(?:.*\.)?(?P<name>[A-Za-z_]\w*)\.weight")
_NOT_LINEAR = re.compile(r"embed|bias|norm|^w[tp]e$|^gate$|^router$")


@dataclass(frozen=True)
class Base:
    """
    Attributes:
        parameters: their number.
        context_length: tokens.
        linear_layers: the names that the linear layers of its blocks end with (`q_proj`), in their
            order; without the output layer and the routers of experts, which are not adapted.
    """

    parameters: int
    context_length: int
    linear_layers: tuple[str, ...]


def describe_base(weights: Weights) -> Base:
    """The facts of weights that are on this machine. Reads `config.json` and headers; blocks.

    Raises:
        StartupError: a file is missing, cut short or not what it should be; says which.
        UnsupportedParameter: such weights cannot be tuned.
    """
    if weights.kind == "gguf":
        raise UnsupportedParameter(
            f"{weights.name} is a GGUF file, which cannot be fine-tuned; deploy the checkpoint that it was"
            " made of (config.json with safetensors) and fine-tune that",
            param="model",
        )
    if read_json(weights.path, "config.json").get("quantization_config"):
        raise UnsupportedParameter(
            f"{weights.name} has quantized weights, which cannot be fine-tuned; take the original ones",
            param="model",
        )
    facts = describe(weights)
    if not facts.generates:
        raise UnsupportedParameter(
            f"{weights.name} was made for embeddings; only models that complete text are fine-tuned",
            param="model",
        )
    return Base(facts.parameters, facts.context_length, _linear_layers(weights))


def _linear_layers(weights: Weights) -> tuple[str, ...]:
    names: dict[str, None] = {}
    for tensor in read_index(weights.path).values():
        match = _IN_LAYER.fullmatch(tensor.name)
        if match and len(tensor.shape) == 2 and not _NOT_LINEAR.search(match["name"]):
            names[match["name"]] = None
    return tuple(names)
