"""Each test runs on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from paddock.services.platform import Platform
from paddock.store.ledger import Ledger
from paddock.store.sessions import Store
from tests.postgres import PostgreSql
from tests.sqlite import url_in
from tests.store.fakes import ledger_beside, platform_of


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def url(database: str, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """Of a store that nobody else uses."""
    if database == "sqlite":
        return url_in(tmp_path)
    server: PostgreSql = request.getfixturevalue("postgresql")
    return server.store()


@pytest.fixture
def empty(database: str, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """Of a database without tables."""
    if database == "sqlite":
        return f"sqlite:///{tmp_path / 'empty.db'}"
    server: PostgreSql = request.getfixturevalue("postgresql")
    return server.empty()


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    store = Store(url)
    yield store
    store.close()


@pytest.fixture
def platform(store: Store, tmp_path: Path) -> Iterator[Platform]:
    platform = platform_of(store, tmp_path)
    yield platform
    platform.ledger.close()


@pytest.fixture
def ledger(store: Store, tmp_path: Path) -> Iterator[Ledger]:
    ledger = ledger_beside(store, tmp_path)
    yield ledger
    ledger.close()
