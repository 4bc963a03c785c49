"""Aligned columns, and sizes, money and times as a person reads them."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from paddock.cli.output import printable

_SIZES = ("bytes", "KiB", "MiB", "GiB", "TiB")
_MINUTE, _HOUR, _DAY = 60, 3600, 86_400


def table(columns: Mapping[str, Sequence[str]]) -> list[str]:
    """Lines with a heading; columns in which nothing stands are left out."""
    shown = []
    for heading, texts in columns.items():
        cells = [" ".join(printable(text).split()) for text in texts]
        if any(cells):
            width = max(len(text) for text in (heading, *cells))
            shown.append([text.ljust(width) for text in (heading, *cells)])
    return ["  ".join(row).rstrip() for row in zip(*shown, strict=True)]


def size(number: float) -> str:
    """Bytes: `1.5 GiB`."""
    for unit in _SIZES:
        if number < 1024 or unit == _SIZES[-1]:
            break
        number /= 1024
    return f"{number:.0f} {unit}" if unit == "bytes" else f"{number:.1f} {unit}"


def money(amount: float) -> str:
    """`1.24`, and of less than 1 what there is of it: `0.0012`, `<0.0001`."""
    if 0 < amount < 0.0001:
        return "<0.0001"
    return f"{amount:.2f}" if amount >= 1 or not amount else f"{amount:.4f}"


def duration(seconds: float) -> str:
    """`0.8 s`, `12 s`, `5 min`, `3 h`, `2 d`: as coarse as is enough to read."""
    if seconds < 10:
        return f"{max(0.0, seconds):.1f} s"
    for unit, length, limit in (("s", 1, 2 * _MINUTE), ("min", _MINUTE, 2 * _HOUR), ("h", _HOUR, 2 * _DAY)):
        if seconds < limit:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds / _DAY:.0f} d"


def age(since: float, now: float | None = None) -> str:
    """How long ago, in whole units: a second is the least that a clock elsewhere can tell."""
    seconds = (time.time() if now is None else now) - since
    return duration(seconds) if seconds >= 10 else f"{max(0, seconds):.0f} s"


def moment(at: float) -> str:
    """A time of this machine's clock and zone."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))
