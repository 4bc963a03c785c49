from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from paddock.errors import StartupError
from paddock.schemas.hardware import NodeHardware
from paddock.services.hardware import HardwareConfig, TypeConfig, parse_config

PAGE = Path(__file__).parents[3] / "docs" / "hardware.md"
GIB = 1024**3


def parse(text: str) -> HardwareConfig:
    return parse_config(tomllib.loads(text), "hardware.toml")


class TestParseConfig:
    def test_nothing_said(self) -> None:
        config = parse("")
        assert config == HardwareConfig(8, 0.1, "EUR", {})

    def test_the_example_of_the_page(self) -> None:
        (example,) = re.findall(r"```toml\n(.*?)```", PAGE.read_text("utf-8"), re.S)
        config = parse(example)
        assert (config.core_sharing, config.memory_reserve, config.currency) == (8, 0.1, "EUR")
        assert config.types == {
            "CPU_2": TypeConfig(price_per_hour=0.06),
            "NVIDIA_L4_1": TypeConfig(cores=8, memory=24 * GIB, price_per_hour=1.2),
            "CPU_1": TypeConfig(offer=False),
            "TRAINING": TypeConfig(gpu="NVIDIA L4", gpus=3, memory=64 * GIB, price_per_hour=3.6),
        }

    def test_every_key_is_on_the_page(self) -> None:
        rows = re.findall(r"^\| `(\w+)` \| [A-Z`]", PAGE.read_text("utf-8"), re.M)
        assert rows == list(TypeConfig.__dataclass_fields__)

    @pytest.mark.parametrize(
        ("text", "size"),
        [
            ("1024", 1024),
            ("'8GiB'", 8 * GIB),
            ("'1.5 GiB'", 3 * GIB // 2),
            ("'500MB'", 500_000_000),
            ("'1TiB'", 1024 * GIB),
            ("'64 B'", 64),
        ],
    )
    def test_sizes(self, text: str, size: int) -> None:
        assert parse(f"[types.CPU_1]\nmemory = {text}").types["CPU_1"].memory == size

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            (
                "core_sharin = 2",
                "unknown key core_sharin; known are core_sharing, memory_reserve, currency, types",
            ),
            ("core_sharing = 0.5", "core_sharing must be a number from 1 to 1000, not 0.5"),
            ("core_sharing = 1001", "core_sharing must be a number from 1 to 1000, not 1001"),
            ("core_sharing = true", "core_sharing must be a number from 1 to 1000, not True"),
            ("core_sharing = '8'", "core_sharing must be a number from 1 to 1000, not '8'"),
            ("memory_reserve = 1", "memory_reserve must be a share from 0 to less than 1, not 1"),
            ("memory_reserve = -0.1", "memory_reserve must be a share from 0 to less than 1, not -0.1"),
            ("memory_reserve = nan", "memory_reserve must be a share from 0 to less than 1, not nan"),
            ("currency = 'eur'", "currency must be a code of three capital letters, such as EUR, not 'eur'"),
            ("currency = 1", "currency must be a code of three capital letters"),
            ("types = 3", "types must be a table of hardware types, such as [types.CPU_2], not 3"),
            ("[[types]]", "types must be a table of hardware types"),
            ("[types]\nCPU_1 = 3", "types.CPU_1 must be a table, such as [types.CPU_1], not 3"),
            (
                "[types.'a b']",
                "a hardware type must be named with letters, digits, `_`, `-` and `.`, not 'a b'",
            ),
            ("[types.'']", "a hardware type must be named"),
            (
                "[types.CPU_1]\nprice = 3",
                "unknown key types.CPU_1.price; known are cores, memory, gpu, gpus, price_per_hour, offer",
            ),
            ("[types.CPU_1]\ncores = 0", "types.CPU_1.cores must be a whole number of at least 1, not 0"),
            ("[types.CPU_1]\ncores = 1.0", "types.CPU_1.cores must be a whole number of at least 1, not 1.0"),
            ("[types.CPU_1]\ncores = true", "types.CPU_1.cores must be a whole number"),
            (
                "[types.CPU_1]\nmemory = '8 gigs'",
                "types.CPU_1.memory must be bytes as a whole number, or a text such as '8GiB', not '8 gigs'",
            ),
            ("[types.CPU_1]\nmemory = 0", "types.CPU_1.memory must be bytes"),
            ("[types.CPU_1]\nmemory = '0GiB'", "types.CPU_1.memory must be bytes"),
            ("[types.CPU_1]\nmemory = 1.5", "types.CPU_1.memory must be bytes"),
            ("[types.X]\ngpu = ' '", "types.X.gpu must be a GPU's name, such as 'NVIDIA L4', not ' '"),
            ("[types.X]\ngpu = 4", "types.X.gpu must be a GPU's name"),
            ("[types.X]\ngpu = 'L4'\ngpus = 0", "types.X.gpus must be a whole number of at least 1, not 0"),
            ("[types.X]\ncores = 1\ngpus = 1", "types.X.gpus needs types.X.gpu, the GPU's name"),
            (
                "[types.CPU_1]\nprice_per_hour = -1",
                "types.CPU_1.price_per_hour must be a number of at least 0",
            ),
            (
                "[types.CPU_1]\nprice_per_hour = inf",
                "types.CPU_1.price_per_hour must be a number of at least 0",
            ),
            (
                "[types.CPU_1]\nprice_per_hour = '1'",
                "types.CPU_1.price_per_hour must be a number of at least 0",
            ),
            ("[types.CPU_1]\noffer = 'no'", "types.CPU_1.offer must be true or false, not 'no'"),
            (
                "[types.cpu_1]\nprice_per_hour = 1",
                "types.cpu_1 must say cores, or gpu, for it is a type of your own",
            ),
        ],
    )
    def test_what_is_wrong_is_said(self, text: str, reason: str) -> None:
        with pytest.raises(StartupError) as raised:
            parse(text)
        assert raised.value.message.startswith(f"hardware.toml: {reason}")

    @pytest.mark.parametrize("name", ["CPU_64", "NVIDIA_L4_1", "NVIDIA_H100_80GB_HBM3_8"])
    def test_a_detected_type_needs_no_facts(self, name: str) -> None:
        assert parse(f"[types.{name}]\nprice_per_hour = 2").types[name] == TypeConfig(price_per_hour=2)


class TestPromises:
    @pytest.mark.parametrize(
        ("changes", "cores", "memory"),
        [
            ({}, 16, 900),
            ({"core_sharing": 1, "memory_reserve": 0}, 2, 1000),
            ({"core_sharing": 1.75, "memory_reserve": 0.25}, 3, 750),
        ],
    )
    def test_of_a_node(self, changes: dict[str, Any], cores: int, memory: int) -> None:
        config, hardware = HardwareConfig(**changes), NodeHardware(2, 1000)
        assert (config.promised_cores(hardware), config.promised_memory(hardware)) == (cores, memory)
