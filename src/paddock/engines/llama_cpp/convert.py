"""From a checkpoint folder to a GGUF file in the cache: converted once, found by content ever after."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from paddock.engines.llama_cpp.fingerprint import fingerprint_file
from paddock.errors import StartupError

# Raise it when the writer writes something else for the same checkpoint.
WRITER_VERSION = 1
SMALL_FILES = (
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
)
SPARE = 64 * 1024 * 1024

Progress = Callable[[int, int], None]


def convert(folder: Path, cache: Path, weights_type: str = "auto", progress: Progress | None = None) -> Path:
    """The GGUF file of the checkpoint in `folder`, written into the folder `cache` unless it is there
    already.

    Blocks for as long as it takes: about a second for each gigabyte, the first time. `progress` is called
    with (bytes done, bytes in total), never when nothing needs to be written. Processes that convert the same
    checkpoint wait for each other; a file in the cache is always complete.

    Raises:
        StartupError: the checkpoint cannot be converted, or the cache cannot be written; says why.
    """
    if not folder.is_dir():
        raise StartupError(f"there is no folder {folder}")
    try:
        cache.mkdir(parents=True, exist_ok=True)
        target = cache / f"{_key(folder, cache, weights_type)}.gguf"
        if not target.exists():
            with _locked(target.with_suffix(".lock")):
                if not target.exists():
                    _write(folder, target, weights_type, progress)
    except OSError as error:
        reason = "the disk is full" if error.errno == errno.ENOSPC else str(error)
        raise StartupError(f"cannot convert {folder} into {cache}: {reason}") from error
    return target


def _key(folder: Path, cache: Path, weights_type: str) -> str:
    digest = hashlib.sha256(f"{WRITER_VERSION} {weights_type}\n".encode())
    for file in [*(folder / name for name in SMALL_FILES), *_weights(folder)]:
        if file.is_file():
            digest.update(f"{file.name} {fingerprint_file(file, cache)}\n".encode())
    return f"{_readable(folder)}-{digest.hexdigest()[:20]}"


def _weights(folder: Path) -> list[Path]:
    """Without a second copy that some repositories hold in a layout of their maker's own."""
    return sorted(file for file in folder.glob("*.safetensors") if not file.name.startswith("consolidated"))


def _readable(folder: Path) -> str:
    """Only for whoever looks into the cache: the folder's name, as far as it makes a safe file name."""
    name = "".join(c if c.isascii() and (c.isalnum() or c in "-_.") else "-" for c in folder.resolve().name)
    return name[:40].strip(".") or "model"


def _write(folder: Path, target: Path, weights_type: str, progress: Progress | None) -> None:
    # numpy and gguf take a fifth of a second to import, which a start with a warm cache must not pay.
    from paddock.engines.llama_cpp.gguf.writer import write_gguf

    part = target.with_suffix(".part")
    needed = sum(file.stat().st_size for file in _weights(folder)) + SPARE
    free = shutil.disk_usage(target.parent).free
    if free < needed:
        raise StartupError(
            f"converting {folder} needs up to {needed >> 20} MiB in {target.parent}, "
            f"but only {free >> 20} MiB are free"
        )
    try:
        write_gguf(folder, part, weights_type, progress)
        with part.open("rb+") as stream:
            os.fsync(stream.fileno())
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
