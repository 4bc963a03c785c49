from __future__ import annotations

import pytest

from paddock.errors import InvalidRequest, UnsupportedParameter
from paddock.schemas.hardware import Gpu, Node, NodeHardware
from paddock.services.finetunes.base import Base
from paddock.services.finetunes.whole import check_length, check_whole

LARGE = Node("large", NodeHardware(cores=64, memory=512 * 2**30, gpus=(Gpu(0, "H100", 80 * 2**30),)))
SMALL = Node("small", NodeHardware(cores=2, memory=8 * 2**30))


def base(parameters: float) -> Base:
    return Base(int(parameters), 2048, ("q_proj",))


@pytest.mark.parametrize(
    ("parameters", "device", "node"),
    [(2e9, "cpu", LARGE), (8e9, "cuda", LARGE), (1e9, "cpu", SMALL), (1e9, "cpu", None)],
)
def test_what_may_be_trained(parameters: float, device: str, node: Node | None) -> None:
    check_whole("org/one", base(parameters), device, [node] if node else [], "method")


@pytest.mark.parametrize(
    ("parameters", "device", "node", "words"),
    [
        (2.1e9, "cpu", LARGE, "has 2.1 billion parameters, and whole models are trained up to 2 billion on"),
        (9e9, "cuda", LARGE, "up to 8 billion on a GPU"),
        (1.9e9, "cpu", SMALL, "at least 14.2 GiB, and there are 8.0 GiB"),
    ],
)
def test_what_is_too_large(parameters: float, device: str, node: Node, words: str) -> None:
    with pytest.raises(UnsupportedParameter, match=words) as raised:
        check_whole("org/one", base(parameters), device, [node], "hyperparameters.method")
    assert raised.value.param == "hyperparameters.method"


def test_a_name_that_nothing_could_bear() -> None:
    check_length("x" * 128)
    with pytest.raises(InvalidRequest, match="longer than the 128 characters"):
        check_length("x" * 129)
