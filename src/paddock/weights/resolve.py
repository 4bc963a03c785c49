"""Weights by what a person types: the bundled model, a file, a folder, or an id of the Hugging Face hub."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Literal

from paddock.errors import StartupError
from paddock.weights.gguf_header import SHARD

BUNDLED = {"foal": "paddock/foal", "paddock/foal": "paddock/foal"}
HUB = "hf://"
MODELS = "models://"
TUNED = "tuned://"
"""Before the id of a model that a fine-tune made."""
HUB_ID = re.compile(
    r"(?P<repo>[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(@(?P<revision>[^:@\s]+))?(:(?P<variant>[^:\s]+))?"
)
_TUNED_ID = re.compile(r"mdl-[0-9a-f]{16}")


@dataclass(frozen=True)
class Weights:
    """A model on this machine. `path`: a `checkpoint`'s folder (Hugging Face layout), or a `gguf` file."""

    name: str
    kind: Literal["checkpoint", "gguf"]
    path: Path


def resolve(
    text: str, progress: Callable[[int, int], None] | None = None, models: Path | None = None
) -> Weights:
    """The weights that `text` means; a hub id is downloaded first, see `hub.fetch_model` for `progress`.

    In this order: `foal` or `paddock/foal`, which come with the package; the path of a `.gguf` file or of a
    folder with a checkpoint; `org/name` of the hub, with `@revision` and, for a GGUF repository, `:Q4_K_M` or
    `:file.gguf`. Behind `hf://` it is the hub's in any case; `models://name` is what `list_models` finds in
    `models`, wherever that folder is, and `tuned://id` lies beside it, see `tuned_folder`. Blocks while it
    downloads.

    Raises:
        StartupError: there is no such thing, or the hub cannot be asked; says what to do.
    """
    if text in BUNDLED:
        return _bundled(BUNDLED[text])
    if text.startswith(MODELS):
        return _listed(text.removeprefix(MODELS), models)
    if text.startswith(TUNED):
        return _tuned(text.removeprefix(TUNED), models)
    id = text.removeprefix(HUB)
    path = _expand(text)
    if id == text and (path.exists() or text.startswith((".", "/", "~")) or text.count("/") > 1):
        return _local(path)
    if match := HUB_ID.fullmatch(id):
        # The hub's library takes a second to import, which who serves a local model must not pay.
        from paddock.weights.hub import fetch_model

        name, found = fetch_model(match["repo"], match["revision"], match["variant"], progress)
        return Weights(name, "gguf" if found.is_file() else "checkpoint", found)
    raise StartupError(
        f"there is no model {text!r}: it is neither a file nor a folder here. Take `foal`, "
        "the path of a .gguf file or of a checkpoint's folder, or a hub id such as Qwen/Qwen3-0.6B"
    )


def list_models(folder: Path) -> dict[str, Weights]:
    """The models in a folder by name: `<name>` or `<org>/<name>`, each a checkpoint's folder, a `.gguf` file
    (the name is without the ending) or, below an `<org>`, a folder with one such file.
    """
    found: dict[str, Weights] = {}
    for entry in _entries(folder):
        if (entry / "config.json").is_file():
            found[entry.name] = Weights(entry.name, "checkpoint", entry)
        elif entry.suffix == ".gguf":
            _add_gguf(found, "", entry)
        else:
            for inner in _entries(entry):
                _add_inner(found, f"{entry.name}/", inner)
    return found


def tuned_folder(models: Path, id: str) -> Path:
    """Where the checkpoint of a model that a fine-tune made lies on a machine that it was brought to.

    Args:
        models: the folder that `list_models` looks into.
    """
    return models.with_name("tuned-models") / id


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError:
        return []


def _add_inner(found: dict[str, Weights], org: str, path: Path) -> None:
    if path.suffix == ".gguf":
        _add_gguf(found, org, path)
    elif (path / "config.json").is_file():
        found[org + path.name] = Weights(org + path.name, "checkpoint", path)
    else:
        files = [file for file in _entries(path) if _starts_gguf(file)]
        if len(files) == 1:
            found[org + path.name] = Weights(org + path.name, "gguf", files[0])


def _add_gguf(found: dict[str, Weights], org: str, path: Path) -> None:
    if _starts_gguf(path):
        name = org + SHARD.sub("", path.name).removesuffix(".gguf")
        found.setdefault(name, Weights(name, "gguf", path))


def _starts_gguf(path: Path) -> bool:
    """Whether it is a GGUF file, or the first part of one; what belongs to pictures is no model."""
    shard = SHARD.search(path.name)
    return path.suffix == ".gguf" and (not shard or int(shard[1]) == 1) and not path.name.startswith("mmproj")


def _listed(name: str, folder: Path | None) -> Weights:
    found = list_models(folder) if folder else {}
    if name not in found:
        raise StartupError(f"there is no model {name!r} in {folder}; there are: {', '.join(found) or 'none'}")
    return found[name]


def _tuned(id: str, models: Path | None) -> Weights:
    if models is None or not _TUNED_ID.fullmatch(id):
        raise StartupError(f"there is no fine-tuned model {id!r}")
    path = tuned_folder(models, id)
    if not (path / "config.json").is_file():
        raise StartupError(f"the fine-tuned model {id} is not on this machine")
    return Weights(id, "checkpoint", path)


def _expand(text: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise StartupError(f"there is no home folder for {text}") from None


def _bundled(name: str) -> Weights:
    path = Path(str(files("paddock") / "bundled" / name.split("/")[1]))
    if not (path / "config.json").is_file():
        raise StartupError(
            f"the bundled model {name} is missing from this installation of Paddock; reinstall it"
        )
    return Weights(name, "checkpoint", path)


def _local(path: Path) -> Weights:
    if not path.exists():
        raise StartupError(f"there is no file or folder {path}")
    if path.is_file():
        if path.suffix != ".gguf":
            raise StartupError(f"{path} is no .gguf file; for a checkpoint give its folder")
        return Weights(path.stem, "gguf", path.absolute())
    if (path / "config.json").is_file():
        return Weights(path.resolve().name, "checkpoint", path.resolve())
    ggufs = sorted(path.glob("*.gguf"))
    if len(ggufs) == 1:
        return Weights(ggufs[0].stem, "gguf", ggufs[0].absolute())
    if ggufs:
        raise StartupError(
            f"{path} holds {len(ggufs)} .gguf files; give the path of one: {ggufs[0].name}, ..."
        )
    raise StartupError(f"{path} holds no model: neither config.json with safetensors nor a .gguf file")
