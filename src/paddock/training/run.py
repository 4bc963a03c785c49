"""A task from its beginning to its end; importing this imports torch."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import torch
import torch.utils.deterministic
import transformers

from paddock.errors import JobFailed
from paddock.schemas.training import Said, Task
from paddock.training.loop import Run
from paddock.training.losses import check_packing
from paddock.training.model import device_of, load, load_tokenizer
from paddock.training.rows import read


def run(task: Task, folder: Path, say: Callable[[Said], None]) -> None:
    """
    Raises:
        JobFailed: with one of the codes of `schemas.training.Failed`.
    """
    recipe = task.recipe
    if recipe.patience and not task.validation:
        raise JobFailed("patience needs validation rows; set it to 0 without them", code="bad_rows")
    _settle(task.threads, recipe.seed)
    device = device_of(task.device)
    tokenizer = load_tokenizer(task.base)
    rows = read(Path(task.training), tokenizer, recipe.max_length, recipe.truncate)
    validation = (
        read(Path(task.validation), tokenizer, recipe.max_length, recipe.truncate) if task.validation else []
    )
    learner = load(task, device)
    if recipe.packing:
        check_packing(learner.base)
    learner.model.train()
    Run(task, folder, say, learner, tokenizer.pad_token_id or 0, rows, validation).run()


def _settle(threads: int, seed: int) -> None:
    """The same seed and number of threads gives the same numbers on the same machine."""
    torch.set_num_threads(threads or len(os.sched_getaffinity(0)))
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True, warn_only=True)
    # Nothing here reads memory that was never written.
    torch.utils.deterministic.fill_uninitialized_memory = False
    transformers.logging.disable_progress_bar()
