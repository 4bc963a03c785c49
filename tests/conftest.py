"""What tests of several folders share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests import postgres
from tests.postgres import PostgreSql


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSql]:
    with postgres.running() as server:
        yield server
