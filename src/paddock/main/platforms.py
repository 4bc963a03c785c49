"""What both sides of the server stand on: the store, the catalogue and the hardware's prices, opened once."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from pathlib import Path

from paddock.control.presence import Presence
from paddock.errors import StartupError
from paddock.services.hardware import parse_config
from paddock.services.models import Catalogue
from paddock.services.paths import allowed
from paddock.services.platform import Platform
from paddock.settings import HARDWARE_FILE, Settings, read_toml
from paddock.store.blobs import open_blobs
from paddock.store.sessions import Store


def open_platform(settings: Settings, models: Sequence[str], reserved: Sequence[str]) -> Platform:
    """Blocks while the store is opened.

    Args:
        models: what the operator named on the command line.
        reserved: names of attached servers.

    Raises:
        StartupError: the store cannot be opened, a model or `hardware.toml` cannot be read.
    """
    hardware_file = settings.data_dir / HARDWARE_FILE
    hardware = parse_config(read_toml(hardware_file), str(hardware_file))
    catalogue = Catalogue(settings.data_dir, models)
    url = settings.database_url or f"sqlite:///{settings.data_dir / 'paddock.db'}"
    return Platform(
        store=Store(url),
        settings=settings,
        catalogue=catalogue,
        hardware=hardware,
        blobs=open_blobs(settings),
        allowed=allowed_paths(settings),
        reserved=frozenset(reserved),
    )


def open_presence(settings: Settings) -> Presence:
    """
    Raises:
        StartupError: the data folder cannot be written.
    """
    try:
        return Presence(settings.data_dir)
    except OSError as error:
        raise StartupError(
            f"cannot write {settings.data_dir}: {error.strerror or error}; choose another --data-dir"
        ) from error


def allowed_paths(settings: Settings) -> tuple[Path, ...] | None:
    """Folders below which callers may name models; None for any: then only this machine's users call."""
    if settings.allow_path is not None:
        return allowed(settings).folders
    return None if is_loopback(settings.host) else ()


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
