"""What the small JSON files of a checkpoint say."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from paddock.errors import StartupError


def read_json(folder: Path, name: str, required: bool = False) -> dict[str, Any]:
    """A JSON object from the checkpoint, empty when the file is not there.

    Raises:
        StartupError: it is required and missing, cannot be read, or is no JSON object.
    """
    try:
        value = json.loads((folder / name).read_bytes())
    except FileNotFoundError:
        if required:
            hint = ""
            if name == "tokenizer.json":
                hint = "; transformers makes one: AutoTokenizer.from_pretrained(x).save_pretrained(x)"
            raise StartupError(f"{folder} has no {name}, which a checkpoint needs{hint}") from None
        return {}
    except OSError as error:
        raise StartupError(f"cannot read {folder / name}: {error.strerror}") from error
    except ValueError as error:
        raise StartupError(f"{folder / name} is not valid JSON: {error}") from error
    if not isinstance(value, dict):
        raise StartupError(f"{folder / name} must hold a JSON object")
    return value


def context_length(config: Mapping[str, Any]) -> int:
    """Tokens that the model was made for. Where attention slides it is the window, within which llama.cpp,
    that attends to everything in the architectures that Paddock converts, gives the same.

    Raises:
        KeyError, TypeError, ValueError: `config.json` does not say.
    """
    length = int(config["max_position_embeddings"])
    window = config.get("sliding_window")
    slides = "sliding_attention" in (config.get("layer_types") or []) or (
        config.get("use_sliding_window", True) and not config.get("layer_types")
    )
    return min(length, int(window)) if window and slides else length
