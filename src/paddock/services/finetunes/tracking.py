"""Reports to Weights & Biases: what callers may ask for, and whether it may be done."""

from __future__ import annotations

import difflib
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from paddock.errors import InvalidRequest, UnsupportedParameter
from paddock.services import addresses
from paddock.settings import Settings, wandb_defaults

JSON = dict[str, Any]
TEXTS = ("project", "entity", "name", "group", "job_type", "notes")
FIELDS = ("api_key", "base_url", *TEXTS, "tags")
PUBLIC = "https://api.wandb.ai"
PROJECT = "uncategorized"
"""As the wandb package calls it where none is named."""
LONGEST = 1000
"""Characters of a text."""
MOST_TAGS = 50
_LONGEST_KEY = 512
_HINT = "pip install 'paddock[wandb]'"


@dataclass(frozen=True)
class Wandb:
    """
    Attributes:
        run: what was given of `FIELDS`, but for the key.
        key: the caller's, or the operator's own.
        param: the field that asked for it.
    """

    run: JSON
    key: str = field(repr=False)
    param: str


def read(given: Any, param: str) -> Wandb:
    """What LLM Engine calls `wandb_config`. No message says a value: one of them is a key.

    Raises:
        InvalidRequest: a field is wrong, or there is no key.
        UnsupportedParameter: there is a field that is not known.
    """
    if not isinstance(given, Mapping):
        raise InvalidRequest(f"{param} must be an object", param=param)
    for name in given:
        if name not in FIELDS:
            raise _unknown(str(name)[:100], param)
    asked = {name: value for name, value in given.items() if value is not None}
    _check_texts(asked, param)
    key = _key(asked.pop("api_key", None), "base_url" in asked, param)
    return Wandb({"project": PROJECT, **asked}, key, param)


def of_operator(run: JSON, param: str) -> Wandb:
    """With the key of the server's own environment.

    Args:
        run: some of `FIELDS`.

    Raises:
        InvalidRequest: a field is wrong.
        UnsupportedParameter: there is no such key.
    """
    _check_texts(run, param)
    key, _ = wandb_defaults()
    if not key:
        raise UnsupportedParameter(
            f"{param}: this server has no key for Weights & Biases; its operator sets WANDB_API_KEY, or LLM"
            " Engine's wandb_config takes one",
            param=param,
        )
    return Wandb(run, key, param)


def check(settings: Settings, wanted: Wandb) -> None:
    """
    Raises:
        UnsupportedParameter: what it needs is not installed.
        InvalidRequest: its server may not be named.
    """
    if any(importlib.util.find_spec(name) is None for name in ("wandb", "cryptography")):
        raise UnsupportedParameter(
            f"{wanted.param}: this server cannot report to Weights & Biases; its operator adds that with"
            f" {_HINT}",
            param=wanted.param,
            code="not_installed",
        )
    if (url := wanted.run.get("base_url")) is not None:
        check_server(settings, url, f"{wanted.param}.base_url")


def check_server(settings: Settings, url: Any, param: str) -> None:
    """Looked at when it is asked for and when it begins.

    The wandb package looks the name up by itself and follows redirects, so that nothing that is checked here
    keeps it out of private networks: where these are closed, callers name none but known servers.

    Raises:
        InvalidRequest: it is no address, or one that callers may not name.
    """
    if not isinstance(url, str):
        raise InvalidRequest(f"{param} must be the address of a server", param=param)
    _, operators = wandb_defaults()
    if url.rstrip("/") in (PUBLIC, operators.rstrip("/")):
        return
    if not settings.allow_private_urls:
        raise InvalidRequest(
            f"{param} must be {PUBLIC}, or the operator's own server (WANDB_BASE_URL); the operator allows"
            " others with the setting allow_private_urls",
            param=param,
            code=addresses.NOT_ALLOWED,
        )
    if "?" in addresses.parse(url, param, private=True).target:
        raise InvalidRequest(f"{param} must have no query", param=param)


def _key(given: Any, elsewhere: bool, param: str) -> str:
    where = f"{param}.api_key"
    if given is None:
        operators, _ = wandb_defaults()
        # The operator's key goes to no server that a caller names.
        if not operators or elsewhere:
            raise InvalidRequest(f"{where} must be given: the key of Weights & Biases", param=where)
        return operators
    if not isinstance(given, str) or not 0 < len(given.strip()) <= _LONGEST_KEY:
        raise InvalidRequest(
            f"{where} must be the key of Weights & Biases, a text of at most {_LONGEST_KEY} characters",
            param=where,
        )
    key = given.strip()
    if not key.isascii() or not key.isprintable() or " " in key:
        raise InvalidRequest(f"{where} must be one word of ASCII characters", param=where)
    return key


def _check_texts(asked: JSON, param: str) -> None:
    for name in TEXTS:
        _check_text(asked.get(name), f"{param}.{name}")
    tags = asked.get("tags", [])
    if not isinstance(tags, list) or len(tags) > MOST_TAGS:
        where = f"{param}.tags"
        raise InvalidRequest(f"{where} must be a list of at most {MOST_TAGS} texts", param=where)
    for tag in tags:
        _check_text(tag, f"{param}.tags")


def _check_text(value: Any, param: str) -> None:
    if value is not None and (not isinstance(value, str) or not 0 < len(value) <= LONGEST or "\0" in value):
        raise InvalidRequest(f"{param} must be a text of 1 to {LONGEST} characters", param=param)


def _unknown(name: str, param: str) -> UnsupportedParameter:
    near = difflib.get_close_matches(name, FIELDS, n=1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(FIELDS)}"
    return UnsupportedParameter(
        f"{param}.{name} is not taken: the run is the job's, with its id; {hint}", param=f"{param}.{name}"
    )
