"""From weights on this machine to a llama.cpp that only needs a port."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paddock.engines.engine import Engine, EngineOptions, Health, Launch, Progress, Report
from paddock.engines.llama_cpp.convert import convert
from paddock.engines.llama_cpp.launch import connections
from paddock.engines.llama_cpp.reason import explain
from paddock.weights.resolve import Weights

_SAMPLING = {
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "min_p": "min_p",
    "repetition_penalty": "repeat_penalty",
}


@dataclass(frozen=True)
class PreparedEngine:
    """An engine and its options. `sampling`: the model's own defaults; `memory`: bytes that it will take;
    `adapters`: ids of those in the options, in that order.
    """

    engine: Engine
    options: EngineOptions
    sampling: dict[str, float]
    memory: int
    adapters: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        chosen = self.options
        gpus = f", GPUs {', '.join(map(str, chosen.gpus))}" if chosen.gpus else ""
        return (
            f"{self.engine.name} with {chosen.alias}: {chosen.slots} slots of {chosen.context_length} tokens,"
            f" threads: {chosen.threads}{gpus}"
        )

    @property
    def facts(self) -> dict[str, Any]:
        """`context_length`, `slots`, `connections` (that one gateway process may have open), `generates`,
        `embeds`, `sampling`, `memory`, `adapters` (the position of each by its id).
        """
        chosen = self.options
        return {
            "context_length": chosen.context_length,
            "slots": chosen.slots,
            "connections": connections(chosen.slots),
            "generates": chosen.generates,
            "embeds": chosen.embeddings,
            "sampling": self.sampling,
            "memory": self.memory,
            "adapters": {id: position for position, id in enumerate(self.adapters)},
        }

    @property
    def health(self) -> Health:
        return Health(self.options.api_key, warm_up=self.engine.warm_up)

    def launch(self, host: str, port: int) -> Launch:
        return self.engine.launch(self.options, port, host)

    def explain(self, lines: Sequence[str]) -> str:
        return explain(lines)


def gguf_file(weights: Weights, data_dir: Path, weights_type: str, report: Report) -> Path:
    """The weights as llama.cpp reads them, converted into `data_dir` if they are a checkpoint.

    Raises:
        StartupError: they cannot be converted; says why.
    """
    if weights.kind == "gguf":
        return weights.path

    def progress(done: int, total: int) -> None:
        report(Progress("converting", done, total))

    return convert(weights.path, data_dir / "gguf", weights_type, progress)


def sampling(weights: Weights) -> dict[str, float]:
    """The model's own sampling defaults, under the names that llama.cpp knows."""
    if weights.kind != "checkpoint":
        return {}
    with contextlib.suppress(OSError, ValueError):
        config = json.loads((weights.path / "generation_config.json").read_text("utf-8"))
        return {
            _SAMPLING[name]: float(config[name])
            for name in _SAMPLING.keys() & config.keys()
            if isinstance(config[name], int | float) and not isinstance(config[name], bool)
        }
    return {}
