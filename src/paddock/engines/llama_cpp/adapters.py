"""Adapters beside a model: whether they fit it, and what they take."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from paddock.engines.engine import AdapterFile
from paddock.errors import StartupError
from paddock.weights.gguf_header import read_header


def check_adapters(adapters: Sequence[AdapterFile], weights: Path) -> int:
    """Bytes that they take in memory, beside the model in the GGUF file `weights`.

    Raises:
        StartupError: one is not there, cut short or no adapter for this architecture; says which.
    """
    if not adapters:
        return 0
    ids = [adapter.id for adapter in adapters]
    twice = next((id for id in ids if ids.count(id) > 1), None)
    if twice is not None:
        raise StartupError(f"adapter {twice!r} is listed twice")
    architecture = read_header(weights).architecture
    return sum(_check(adapter, architecture) for adapter in adapters)


def _check(adapter: AdapterFile, architecture: str) -> int:
    # It takes a fifth of a second to import, which a start without adapters must not pay.
    from gguf import GGUFReader

    if not adapter.path.is_file():
        raise StartupError(f"adapter {adapter.id!r} is not there: there is no file {adapter.path}")
    try:
        fields = GGUFReader(adapter.path).fields
        kinds = [
            fields[name].contents() if name in fields else ""
            for name in ("general.type", "adapter.type", "general.architecture")
        ]
        size = adapter.path.stat().st_size
    except OSError as error:
        raise StartupError(f"adapter {adapter.id!r} cannot be read: {error.strerror}") from error
    except (ValueError, IndexError, KeyError, OverflowError) as error:
        raise StartupError(f"adapter {adapter.id!r} is not a complete GGUF file: {error}") from error
    if kinds[:2] != ["adapter", "lora"]:
        raise StartupError(
            f"adapter {adapter.id!r} is not a LoRA adapter: {adapter.path} holds something else"
        )
    if kinds[2] != architecture:
        raise StartupError(
            f"adapter {adapter.id!r} was made for architecture {kinds[2]!r}; this model's is {architecture!r}"
        )
    return size
