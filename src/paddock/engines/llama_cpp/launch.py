"""The two ways to start llama.cpp: the wheel in a Python process of ours, or a native `llama-server`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import ClassVar

from paddock.engines.engine import Engine, EngineOptions, Launch, Request
from paddock.errors import StartupError

LOOPBACK = "127.0.0.1"
ALL_LAYERS = "999"
KEY_VARIABLE = "LLAMA_API_KEY"  # llama-server's own name for it
PROMPT_CACHE_MIB = 256
# What separates paths and scales in llama-server's flag, which has no way to quote all of them.
SEPARATORS = ',:"'
SPARE_THREADS = 4  # for questions about its health, which must not wait
# Reads the chat template, which costs the first chat 20 ms. The weights are warm already.
WARM_UP = Request(
    "/v1/chat/completions", b'{"messages": [{"role": "user", "content": "a"}], "max_tokens": 1}'
)


class LlamaCppWheel:
    """The `xllamacpp` wheel: always there, but compiled without AVX-512 and without CUDA."""

    name = "llama.cpp"
    warm_up: ClassVar[Request | None] = WARM_UP

    def launch(self, options: EngineOptions, port: int, host: str = LOOPBACK) -> Launch:
        if options.gpus:
            raise StartupError(
                "the bundled llama.cpp runs on CPUs only; for GPUs set llama_server to a `llama-server` that"
                " was compiled with CUDA, or choose a hardware type without GPUs"
            )
        # -P: a file in the folder where the server was started must not shadow a module.
        argv = [sys.executable, "-P", "-m", "paddock.engines.llama_cpp.child", *flags(options, port, host)]
        return Launch(argv, {KEY_VARIABLE: options.api_key})


class LlamaServer:
    """A `llama-server` compiled for this machine."""

    name = "llama.cpp"
    warm_up: ClassVar[Request | None] = WARM_UP

    def __init__(self, binary: Path) -> None:
        self.binary = binary

    def launch(self, options: EngineOptions, port: int, host: str = LOOPBACK) -> Launch:
        env = {
            KEY_VARIABLE: options.api_key,
            # NVML counts along the PCI bus, CUDA by speed unless told.
            "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
            # Without a GPU of its own it must not see any: it would take memory that others were promised.
            "CUDA_VISIBLE_DEVICES": ",".join(map(str, options.gpus)),
        }
        offload = ["--n-gpu-layers", ALL_LAYERS] if options.gpus else []
        return Launch([str(self.binary), *flags(options, port, host), *offload], env)


def choose_engine(llama_server: Path | None) -> Engine:
    """The native server where one is set (`Settings.llama_server`), else the wheel."""
    return LlamaServer(llama_server) if llama_server else LlamaCppWheel()


def connections(slots: int) -> int:
    """Connections that one gateway process may have open: the engine has a thread for each, idle ones too."""
    return slots + 8


def flags(options: EngineOptions, port: int, host: str = LOOPBACK) -> list[str]:
    """llama-server's flags, which the wheel's child takes too: see `child.py`.

    Raises:
        StartupError: an adapter's path has a character that the flags cannot hold.
    """
    values: dict[str, str | int | None] = {
        "--model": str(options.weights),
        "--alias": options.alias,
        "--host": host,
        "--port": port,
        "--ctx-size": options.context_length * options.slots,
        "--parallel": options.slots,
        "--threads": options.threads,
        "--batch-size": options.batch,
        "--ubatch-size": options.batch,
        "--cache-ram": PROMPT_CACHE_MIB,
        "--threads-http": options.gateways * connections(options.slots) + SPARE_THREADS,
        "--log-verbosity": 1,  # errors: it warns about ordinary requests, and a log must not grow for ever
        "--jinja": None,
        "--metrics": None,
        "--no-webui": None,
        "--no-prefill-assistant": None,
    }
    if options.embeddings:
        values["--embeddings"] = None
        if options.generates:
            # Not `mean`: of texts of different lengths in one batch, llama.cpp takes it over a part only.
            values["--pooling"] = "last"
    if options.adapters:
        values |= _adapter_flags(options.adapters)
    return [
        text for flag, value in values.items() for text in ([flag] if value is None else [flag, str(value)])
    ]


def _adapter_flags(adapters: tuple[Path, ...]) -> dict[str, str | int | None]:
    """All with scale 0, so that a request without the field `lora` uses none: `--lora-init-without-apply`
    does not see to that (llama.cpp's issue 28674).

    What llama.cpp remembers of a prompt was computed with an adapter, and it forgets to compare them in two
    places (issue 26207): in its cache beside the slots, and where a request has no `lora`. So that cache is
    off, and a slot's own memory is used only for a request that asks with `cache_prompt`, which must then say
    in `lora` what it wants even if it wants none.
    """
    for path in adapters:
        if any(separator in str(path) for separator in SEPARATORS):
            raise StartupError(
                f"the path of an adapter must have none of the characters {SEPARATORS}: {path}"
            )
    return {
        "--lora-scaled": ",".join(f"{path}:0" for path in adapters),
        "--cache-ram": 0,
        "--no-cache-prompt": None,
    }
