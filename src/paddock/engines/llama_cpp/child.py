"""The process that holds the wheel: `python -m paddock.engines.llama_cpp.child`, with llama-server's flags.

It imports the wheel and the standard library only, so that it is ready as soon as the weights are.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any

import xllamacpp

Setter = Callable[[Any, str], None]


def _whole(name: str) -> Setter:
    return lambda params, value: setattr(params, name, int(value))


def _threads(params: Any, value: str) -> None:
    params.cpuparams.n_threads = int(value)
    params.cpuparams_batch.n_threads = int(value)


def _model(params: Any, value: str) -> None:
    params.model.path = value


def _pooling(params: Any, value: str) -> None:
    params.pooling_type = getattr(xllamacpp.llama_pooling_type, f"LLAMA_POOLING_TYPE_{value.upper()}")


def _adapters(params: Any, value: str) -> None:
    scaled = [item.rpartition(":") for item in value.split(",")]
    params.lora_adapters = [xllamacpp.CommonAdapterLoraInfo(path, float(scale)) for path, _, scale in scaled]


VALUES: dict[str, Setter] = {
    "--model": _model,
    "--alias": lambda params, value: setattr(params, "model_alias", {value}),
    "--host": lambda params, value: setattr(params, "hostnames", [value]),
    "--port": _whole("port"),
    "--ctx-size": _whole("n_ctx"),
    "--parallel": _whole("n_parallel"),
    "--threads": _threads,
    "--batch-size": _whole("n_batch"),
    "--ubatch-size": _whole("n_ubatch"),
    "--cache-ram": _whole("cache_ram_mib"),
    "--threads-http": _whole("n_threads_http"),
    "--log-verbosity": _whole("verbosity"),
    "--pooling": _pooling,
    "--lora-scaled": _adapters,
}
SWITCHES: dict[str, tuple[str, bool]] = {
    "--jinja": ("use_jinja", True),
    "--metrics": ("endpoint_metrics", True),
    "--embeddings": ("embedding", True),
    "--no-webui": ("ui", False),
    "--no-cache-prompt": ("cache_prompt", False),
    "--no-prefill-assistant": ("prefill_assistant", False),
}


def parse(arguments: Sequence[str], key: str | None) -> Any:
    """llama-server's flags as the wheel's `CommonParams`. Unknown ones end the process."""
    params = xllamacpp.CommonParams()
    rest = list(arguments)
    while rest:
        flag = rest.pop(0)
        if flag in SWITCHES:
            setattr(params, *SWITCHES[flag])
        elif flag in VALUES and rest:
            VALUES[flag](params, rest.pop(0))
        else:
            raise SystemExit(f"unknown flag, or one without its value: {flag}")
    params.api_keys = [key] if key else []
    return params


def main() -> None:
    # SIGTERM ends the process as any other: whoever sends it has drained the engine before.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal is the server's to handle
    params = parse(sys.argv[1:], os.environ.pop("LLAMA_API_KEY", None))
    try:
        server = xllamacpp.Server(params)
    except Exception as error:  # the wheel raises bare exceptions; the log has the reason already
        raise SystemExit(f"llama.cpp could not start: {error}") from None
    del params
    while server:
        signal.pause()


if __name__ == "__main__":
    main()
