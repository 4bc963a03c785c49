"""Downloads from the Hugging Face hub, or a mirror of it, into the hub library's own cache.

It is imported when it is needed: the library takes a second to import.
"""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Literal, NamedTuple

import httpx2
from huggingface_hub import HfApi, constants, snapshot_download, try_to_load_from_cache
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils.tqdm import disable_progress_bars, tqdm

from paddock.errors import StartupError
from paddock.weights.gguf_header import SHARD

CHECKPOINT = ["*.safetensors", "*.json", "*.jinja", "tokenizer.model"]
PATIENCE = 10.0
# Copies of the weights in a layout of their makers' own.
DUPLICATES = ["consolidated*", "original/*"]

Progress = Callable[[int, int], None]


class Offer(NamedTuple):
    """What the hub offers under an id. `size`: bytes of weights to download, 0 if the hub does not say."""

    name: str
    size: int
    kind: Literal["checkpoint", "gguf"]


def look_up(repo: str, revision: str | None, variant: str | None) -> Offer:
    """What would be fetched; asks the hub, for 10 seconds at most, and downloads nothing.

    Raises:
        StartupError: no such repository, no access, no network, or nothing in it can be served.
    """
    try:
        files = _list(repo, revision)
    except (httpx2.TransportError, ConnectionError) as error:
        raise StartupError(_without_network(repo, error)) from error
    wanted = _choose(list(files), repo, variant)
    weights = [name for name in _filter(files, wanted) if name.endswith((".safetensors", ".gguf"))]
    kind: Literal["checkpoint", "gguf"] = "checkpoint" if wanted is CHECKPOINT else "gguf"
    return Offer(_name(repo, variant, kind), sum(files[name] for name in weights), kind)


def find_cached(repo: str, revision: str | None, variant: str | None) -> tuple[str, Path] | None:
    """(name, folder or file) of a model that is in the cache, whole; None if it is not. Asks nobody."""
    try:
        # Named, because the library counts what we never download (README, pickles) as missing.
        spellings = {variant, variant.upper(), variant.lower()} if variant else set()
        patterns = [f"*{spelling}*" for spelling in spellings] or CHECKPOINT
        folder = snapshot_download(
            repo,
            revision=revision,
            allow_patterns=patterns,
            ignore_patterns=DUPLICATES,
            local_files_only=True,
        )
        return _found(Path(folder), repo, variant)
    except (OSError, ValueError, StartupError):
        return None


def fetch_model(
    repo: str, revision: str | None, variant: str | None, progress: Progress | None = None
) -> tuple[str, Path]:
    """(name, folder of a checkpoint or GGUF file), after downloading what the cache lacks.

    `variant` chooses among GGUF files: a file's name, or a part of it such as `Q4_K_M`. Without the network
    a model that is in the cache is served from there. `progress` is called with (bytes there, bytes in
    total), from several threads; what it raises ends the download. Without it a terminal shows bars.

    Raises:
        StartupError: no such repository, no access, no network, or nothing in it can be served.
    """
    try:
        files = _list(repo, revision)
    except (httpx2.TransportError, ConnectionError) as error:
        if found := find_cached(repo, revision, variant):
            return found
        raise StartupError(_without_network(repo, error)) from error
    wanted = _choose(list(files), repo, variant)
    try:
        folder = snapshot_download(
            repo,
            revision=revision,
            allow_patterns=wanted,
            ignore_patterns=DUPLICATES,
            tqdm_class=_bars(repo, revision, _filter(files, wanted), progress),
        )
    except (httpx2.TransportError, ConnectionError, LocalEntryNotFoundError) as error:
        raise StartupError(_without_network(repo, error)) from error
    except HfHubHTTPError as error:
        raise StartupError(_explain(error, repo, revision)) from error
    except OSError as error:
        raise StartupError(f"cannot store {repo} in {constants.HF_HUB_CACHE}: {error}") from error
    return _found(Path(folder), repo, variant)


def _list(repo: str, revision: str | None) -> dict[str, int]:
    """The sizes of a repository's files by their names, 0 where the hub does not say.

    Raises:
        StartupError: no such repository, or no access.
        ConnectionError, httpx2.TransportError: the hub cannot be reached.
    """
    try:
        # Unlike list_repo_files this does not retry for half a minute when there is no network.
        info = HfApi().model_info(repo, revision=revision, timeout=PATIENCE, files_metadata=True)
    except HfHubHTTPError as error:
        raise StartupError(_explain(error, repo, revision)) from error
    return {sibling.rfilename: sibling.size or 0 for sibling in info.siblings or []}


def _filter(files: dict[str, int], wanted: list[str]) -> dict[str, int]:
    """Those of the files that the library downloads for these patterns."""

    def fits(name: str, patterns: list[str]) -> bool:
        return any(fnmatch(name, pattern) for pattern in patterns)

    return {n: size for n, size in files.items() if fits(n, wanted) and not fits(n, DUPLICATES)}


def _bars(
    repo: str, revision: str | None, files: dict[str, int], progress: Progress | None
) -> type[tqdm] | None:
    """A class of progress bars that draws nothing and reports the bytes instead."""
    if progress is None:
        if not sys.stderr.isatty():
            disable_progress_bars()
        return None
    report, total, lock = progress, sum(files.values()), threading.Lock()
    done = sum(
        size
        for name, size in files.items()
        if isinstance(try_to_load_from_cache(repo, name, revision=revision), str)
    )

    class Bars(tqdm):
        def __init__(self, *args: Any, **options: Any) -> None:
            # One of its bars counts bytes on the disk, the others bytes of the network, or files.
            self._counts = options.get("name") == "huggingface_hub.snapshot_download"
            super().__init__(*args, **{**options, "disable": True})  # type: ignore[no-untyped-call]

        def update(self, n: float | None = 1) -> None:
            nonlocal done
            if self._counts and n:
                with lock:
                    done += int(n)
                report(min(done, total) if total else done, total)

    return Bars


def _choose(names: list[str], repo: str, variant: str | None) -> list[str]:
    """What to download of a repository that holds the files `names`: their names, or patterns."""
    top = [name for name in names if "/" not in name]
    if variant is None and "config.json" in top and any(name.endswith(".safetensors") for name in top):
        return CHECKPOINT
    return _choose_gguf([name for name in names if name.endswith(".gguf")], names, repo, variant)


def _choose_gguf(ggufs: list[str], names: list[str], repo: str, variant: str | None) -> list[str]:
    first = [name for name in ggufs if not SHARD.search(name) or "-00001-of-" in name]
    first = [name for name in first if not Path(name).name.startswith("mmproj")]
    if variant:
        exact = [name for name in first if name == variant]
        first = exact or [name for name in first if _has_part(name, variant)]
    if len(first) == 1:
        stem = SHARD.sub("", first[0])
        return [
            name for name in ggufs if name == first[0] or (SHARD.search(name) and SHARD.sub("", name) == stem)
        ]
    if not ggufs:
        pickles = any(name.endswith((".bin", ".pth")) for name in names)
        hint = ": only PyTorch pickles, which can run code when read" if pickles else ""
        raise StartupError(f"{repo} holds neither safetensors nor GGUF files{hint}")
    choices = ", ".join(sorted(first or ggufs)[:12])
    what = f"{variant!r} fits {len(first)}" if variant else f"it holds {len(first)}"
    raise StartupError(f"choose one of the GGUF files of {repo} with {repo}:FILE ({what}): {choices}")


def _has_part(name: str, part: str) -> bool:
    return re.search(rf"(^|[-_./]){re.escape(part)}([-_./]|$)", name, re.IGNORECASE) is not None


def _found(folder: Path, repo: str, variant: str | None) -> tuple[str, Path]:
    names = [str(file.relative_to(folder)) for file in sorted(folder.rglob("*")) if file.is_file()]
    wanted = _choose(names, repo, variant)
    if wanted is CHECKPOINT:
        return repo, folder
    return _name(repo, variant, "gguf"), folder / min(wanted)


def _name(repo: str, variant: str | None, kind: str) -> str:
    return f"{repo}:{variant}" if variant and kind == "gguf" else repo


def _without_network(repo: str, cause: Exception) -> str:
    cache = constants.HF_HUB_CACHE
    if constants.HF_HUB_OFFLINE:
        return (
            f"{repo} is not in the cache {cache}, and HF_HUB_OFFLINE forbids to download it. "
            "Unset HF_HUB_OFFLINE, or give the path of a folder or .gguf file"
        )
    return (
        f"cannot reach {constants.ENDPOINT} to download {repo} ({cause}), and the cache {cache} has no copy. "
        f"Either set HF_ENDPOINT to a mirror that you can reach, or run `hf download {repo}` on a machine "
        "with internet and give the path of the folder here, or serve `foal`, which needs no download"
    )


def _explain(error: HfHubHTTPError, repo: str, revision: str | None) -> str:
    where, log_in = constants.ENDPOINT, "log in with `hf auth login` or set HF_TOKEN"
    if isinstance(error, GatedRepoError):
        return f"{repo} is gated: accept its terms at {where}/{repo}, then {log_in}"
    if isinstance(error, RevisionNotFoundError):
        return f"{repo} has no revision {revision!r} at {where}"
    if isinstance(error, RepositoryNotFoundError):
        return f"{where} has no model {repo}, or it is private: then {log_in}"
    if error.response.status_code in (401, 403):
        return f"{where} has no model {repo}, or refuses access: then {log_in}"
    return f"{where} answered {error.response.status_code} for {repo}: {error}"
