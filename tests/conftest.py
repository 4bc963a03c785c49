"""What tests of several folders share."""

from __future__ import annotations

import gc
import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from xdist.remote import Producer

from tests import postgres
from tests.postgres import PostgreSql
from tests.sharing import OneHasTheEngines


def pytest_configure() -> None:
    # Thousands of clients are made here to ask loopback without TLS, and reading the world's certificates for
    # each takes longer than what it asks. There has to be one; its key was thrown away.
    os.environ["SSL_CERT_FILE"] = str(Path(__file__).with_name("nobody.pem"))
    os.environ.pop("SSL_CERT_DIR", None)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    # What is imported stays. To look through all of it for garbage takes a second each time, in which nothing
    # goes on that a test waits for.
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> OneHasTheEngines:
    # How many tests a file has says nothing of how long it takes.
    config.option.loadscopereorder = False
    return OneHasTheEngines(config, log)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSql]:
    with postgres.running() as server:
        yield server
