"""What both sides of the server stand on: the store, the catalogue and the hardware's prices, opened once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from paddock.control.presence import Presence
from paddock.errors import StartupError
from paddock.services.exposure import is_personal
from paddock.services.hardware import parse_config
from paddock.services.models import Catalogue
from paddock.services.paths import allowed
from paddock.services.platform import Platform
from paddock.services.prices import parse_prices
from paddock.settings import HARDWARE_FILE, PRICES_FILE, Settings, read_toml
from paddock.store.blobs import open_blobs
from paddock.store.ledger import Ledger, ledger_url
from paddock.store.sessions import Store, store_url


def open_platform(settings: Settings, models: Sequence[str], reserved: Sequence[str]) -> Platform:
    """Blocks while the store and the ledger are opened.

    Args:
        models: what the operator named on the command line.
        reserved: names of attached servers.

    Raises:
        StartupError: one of them cannot be opened, or a model, `hardware.toml` or `prices.toml` cannot be
            read.
    """
    hardware_file = settings.data_dir / HARDWARE_FILE
    hardware = parse_config(read_toml(hardware_file), str(hardware_file))
    prices_file = settings.data_dir / PRICES_FILE
    prices = parse_prices(read_toml(prices_file), str(prices_file), hardware.currency)
    catalogue = Catalogue(settings.data_dir, models)
    store = Store(store_url(settings.data_dir, settings.database_url))
    ledger = Ledger(ledger_url(settings.data_dir, settings.database_url))
    try:
        ledger.open()
    except StartupError:
        store.close()
        raise
    return Platform(
        store=store,
        ledger=ledger,
        prices=prices,
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
    """Folders below which callers may name models; None for any."""
    if settings.allow_path is not None:
        return allowed(settings).folders
    return None if is_personal(settings) else ()
