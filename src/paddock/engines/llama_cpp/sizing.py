"""How much of the machine one engine takes: context, slots and threads."""

from __future__ import annotations

import os
from pathlib import Path

from paddock.engines.engine import EngineOptions
from paddock.engines.llama_cpp.gguf.header import Header, read_header
from paddock.errors import StartupError

DEFAULT_CONTEXT = 8192
MOST_SLOTS = 16
# The attention cache is allocated at the start, whole: a slot is paid for even while it is idle.
CACHE_SHARE = 8
LARGEST_CACHE = 4 * 1024**3
# A batch cannot be interrupted: while it runs nobody gets a token and no caller who left is noticed.
BATCH = 256
BATCH_WITH_EMBEDDINGS = 512
WEIGHTS_FOR_A_THREAD = 32 * 1024**2


def size_engine(
    weights: Path,
    alias: str,
    api_key: str,
    *,
    context_length: int = 0,
    slots: int = 0,
    threads: int = 0,
    embeddings: bool = False,
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
        slots=slots or choose_slots(header, length, memory_size()),
        threads=threads or choose_threads(weights.stat().st_size, available_cores()),
        batch=length if header.embeds else BATCH_WITH_EMBEDDINGS if embeddings else BATCH,
        embeddings=embeddings or header.embeds,
        generates=not header.embeds,
    )


def choose_slots(header: Header, context_length: int, memory: int) -> int:
    """As many full contexts as fit into an eighth of the memory (at most 4 GiB), between 1 and 16."""
    room = min(memory // CACHE_SHARE, LARGEST_CACHE)
    return max(1, min(MOST_SLOTS, room // max(1, header.cache_bytes * context_length)))


def choose_threads(size: int, cores: int) -> int:
    """A thread for every 32 MiB of weights, as far as there are cores.

    The threads wait for each other, spinning, hundreds of times for each token. Where another process has a
    core that costs more than a small model gains: on two cores that were busy otherwise the bundled one made
    500 tokens/s with one thread, and less than one with two.
    """
    return max(1, min(cores, size // WEIGHTS_FOR_A_THREAD))


def memory_size() -> int:
    """Bytes of memory that this process may use: the machine's, or less in a container."""
    size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for limit in (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes")):
        try:
            size = min(size, int(limit.read_text()))
        except (OSError, ValueError):
            continue
    return size


def available_cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS
        return os.cpu_count() or 1
