"""Models by what a person types: the bundled one, a file, a folder, or an id of the Hugging Face hub."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Literal

from paddock.errors import StartupError

BUNDLED = {"foal": "paddock/foal", "paddock/foal": "paddock/foal"}
HUB_ID = re.compile(
    r"(?P<repo>[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(@(?P<revision>[^:@\s]+))?(:(?P<variant>[^:\s]+))?"
)


@dataclass(frozen=True)
class Model:
    """Weights with a name. `path` is the folder of a `checkpoint` (Hugging Face layout) or a `gguf` file."""

    name: str
    kind: Literal["checkpoint", "gguf"]
    path: Path


def resolve_model(text: str) -> Model:
    """The model that `text` means; a hub id is downloaded first, with a progress bar on a terminal.

    In this order: `foal` or `paddock/foal`, which come with the package; the path of a `.gguf` file or of a
    folder with a checkpoint; `org/name` of the hub, with `@revision` and, for a GGUF repository, `:Q4_K_M` or
    `:file.gguf`. Blocks while it downloads.

    Raises:
        StartupError: there is no such thing, or the hub cannot be asked; says what to do.
    """
    if text in BUNDLED:
        return _bundled(BUNDLED[text])
    path = Path(text).expanduser()
    if path.exists() or text.startswith((".", "/", "~")) or text.count("/") > 1:
        return _local(path)
    if match := HUB_ID.fullmatch(text):
        # The hub's library takes a second to import, which who serves a local model must not pay.
        from paddock.services.hub import fetch_model

        name, found = fetch_model(match["repo"], match["revision"], match["variant"])
        return Model(name, "gguf" if found.is_file() else "checkpoint", found)
    raise StartupError(
        f"there is no model {text!r}: it is neither a file nor a folder here. Take `foal`, "
        "the path of a .gguf file or of a checkpoint's folder, or a hub id such as Qwen/Qwen3-0.6B"
    )


def _bundled(name: str) -> Model:
    path = Path(str(files("paddock") / "bundled" / name.split("/")[1]))
    if not (path / "config.json").is_file():
        raise StartupError(
            f"the bundled model {name} is missing from this installation of Paddock; reinstall it"
        )
    return Model(name, "checkpoint", path)


def _local(path: Path) -> Model:
    if not path.exists():
        raise StartupError(f"there is no file or folder {path}")
    if path.is_file():
        if path.suffix != ".gguf":
            raise StartupError(f"{path} is no .gguf file; for a checkpoint give its folder")
        return Model(path.stem, "gguf", path.resolve())
    if (path / "config.json").is_file():
        return Model(path.resolve().name, "checkpoint", path.resolve())
    ggufs = sorted(path.glob("*.gguf"))
    if len(ggufs) == 1:
        return Model(ggufs[0].stem, "gguf", ggufs[0].resolve())
    if ggufs:
        raise StartupError(
            f"{path} holds {len(ggufs)} .gguf files; give the path of one: {ggufs[0].name}, ..."
        )
    raise StartupError(f"{path} holds no model: neither config.json with safetensors nor a .gguf file")
