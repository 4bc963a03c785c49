"""What the operator says about hardware, in `hardware.toml`; `docs/hardware.md` describes it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from paddock.errors import StartupError
from paddock.schemas.hardware import NodeHardware

UNITS = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
UNITS |= {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
_SIZE = re.compile(rf"(\d+(?:\.\d+)?) ?({'|'.join(UNITS)})")
_TYPE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_DETECTED_NAME = re.compile(r"CPU_[1-9]\d*|NVIDIA_[A-Z0-9_]+_[1-9]\d*")


@dataclass(frozen=True)
class TypeConfig:
    """What is said about one hardware type; None leaves a fact as it is detected."""

    cores: int | None = None
    memory: int | None = None
    gpu: str | None = None
    gpus: int | None = None
    price_per_hour: float | None = None
    offer: bool | None = None


@dataclass(frozen=True)
class HardwareConfig:
    """
    Attributes:
        core_sharing: how many times each core may be promised.
        memory_reserve: share of a node's memory that is not promised, from 0 to below 1.
        currency: of all prices, an ISO 4217 code.
        types: what is said about hardware types, by their ids.
    """

    core_sharing: float = 8
    memory_reserve: float = 0.1
    currency: str = "EUR"
    types: Mapping[str, TypeConfig] = field(default_factory=dict)

    def promised_cores(self, hardware: NodeHardware) -> int:
        """How many cores of a node may be promised, each as often as it is shared."""
        return int(hardware.cores * self.core_sharing)

    def promised_memory(self, hardware: NodeHardware) -> int:
        """How many bytes of a node's memory may be promised."""
        return int(hardware.memory * (1 - self.memory_reserve))

    def price_per_hour(self, hardware_type: str) -> float:
        """In `currency`; 0 for a type of which none is named."""
        told = self.types.get(hardware_type)
        return float(told.price_per_hour or 0) if told else 0.0


def parse_config(raw: Mapping[str, Any], where: str) -> HardwareConfig:
    """The configuration in `raw`, as TOML gives it; `where` names the file in errors.

    Raises:
        StartupError: a key is unknown or its value wrong; says what would be right.
    """
    tables = raw.get("types", {})
    if not isinstance(tables, Mapping):
        raise _wrong(where, "types", "a table of hardware types, such as [types.CPU_2]", tables)
    settings = {key: value for key, value in raw.items() if key != "types"}
    read = _read_keys(settings, _KEYS, where, "", [*_KEYS, "types"])
    return HardwareConfig(
        **read, types={name: _read_type(name, table, where) for name, table in tables.items()}
    )


def _read_type(name: str, table: Any, where: str) -> TypeConfig:
    if not _TYPE_NAME.fullmatch(name):
        right = "named with letters, digits, `_`, `-` and `.`"
        raise StartupError(f"{where}: a hardware type must be {right}, not {name!r}")
    path = f"types.{name}"
    if not isinstance(table, Mapping):
        raise _wrong(where, path, f"a table, such as [{path}]", table)
    told = TypeConfig(**_read_keys(table, _TYPE_KEYS, where, f"{path}.", list(_TYPE_KEYS)))
    if told.gpus and not told.gpu:
        raise StartupError(f"{where}: {path}.gpus needs {path}.gpu, the GPU's name")
    if not (told.cores or told.gpu or _DETECTED_NAME.fullmatch(name)):
        raise StartupError(
            f"{where}: {path} must say cores, or gpu, for it is a type of your own: "
            "those that are detected have names such as CPU_2 and NVIDIA_L4_1"
        )
    return told


class _Key(NamedTuple):
    """`read` returns None for a value that is not as `right` says."""

    right: str
    read: Callable[[Any], Any]


def _read_keys(
    raw: Mapping[str, Any], keys: Mapping[str, _Key], where: str, path: str, known: list[str]
) -> dict[str, Any]:
    unknown = sorted(set(raw) - set(keys))
    if unknown:
        name = f"{path}{unknown[0]}"
        raise StartupError(f"{where}: unknown key {name}; known are {', '.join(known)}")
    read = {name: keys[name].read(value) for name, value in raw.items()}
    for name, value in read.items():
        if value is None:
            raise _wrong(where, f"{path}{name}", keys[name].right, raw[name])
    return read


def _wrong(where: str, name: str, right: str, value: Any) -> StartupError:
    return StartupError(f"{where}: {name} must be {right}, not {value!r}")


def _number(least: float, below: float = math.inf) -> Callable[[Any], float | None]:
    def read(value: Any) -> float | None:
        # True is a number to Python.
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        return value if least <= value < below else None

    return read


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 1 else None


def _size(value: Any) -> int | None:
    if isinstance(value, str) and (match := _SIZE.fullmatch(value)):
        value = int(float(match[1]) * UNITS[match[2]])
    return _count(value)


def _matching(pattern: str) -> Callable[[Any], str | None]:
    return lambda value: value if isinstance(value, str) and re.fullmatch(pattern, value) else None


def _flag(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


_KEYS = {
    "core_sharing": _Key("a number from 1 to 1000", _number(1, math.nextafter(1000, math.inf))),
    "memory_reserve": _Key("a share from 0 to less than 1", _number(0, 1)),
    "currency": _Key("a code of three capital letters, such as EUR", _matching("[A-Z]{3}")),
}
_TYPE_KEYS = {
    "cores": _Key("a whole number of at least 1", _count),
    "memory": _Key("bytes as a whole number, or a text such as '8GiB'", _size),
    "gpu": _Key("a GPU's name, such as 'NVIDIA L4'", _matching(r".*[A-Za-z0-9].*")),
    "gpus": _Key("a whole number of at least 1", _count),
    "price_per_hour": _Key("a number of at least 0", _number(0)),
    "offer": _Key("true or false", _flag),
}
