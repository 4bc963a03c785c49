"""What comes of a fine-tune: an adapter as PEFT saves it, or a whole checkpoint."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from paddock.schemas.training import RESULT, Task
from paddock.training.checkpoints import publish
from paddock.training.model import Learner

_COPIED = (
    "tokenizer*",
    "chat_template*",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.*",
    "merges.txt",
    "*.model",
    "generation_config.json",
)


def save_result(learner: Learner, task: Task, best: dict[str, Tensor] | None, folder: Path) -> None:
    """Writes the folder `RESULT`, with the weights `best` where they are not the present ones.

    Raises:
        OSError, SafetensorError: above all a full disk.
    """
    if best is not None:
        set_weights(learner, best)
    partial = folder / f"{RESULT}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    if task.recipe.method == "lora":
        _save_adapter(learner.model, partial)
    else:
        _save_model(learner.base, Path(task.base), partial)
    publish(partial, folder / RESULT)


def set_weights(learner: Learner, weights: dict[str, Tensor]) -> None:
    with torch.no_grad():
        for name, weight in learner.trainable.items():
            weight.copy_(weights[name])


def _save_adapter(model: Any, folder: Path) -> None:
    # PEFT would ask the hub whether the base has the same embeddings.
    model.save_pretrained(folder, safe_serialization=True, save_embedding_layers=False)
    # Its model card names a folder of this machine and is empty otherwise.
    (folder / "README.md").unlink(missing_ok=True)


def _save_model(model: Any, base: Path, folder: Path) -> None:
    model.to(torch.bfloat16)
    model.config.use_cache = True
    model.save_pretrained(folder, safe_serialization=True)
    for pattern in _COPIED:
        for path in base.glob(pattern):
            if path.is_file():
                shutil.copyfile(path, folder / path.name)
