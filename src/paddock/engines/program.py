"""An engine with a model, as a runner runs it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from paddock.engines.engine import AdapterFile, Progress, Report, Site
from paddock.engines.llama_cpp.adapters import check_adapters
from paddock.engines.llama_cpp.launch import choose_engine
from paddock.engines.llama_cpp.prepare import PreparedEngine, gguf_file, sampling
from paddock.engines.llama_cpp.sizing import size_engine
from paddock.errors import StartupError
from paddock.weights.facts import describe
from paddock.weights.needs import memory_needed
from paddock.weights.resolve import Weights, resolve


@dataclass(frozen=True)
class EngineProgram:
    """A model on an engine. A 0 is chosen on the machine that runs it.

    Attributes:
        model: what `weights.resolve` takes.
        alias: the `model` in the engine's answers.
        engine: `llama.cpp`.
        llama_server: a native `llama-server` to use instead of the wheel.
        context_length: tokens, for each request.
        slots: requests decoded at once.
        weights_type: of converted weights: `auto`, `F16`, `BF16`, `Q8_0`.
        embeddings: whether a model that generates text makes embeddings too.
        gateways: processes that will send requests.
        gpus: indices of the GPUs that it may use, on the machine that runs it.
        adapters: LoRA adapters of the model, which lie on that machine already.
    """

    model: str
    alias: str
    api_key: str = field(repr=False)
    engine: str = "llama.cpp"
    llama_server: Path | None = None
    context_length: int = 0
    slots: int = 0
    threads: int = 0
    weights_type: str = "auto"
    embeddings: bool = False
    gateways: int = 1
    gpus: tuple[int, ...] = ()
    adapters: tuple[AdapterFile, ...] = ()

    @property
    def name(self) -> str:
        return self.engine

    def prepare(self, site: Site, report: Report) -> PreparedEngine:
        """See `Program.prepare`; `facts` are those of `PreparedEngine`.

        Raises:
            StartupError: the weights are not to be had, cannot be converted or do not fit the options, or an
                adapter does not fit them.
        """
        if self.engine != "llama.cpp":
            raise StartupError(f"engine {self.engine!r} is not known; known is llama.cpp")
        weights = resolve(
            self.model,
            lambda done, total: report(Progress("fetching", done, total)),
            site.data_dir / "models",
        )
        file = gguf_file(weights, site.data_dir, self.weights_type, report)
        adapters_size = check_adapters(self.adapters, file)
        options = size_engine(
            file,
            self.alias,
            self.api_key,
            context_length=self.context_length,
            slots=self.slots,
            threads=self.threads,
            embeddings=self.embeddings,
            gateways=self.gateways,
            gpus=self.gpus,
            adapters=tuple(adapter.path for adapter in self.adapters),
        )
        facts = describe(Weights(self.alias, "gguf", file))
        memory = memory_needed(facts, options.context_length, options.slots) + adapters_size
        ids = tuple(adapter.id for adapter in self.adapters)
        return PreparedEngine(choose_engine(self.llama_server), options, sampling(weights), memory, ids)
