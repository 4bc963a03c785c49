"""One server with the bundled model for all tests that only ask it questions."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.server import Server, serving


@pytest.fixture(scope="session")
def foal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("foal")) as server:
        yield server
