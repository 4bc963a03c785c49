"""Downloads from the Hugging Face hub, or a mirror of it, into the hub library's own cache.

Only `services.models` imports this, when it needs it: the library is slow to import.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import httpx2
from huggingface_hub import HfApi, constants, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils.tqdm import disable_progress_bars

from paddock.errors import StartupError

CHECKPOINT = ["*.safetensors", "*.json", "*.jinja", "tokenizer.model"]
PATIENCE = 10.0
# Copies of the weights in a layout of their makers' own.
DUPLICATES = ["consolidated*", "original/*"]
SHARD = re.compile(r"-(\d{5})-of-(\d{5})\.gguf$")


def fetch_model(repo: str, revision: str | None, variant: str | None) -> tuple[str, Path]:
    """(name, folder of a checkpoint or GGUF file), after downloading what the cache lacks.

    `variant` chooses among GGUF files: a file's name, or a part of it such as `Q4_K_M`. Without the network
    a model that is in the cache is served from there.

    Raises:
        StartupError: no such repository, no access, no network, or nothing in it can be served.
    """
    if not sys.stderr.isatty():
        disable_progress_bars()
    try:
        # Unlike list_repo_files this does not retry for half a minute when there is no network.
        siblings = HfApi().model_info(repo, revision=revision, timeout=PATIENCE).siblings or []
    except (httpx2.TransportError, ConnectionError) as error:
        return _from_cache(repo, revision, variant, error)
    except HfHubHTTPError as error:
        raise StartupError(_explain(error, repo, revision)) from error
    wanted = _choose([sibling.rfilename for sibling in siblings], repo, variant)
    try:
        folder = Path(
            snapshot_download(repo, revision=revision, allow_patterns=wanted, ignore_patterns=DUPLICATES)
        )
    except (httpx2.TransportError, ConnectionError, LocalEntryNotFoundError) as error:
        raise StartupError(_without_network(repo, error)) from error
    except HfHubHTTPError as error:
        raise StartupError(_explain(error, repo, revision)) from error
    except OSError as error:
        raise StartupError(f"cannot store {repo} in {constants.HF_HUB_CACHE}: {error}") from error
    return _found(folder, repo, variant)


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
    return (f"{repo}:{variant}" if variant else repo), folder / min(wanted)


def _from_cache(repo: str, revision: str | None, variant: str | None, cause: Exception) -> tuple[str, Path]:
    try:
        # Named, because the library counts what we never download (README, pickles) as missing.
        spellings = {variant, variant.upper(), variant.lower()} if variant else set()
        patterns = [f"*{spelling}*" for spelling in spellings] or CHECKPOINT
        folder = Path(
            snapshot_download(
                repo,
                revision=revision,
                allow_patterns=patterns,
                ignore_patterns=DUPLICATES,
                local_files_only=True,
            )
        )
        return _found(folder, repo, variant)
    except (OSError, ValueError, StartupError) as error:
        raise StartupError(_without_network(repo, cause)) from error


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
