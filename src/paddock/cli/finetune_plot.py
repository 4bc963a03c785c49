"""A picture of a fine-tune's losses in a file: HTML without any library, PNG by matplotlib."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from typing import Any, BinaryIO

from paddock.cli.files_written import new_file
from paddock.cli.finetune_losses import Losses
from paddock.cli.finetune_page import page
from paddock.errors import StartupError

JSON = dict[str, Any]
FORMATS = (".html", ".png")
_TRAINING, _VALIDATION = "#2f6fb7", "#d2691e"


def check_plot(path: Path | None, force: bool) -> None:
    """Finds before anything is done whether the picture could not be written then.

    Raises:
        StartupError: it could not; says why.
    """
    if path is None:
        if force:
            raise StartupError("--force is for --plot: give the file that may be replaced")
        return
    if path.suffix.lower() not in FORMATS:
        raise StartupError(f"--plot must end in {' or '.join(FORMATS)}, not {path.name!r}")
    if path.suffix.lower() == ".png" and importlib.util.find_spec("matplotlib") is None:
        raise StartupError(
            f"--plot {path} needs matplotlib: `pip install matplotlib`, or choose {path.with_suffix('.html')}"
        )
    if not path.parent.is_dir():
        raise StartupError(f"--plot {path}: there is no folder {path.parent}")
    if path.exists() and not force:
        raise StartupError(f"{path} is there already: choose another --plot, or use --force")


def write_plot(path: Path, job: JSON, losses: Losses) -> None:
    """The file is there whole, or not at all.

    Raises:
        PaddockError: it cannot be written.
    """
    with new_file(path) as file:
        if path.suffix.lower() == ".png":
            _draw_png(file, job, losses)
        else:
            file.write(page(job, losses).encode())


def _draw_png(file: BinaryIO, job: JSON, losses: Losses) -> None:
    # Not `pyplot`, which looks for a screen.
    figure = importlib.import_module("matplotlib.figure").Figure(figsize=(9, 5), dpi=120, layout="tight")
    axes = figure.add_subplot()
    for name, known, colour, mark in (
        ("training", losses.training, _TRAINING, ""),
        ("validation", losses.validation, _VALIDATION, "o"),
    ):
        if known:
            steps = sorted(known)
            axes.plot(steps, [known[step] for step in steps], color=colour, marker=mark, label=name)
    axes.set_xlabel("step")
    axes.set_ylabel("loss (nats a token)")
    axes.set_title(f"{job['id']}: {job['model']}", parse_math=False)
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(file, format="png")
