"""What a model needs of a machine: memory, threads, and how many requests at once it is given room for."""

from __future__ import annotations

from paddock.weights.facts import ModelFacts

MOST_SLOTS = 16
# The attention cache is allocated at the start, whole: a slot is paid for even while it is idle.
CACHE_SHARE = 8
LARGEST_CACHE = 4 * 1024**3
WEIGHTS_FOR_A_THREAD = 32 * 1024**2
OVERHEAD = 192 * 1024**2
"""Bytes of an engine beside weights and cache: its code, buffers of a batch, connections."""


def choose_slots(cache_bytes: int, context_length: int, memory: int) -> int:
    """As many full contexts as fit into an eighth of the memory (at most 4 GiB), between 1 and 16."""
    room = min(memory // CACHE_SHARE, LARGEST_CACHE)
    return max(1, min(MOST_SLOTS, room // max(1, cache_bytes * context_length)))


def choose_threads(size: int, cores: int) -> int:
    """A thread for every 32 MiB of weights, as far as there are cores.

    The threads wait for each other, spinning, hundreds of times for each token. Where another process has a
    core that costs more than a small model gains: on two cores that were busy otherwise the bundled one made
    500 tokens/s with one thread, and less than one with two.
    """
    return max(1, min(cores, size // WEIGHTS_FOR_A_THREAD))


def memory_needed(facts: ModelFacts, context_length: int, slots: int) -> int:
    """Bytes that one engine takes with so many slots of so much context."""
    return facts.size + facts.cache_bytes * context_length * slots + OVERHEAD
