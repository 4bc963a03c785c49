"""Values of a query as numbers and yes or no."""

from __future__ import annotations

from collections.abc import Mapping

from paddock.errors import InvalidRequest

_FLAGS = {"true": True, "1": True, "false": False, "0": False}
LARGEST = 2**63 - 1


def number(values: Mapping[str, str], name: str, default: int, *, least: int = 0, most: int = LARGEST) -> int:
    """
    Raises:
        InvalidRequest: the value is no whole number in these bounds.
    """
    text = values.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 20 and least <= int(text) <= most):
        bounds = f"of at least {least}" if most == LARGEST else f"from {least} to {most}"
        raise InvalidRequest(f"{name} must be a whole number {bounds}, not {text[:40]!r}", param=name)
    return int(text)


def flag(values: Mapping[str, str], name: str) -> bool:
    """False if it is not given.

    Raises:
        InvalidRequest: the value is neither true nor false.
    """
    text = values.get(name, "false")
    if text not in _FLAGS:
        raise InvalidRequest(f"{name} must be true or false, not {text[:40]!r}", param=name)
    return _FLAGS[text]
