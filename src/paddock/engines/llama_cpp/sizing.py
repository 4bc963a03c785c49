"""How much of the machine one engine takes: context, slots and threads."""

from __future__ import annotations

from pathlib import Path

from paddock.engines.engine import EngineOptions
from paddock.engines.machine import available_cores, memory_size
from paddock.errors import StartupError
from paddock.weights.gguf_header import read_header
from paddock.weights.needs import choose_slots, choose_threads

DEFAULT_CONTEXT = 8192
# A batch cannot be interrupted: while it runs nobody gets a token and no caller who left is noticed.
BATCH = 256
BATCH_WITH_EMBEDDINGS = 512


def size_engine(
    weights: Path,
    alias: str,
    api_key: str,
    *,
    context_length: int = 0,
    slots: int = 0,
    threads: int = 0,
    embeddings: bool = False,
    gateways: int = 1,
    gpus: tuple[int, ...] = (),
    adapters: tuple[Path, ...] = (),
) -> EngineOptions:
    """Options for serving the GGUF file `weights`. A 0 is chosen here, as documented in the settings.

    With `embeddings` a model that generates text also embeds it, up to 512 tokens; prompts then cost
    a fifth more (measured with a vocabulary of 49k). A model made for embeddings serves them in any case.

    Raises:
        StartupError: not a GGUF file, or more context than the model was made for.
    """
    header = read_header(weights)
    if context_length > header.context_length:
        raise StartupError(
            f"{weights.name} was made for {header.context_length} tokens of context, not {context_length}"
        )
    length = context_length or min(header.context_length, DEFAULT_CONTEXT)
    return EngineOptions(
        weights=weights,
        alias=alias,
        api_key=api_key,
        context_length=length,
        slots=slots or choose_slots(header.cache_bytes, length, memory_size()),
        threads=threads or choose_threads(header.size, available_cores()),
        batch=length if header.embeds else BATCH_WITH_EMBEDDINGS if embeddings else BATCH,
        embeddings=embeddings or header.embeds,
        generates=not header.embeds,
        gateways=gateways,
        gpus=gpus,
        adapters=adapters,
    )
