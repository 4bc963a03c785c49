"""What tests of several folders share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from xdist.remote import Producer

from tests import postgres
from tests.postgres import PostgreSql
from tests.sharing import OneHasTheEngines


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> OneHasTheEngines:
    # How many tests a file has says nothing of how long it takes.
    config.option.loadscopereorder = False
    return OneHasTheEngines(config, log)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSql]:
    with postgres.running() as server:
        yield server
