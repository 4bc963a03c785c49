"""What the machine has that this process runs on."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping
from typing import Any

from paddock.engines.machine import available_cores, memory_size
from paddock.schemas.hardware import Gpu, NodeHardware
from paddock.settings import visible_gpus

log = logging.getLogger(__name__)


def detect(environ: Mapping[str, str] | None = None, nvml: Any = None) -> NodeHardware:
    """Cores and memory that this process may use, and the NVIDIA GPUs, as far as CUDA may see them.

    Takes milliseconds without a GPU; asking a driver that sleeps may take seconds. A GPU that does not answer
    is left out, and so is one that is divided by MIG, for only a part of it can be had.

    Args:
        environ: where `CUDA_VISIBLE_DEVICES` is read; by default the process's own.
        nvml: the module to ask for GPUs; by default `pynvml`.
    """
    gpus = _gpus(nvml or _load_nvml(), visible_gpus(environ))
    return NodeHardware(available_cores(), memory_size(), gpus)


def _load_nvml() -> Any:
    # Importing it takes 25 ms, which commands that never look at the hardware must not pay.
    import pynvml

    return pynvml


def _gpus(nvml: Any, visible: str | None) -> tuple[Gpu, ...]:
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        log.debug("no NVIDIA GPUs: %s", error)
        return ()
    try:
        found = [_gpu(nvml, index, visible) for index in range(nvml.nvmlDeviceGetCount())]
    except nvml.NVMLError as error:
        log.debug("no NVIDIA GPUs: %s", error)
        return ()
    finally:
        with contextlib.suppress(nvml.NVMLError):
            nvml.nvmlShutdown()
    return tuple(gpu for gpu in found if gpu)


def _gpu(nvml: Any, index: int, visible: str | None) -> Gpu | None:
    try:
        handle = nvml.nvmlDeviceGetHandleByIndex(index)
        if visible is not None and not _is_visible(index, nvml.nvmlDeviceGetUUID(handle), visible):
            return None
        if _is_divided(nvml, handle):
            log.info("GPU %d is divided by MIG and not offered", index)
            return None
        return Gpu(index, nvml.nvmlDeviceGetName(handle), nvml.nvmlDeviceGetMemoryInfo(handle).total)
    except nvml.NVMLError as error:
        log.warning("GPU %d does not answer and is not offered: %s", index, error)
        return None


def _is_visible(index: int, uuid: str, visible: str) -> bool:
    # CUDA takes the beginning of a UUID for the whole.
    chosen = [name.strip() for name in visible.split(",")]
    return any(name == str(index) or (name.startswith("GPU-") and uuid.startswith(name)) for name in chosen)


def _is_divided(nvml: Any, handle: Any) -> bool:
    try:
        current, _ = nvml.nvmlDeviceGetMigMode(handle)
    except nvml.NVMLError:  # most GPUs, and old drivers, know no MIG
        return False
    return bool(current == nvml.NVML_DEVICE_MIG_ENABLE)
