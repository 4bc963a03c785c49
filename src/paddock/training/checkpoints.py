"""Checkpoints, whole or not there whatever is killed: a folder gets its name once it is on the disk."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

import torch

_STATE = "state.pt"
_PARTIAL = ".partial"
_KEPT = 2


def save(folder: Path, step: int, state: dict[str, Any]) -> str:
    """Writes `state` (tensors and plain values) and removes all but the newest; the folder's name.

    Raises:
        OSError: above all a full disk; what was there before is still there.
    """
    name = f"step-{step:08}"
    partial = folder / f"{name}{_PARTIAL}"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        with (partial / _STATE).open("wb") as file:
            torch.save(state, file)
        publish(partial, folder / name)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    for old in _names(folder)[:-_KEPT]:
        shutil.rmtree(folder / old, ignore_errors=True)
    return name


def newest(folder: Path, recipe: dict[str, Any]) -> dict[str, Any] | None:
    """The state of the newest checkpoint that can be read and whose `recipe` is this one; None without."""
    for stale in folder.glob(f"*{_PARTIAL}"):
        shutil.rmtree(stale, ignore_errors=True)
    for name in reversed(_names(folder)):
        try:
            state: dict[str, Any] = torch.load(folder / name / _STATE, map_location="cpu", weights_only=True)
        except Exception as error:
            # A damaged archive shows as one of many exceptions.
            print(f"checkpoint {name} cannot be read: {error}", file=sys.stderr)
            continue
        if state.get("recipe") == recipe:
            return state
        print(f"checkpoint {name} is another recipe's", file=sys.stderr)
    return None


def publish(partial: Path, path: Path) -> None:
    """Gives the folder `partial` its name once all of it is on the disk, in place of one that was there."""
    for each in sorted(partial.rglob("*")):
        if each.is_file():
            _sync(each)
    _sync(partial)
    if path.exists():
        shutil.rmtree(path)
    partial.rename(path)
    _sync(path.parent)


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("step-*") if not path.name.endswith(_PARTIAL))


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
