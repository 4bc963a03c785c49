"""Which hardware type asked cores, memory and GPUs mean."""

from __future__ import annotations

from typing import Any

import pytest

from paddock.errors import InvalidRequest
from paddock.gateway.llm_engine.hardware import choose, read_quantity, read_resources, resource_state
from paddock.schemas.hardware import HardwareType

GIB = 2**30
CPUS = {f"CPU_{n}": HardwareType(f"CPU_{n}", n, n * 2 * GIB) for n in (1, 2, 4)}
GPUS = {
    "NVIDIA_A10G_1": HardwareType("NVIDIA_A10G_1", 4, 16 * GIB, "NVIDIA A10G", 1, 24 * GIB),
    "NVIDIA_A10G_2": HardwareType("NVIDIA_A10G_2", 8, 32 * GIB, "NVIDIA A10G", 2, 24 * GIB),
    "NVIDIA_A100_80GB_1": HardwareType(
        "NVIDIA_A100_80GB_1", 8, 64 * GIB, "NVIDIA A100-SXM4-80GB", 1, 80 * GIB
    ),
}


def chosen(
    asked: dict[str, Any], shards: int = 1, types: dict[str, HardwareType] | None = None
) -> str | None:
    return choose(read_resources(asked, shards), types or {**CPUS, **GPUS})


class TestQuantities:
    @pytest.mark.parametrize(
        ("text", "value"),
        [
            (2, 2),
            (1.5, 1.5),
            ("2", 2),
            ("500m", 0.5),
            ("24Gi", 24 * GIB),
            ("512Mi", 512 * 2**20),
            ("1.5Gi", 1.5 * GIB),
            ("4G", 4e9),
            ("100k", 1e5),
            ("1e9", 1e9),
            (" 8Gi ", 8 * GIB),
        ],
    )
    def test_kubernetes_units(self, text: Any, value: float) -> None:
        assert read_quantity(text, "memory", "…") == pytest.approx(value)

    @pytest.mark.parametrize(
        "text", ["", "much", "24GB", "-1", "0", 0, -5, True, None, [], "1e999", 10**400, "Gi", "1..2"]
    )
    def test_others_are_refused(self, text: Any) -> None:
        with pytest.raises(InvalidRequest) as caught:
            read_quantity(text, "memory", 'bytes, or text such as "24Gi"')
        assert caught.value.param == "memory"
        assert 'memory must be bytes, or text such as "24Gi", not' in caught.value.message


class TestChoose:
    @pytest.mark.parametrize(
        ("asked", "type"),
        [
            ({}, None),
            ({"cpus": 1}, "CPU_1"),
            ({"cpus": "1500m"}, "CPU_2"),
            ({"memory": "3Gi"}, "CPU_2"),
            ({"cpus": 1, "memory": "5Gi"}, "CPU_4"),
            ({"cpus": 8}, "NVIDIA_A10G_2"),
            ({"gpus": 0}, "CPU_1"),
            ({"gpus": 1}, "NVIDIA_A10G_1"),
            ({"gpus": 2}, "NVIDIA_A10G_2"),
            ({"gpus": 1, "gpu_type": "nvidia-ampere-a100e"}, "NVIDIA_A100_80GB_1"),
            ({"gpu_type": "nvidia-ampere-a10"}, "NVIDIA_A10G_1"),
            ({"gpus": 0, "gpu_type": "nvidia-ampere-a10"}, "CPU_1"),
        ],
    )
    def test_the_smallest_that_has_it_all(self, asked: dict[str, Any], type: str | None) -> None:
        assert chosen(asked) == type

    def test_shards_are_gpus(self) -> None:
        assert chosen({}, shards=2) == "NVIDIA_A10G_2"
        with pytest.raises(InvalidRequest) as caught:
            chosen({"gpus": 1}, shards=2)
        assert caught.value.param == "num_shards"

    @pytest.mark.parametrize(
        ("asked", "param"),
        [
            ({"cpus": 64}, "cpus"),
            ({"memory": "100Gi"}, "memory"),
            ({"gpus": 1}, "gpus"),
            ({"cpus": 1, "memory": "100Gi"}, "memory"),
            ({"gpu_type": "nvidia-hopper-h100-1g20gb"}, "gpus"),
        ],
    )
    def test_what_no_hardware_has(self, asked: dict[str, Any], param: str) -> None:
        with pytest.raises(InvalidRequest) as caught:
            chosen(asked, types=CPUS)
        assert caught.value.param == param
        assert "there is: CPU_1 with cpus 1, memory 2Gi; CPU_2" in caught.value.message

    def test_what_only_two_types_have_together(self) -> None:
        few = {"CPU_4": CPUS["CPU_4"], "BIG": HardwareType("BIG", 1, 100 * GIB)}
        with pytest.raises(InvalidRequest) as caught:
            chosen({"cpus": 4, "memory": "50Gi"}, types=few)
        assert "cpus 4, memory 50Gi" in caught.value.message


class TestResourceState:
    def test_it_is_the_types_unless_asked_in_other_words(self) -> None:
        state = resource_state(CPUS["CPU_2"], {})
        assert (state["cpus"], state["gpus"], state["memory"]) == (2, 0, "4096Mi")
        state = resource_state(CPUS["CPU_2"], {"cpus": "1500m", "memory": "3Gi", "storage": "1Gi"})
        assert (state["cpus"], state["memory"], state["storage"]) == ("1500m", "3Gi", "1Gi")

    @pytest.mark.parametrize(
        ("type", "kind"),
        [("NVIDIA_A10G_2", "nvidia-ampere-a10"), ("NVIDIA_A100_80GB_1", "nvidia-ampere-a100e")],
    )
    def test_gpus(self, type: str, kind: str) -> None:
        state = resource_state(GPUS[type], {})
        assert (state["gpus"], state["gpu_type"]) == (GPUS[type].gpus, kind)

    def test_a_gpu_that_the_dialect_has_no_name_for(self) -> None:
        l4 = HardwareType("NVIDIA_L4_1", 4, 16 * GIB, "NVIDIA L4", 1, 24 * GIB)
        assert resource_state(l4, {})["gpu_type"] is None

    def test_a_type_that_is_not_offered_any_more(self) -> None:
        assert resource_state(None, {})["cpus"] == 0
