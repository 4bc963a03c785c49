"""Keys, limits and prices of a data folder, made before its server starts."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paddock import settings
from paddock.cli.keys_store import StoredKeys
from paddock.services.prices import Price
from paddock.settings import PRICES_FILE

PLENTY: Mapping[str, Any] = {
    "requests_per_minute": 10**9,
    "tokens_per_minute": 10**11,
    "concurrent_requests": 10**5,
    "budget": 10**6,
}
"""Limits of every kind that no benchmark reaches: all that a limit costs, and none that refuses."""
PRICE = Price(prompt=2 * 10**9, cached_prompt=10**9, completion=6 * 10**9)
_PRICES = '[models."*"]\nprompt = 2\ncached_prompt = 1\ncompletion = 6\n'


@dataclass(frozen=True)
class ApiKey:
    id: str
    secret: str
    project: str


def make(
    data: Path,
    name: str,
    project: str = "local",
    limits: Mapping[str, Any] | None = None,
    scopes: Sequence[str] = ("inference", "manage"),
) -> ApiKey:
    """
    Args:
        limits: as the API has them.
    """
    asked = {"name": name, "project": project, "scopes": scopes, "limits": limits or {}}
    with _store(data) as keys:
        made = keys.create(asked)
    return ApiKey(made["id"], made["secret"], made["project"])


def limit_project(data: Path, name: str, limits: Mapping[str, Any]) -> None:
    """The project has a key already."""
    with _store(data) as keys:
        keys.limit_project(name, dict(limits))


def write_prices(data: Path) -> None:
    """Every model costs `PRICE`."""
    data.mkdir(parents=True, exist_ok=True)
    (data / PRICES_FILE).write_text(_PRICES)


@contextlib.contextmanager
def _store(data: Path) -> Any:
    with contextlib.closing(StoredKeys(settings.load({"data_dir": data}, {}))) as keys:
        yield keys
