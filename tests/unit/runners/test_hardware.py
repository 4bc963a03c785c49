"""The driver is a stand-in with pynvml's functions and errors; the machine is this one."""

from __future__ import annotations

import logging
import subprocess
import sys
from dataclasses import dataclass, field
from typing import Any

import pytest

from paddock.engines.machine import available_cores, memory_size
from paddock.runners.hardware import detect
from paddock.schemas.hardware import Gpu

GIB = 1024**3
UUIDS = ["GPU-0a11", "GPU-0b22", "GPU-1c33"]


class NVMLError(Exception):
    pass


class NVMLErrorNotSupported(NVMLError):
    pass


@dataclass
class Memory:
    total: int


@dataclass
class Nvml:
    """The part of pynvml that is asked. `broken` names functions that fail, `lost` GPUs that are gone."""

    names: list[str] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)
    lost: set[int] = field(default_factory=set)
    divided: set[int] = field(default_factory=set)
    mig: bool = True
    open: int = 0

    NVMLError = NVMLError
    NVML_DEVICE_MIG_ENABLE = 1

    def nvmlInit(self) -> None:  # noqa: N802
        self.check("nvmlInit")
        self.open += 1

    def nvmlShutdown(self) -> None:  # noqa: N802
        self.open -= 1
        self.check("nvmlShutdown")

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        self.check("nvmlDeviceGetCount")
        return len(self.names)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:  # noqa: N802
        if index in self.lost:
            raise NVMLError("GPU is lost")
        return index + 100

    def nvmlDeviceGetUUID(self, handle: int) -> str:  # noqa: N802
        return UUIDS[handle - 100]

    def nvmlDeviceGetMigMode(self, handle: int) -> list[int]:  # noqa: N802
        if not self.mig:
            raise NVMLErrorNotSupported("Not Supported")
        return [int(handle - 100 in self.divided), 0]

    def nvmlDeviceGetName(self, handle: int) -> str:  # noqa: N802
        self.check("nvmlDeviceGetName")
        return self.names[handle - 100]

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> Memory:  # noqa: N802
        self.check("nvmlDeviceGetMemoryInfo")
        return Memory((handle - 99) * GIB)

    def check(self, name: str) -> None:
        if name in self.broken:
            raise NVMLError(f"{name} fails")


def gpus(nvml: Any, visible: str | None = None) -> list[int]:
    found = detect({} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}, nvml).gpus
    return [gpu.index for gpu in found]


class TestDetect:
    def test_what_this_process_may_use(self) -> None:
        hardware = detect({}, Nvml())
        assert (hardware.cores, hardware.memory) == (available_cores(), memory_size())
        assert hardware.gpus == ()

    @pytest.mark.parametrize("mig", [True, False])
    def test_gpus_as_the_driver_names_them(self, mig: bool) -> None:
        nvml = Nvml(["NVIDIA L4", "Tesla T4"], mig=mig)
        assert detect({}, nvml).gpus == (Gpu(0, "NVIDIA L4", GIB), Gpu(1, "Tesla T4", 2 * GIB))
        assert nvml.open == 0

    @pytest.mark.parametrize("broken", ["nvmlInit", "nvmlDeviceGetCount"])
    def test_a_driver_that_fails_means_no_gpus(self, broken: str, caplog: pytest.LogCaptureFixture) -> None:
        nvml = Nvml(["NVIDIA L4"], broken={broken})
        with caplog.at_level(logging.DEBUG, "paddock"):
            assert gpus(nvml) == []
        assert [(entry.levelname, entry.message) for entry in caplog.records] == [
            ("DEBUG", f"no NVIDIA GPUs: {broken} fails")
        ]
        assert nvml.open == 0

    def test_a_shutdown_that_fails_is_nobodys_concern(self) -> None:
        assert gpus(Nvml(["NVIDIA L4"], broken={"nvmlShutdown"})) == [0]

    def test_a_gpu_that_is_lost_takes_no_other_along(self, caplog: pytest.LogCaptureFixture) -> None:
        assert gpus(Nvml(["NVIDIA L4"] * 3, lost={1})) == [0, 2]
        assert "GPU 1 does not answer and is not offered: GPU is lost" in caplog.text

    @pytest.mark.parametrize("broken", ["nvmlDeviceGetName", "nvmlDeviceGetMemoryInfo"])
    def test_a_gpu_without_a_name_or_memory_of_its_own(self, broken: str) -> None:
        assert gpus(Nvml(["NVIDIA GB10"], broken={broken})) == []

    def test_a_divided_gpu_cannot_be_had_whole(self) -> None:
        assert gpus(Nvml(["NVIDIA A100-SXM4-80GB"] * 2, divided={0})) == [1]

    @pytest.mark.parametrize(
        ("visible", "left"),
        [
            (None, [0, 1, 2]),
            ("", []),
            ("-1", []),
            ("0", [0]),
            ("2, 1", [1, 2]),
            ("GPU-0b22", [1]),
            ("GPU-0", [0, 1]),
            ("GPU-1c,0", [0, 2]),
            ("7", []),
            ("MIG-1c33", []),
        ],
    )
    def test_what_cuda_may_not_see_is_not_offered(self, visible: str | None, left: list[int]) -> None:
        assert gpus(Nvml(["NVIDIA L4"] * 3), visible) == left

    def test_the_real_module_says_nothing_worse_than_no_gpus(self) -> None:
        assert all(gpu.memory > 0 and gpu.name for gpu in detect({}).gpus)

    def test_the_drivers_module_is_not_imported_before_it_is_asked(self) -> None:
        script = "import sys, paddock.runners.hardware; sys.exit('pynvml' in sys.modules)"
        assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
