"""What the commands of fine-tuning are given: hyperparameters, and where the data is."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from paddock.errors import StartupError

FORMATS = (".csv", ".jsonl", ".ndjson", ".json")
_FILE_ID = re.compile(r"file-[0-9a-f]+")


def read_hyperparameters(texts: Sequence[str]) -> dict[str, Any]:
    """Each `name=value` as JSON if the value is that, as a list where it has commas, as text otherwise.

    Which names and values there are is the server's to say.

    Raises:
        StartupError: one of them is not written so, or is given twice.
    """
    found: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        name = name.strip()
        if not equals or not name or not value.strip():
            raise StartupError(f"--set must be name=value, such as epochs=3, not {text!r}")
        if name in found:
            raise StartupError(f"--set {name} is given twice; give it once")
        found[name] = _value(value.strip())
    return found


def find_data(text: str, option: str) -> Path | None:
    """The local file that is meant; None if it is one that the server has.

    Args:
        option: what the text was given as: `DATA`, `--validation`.

    Raises:
        StartupError: it is neither, or not one that can be learned from.
    """
    path = Path(text)
    try:
        if path.is_dir():
            raise StartupError(f"{option}: {text} is a folder; give a file in it")
        if not path.exists():
            if _FILE_ID.fullmatch(text):
                return None
            raise StartupError(
                f"{option}: there is no file {text!r}, and it is no id of a stored one, such as"
                " file-0123456789abcdef01234567"
            )
    except (OSError, ValueError) as error:
        raise StartupError(f"{option}: cannot look at {text!r}: {error}") from error
    if path.suffix.lower() not in FORMATS:
        raise StartupError(f"{option}: {text} must end in {', '.join(FORMATS[:-1])} or {FORMATS[-1]}")
    return path


def _value(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_no_number)
    except ValueError:
        return [_value(one.strip()) for one in text.split(",") if one.strip()] if "," in text else text


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
