"""Which models may be trained as a whole: those for which the time and the memory suffice."""

from __future__ import annotations

from collections.abc import Sequence

from paddock.errors import InvalidRequest, UnsupportedParameter
from paddock.schemas.hardware import Node
from paddock.schemas.own import MOST_NAME
from paddock.services.finetunes.base import Base

MOST_PARAMETERS = {"cpu": 2_000_000_000, "cuda": 8_000_000_000}
"""Of a model that is trained as a whole, by the device."""
LEAST_BYTES = 8
"""Of memory for each parameter: weight, gradient and two moments, all in bfloat16. With 18 the weights are
kept in float32, which learns better.
"""


def check_whole(name: str, base: Base, device: str, nodes: Sequence[Node], param: str) -> None:
    """
    Args:
        name: of the model.
        device: `cpu` or `cuda`.
        param: the field that asked for it.

    Raises:
        UnsupportedParameter: the model is too large to be trained as a whole here.
    """
    most, size = MOST_PARAMETERS[device], base.parameters
    if size > most:
        raise UnsupportedParameter(
            f'{param} must be "lora": {name} has {size / 1e9:.1f} billion parameters, and whole models are'
            f" trained up to {most / 1e9:.0f} billion on {_WORDS[device]}",
            param=param,
        )
    if device == "cuda":
        memory = max((gpu.memory for node in nodes for gpu in node.hardware.gpus), default=0)
    else:
        memory = max((node.hardware.memory for node in nodes), default=0)
    if memory and size * LEAST_BYTES > memory:
        raise UnsupportedParameter(
            f'{param} must be "lora": training the whole of {name} needs at least'
            f" {size * LEAST_BYTES / 2**30:.1f} GiB, and there are {memory / 2**30:.1f} GiB on"
            f" {_WORDS[device]}",
            param=param,
        )


def check_length(name: str) -> None:
    """
    Raises:
        InvalidRequest: what comes of it could not be deployed under this name.
    """
    if len(name) > MOST_NAME:
        raise InvalidRequest(
            f"suffix: the model would be called {name}, which is longer than the {MOST_NAME} characters of a"
            " name; take a shorter suffix or a base with a shorter name",
            param="suffix",
        )


_WORDS = {"cpu": "CPUs", "cuda": "a GPU"}
